"""One PostgreSQL data folder: made, started, asked, stopped. Who may do so, and when, is decided in `embedded`.

What must stay true: a data folder appears under its name only when it is complete, and none that is there is ever
emptied or repaired here.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

from ledger.faults import EnvironmentFault
from ledger.store.programs import Programs

VERSION = "18"
USER = "cardledger"
PORT = 5432
LOG = "server.log"
SECONDS_TO_START = 30
SECONDS_TO_STOP = 60

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}
DURABLE = {"fsync": "on", "full_page_writes": "on"}
FORGETFUL = {"fsync": "off", "full_page_writes": "off"}

PASSING = ("is still in use", '"postmaster.pid" already exists')
"""What a server says that was started while a killed one is not wholly gone."""

ACCEPTS, REJECTS = 0, 1
"""What `pg_isready` exits with: the server takes connections; it is there but still starting or already stopping."""


class Cluster:
    """The server of a data folder `postgres` in `folder`."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        """`durable=False` trades safety at a power cut for speed: for data that nobody will miss."""
        self.folder = folder
        self.data = folder / "postgres"
        self._settings = SETTINGS | (DURABLE if durable else FORGETFUL)
        self._programs = Programs.for_data(self.data)

    def ensure_running(self, socket_folder: Path) -> None:
        """Leave a server that runs alone, wait for one that is starting, start one where there is none."""
        deadline = time.monotonic() + SECONDS_TO_START
        while (answer := self._answer(socket_folder)) == REJECTS and time.monotonic() < deadline:
            time.sleep(0.1)
        if answer != ACCEPTS:
            self._make()
            self._start(deadline)

    def stop(self) -> None:
        """Stop the server now, whatever its clients are doing; nothing committed is lost. None running is fine."""
        if (self.data / "postmaster.pid").exists():
            self._control("--mode=fast", f"--timeout={SECONDS_TO_STOP}", "stop")

    def _answer(self, socket_folder: Path) -> int | None:
        if not (self.data / "postmaster.pid").exists():
            return None
        where = (f"--host={socket_folder}", f"--port={PORT}", "--dbname=postgres", f"--username={USER}")
        return self._programs.run("pg_isready", *where, within=self.folder, as_ourselves=True).returncode

    def _make(self) -> None:
        """Make the data folder if there is none, and refuse one that is not of this PostgreSQL."""
        if not self.data.exists():
            self._initialise()
        try:
            version = (self.data / "PG_VERSION").read_text().strip()
        except OSError as error:
            raise self._fault("is not a data folder of PostgreSQL (no readable PG_VERSION)") from error
        if version != VERSION:
            raise self._fault(f"was made by PostgreSQL {version[:20]}, and this is {VERSION}")
        if self._programs.account is None and self.data.stat().st_uid != os.geteuid():
            raise self._fault("belongs to another user")

    def _initialise(self) -> None:
        """Make it under another name first: a death half way leaves nothing that looks like a data folder."""
        making = self.folder / "postgres.new"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        if self._programs.account is not None:
            os.chown(making, self._programs.account.pw_uid, self._programs.account.pw_gid)
        done = self._programs.run(
            "initdb",
            f"--pgdata={self._programs.here}",
            f"--username={USER}",
            "--auth=trust",  # the socket lies in a folder that only its owner can enter
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            within=making,
        )
        if done.returncode != 0:
            raise self._fault(f"could not be made ({_last_line(done.stderr)})")
        making.rename(self.data)

    def _start(self, deadline: float) -> None:
        """Start the server. After a kill -9 it may take a moment until the dead one and its children are gone."""
        options = shlex.join(word for name, value in self._settings.items() for word in ("-c", f"{name}={value}"))
        while True:
            started = self._control(
                f"--log={LOG}", f"--timeout={SECONDS_TO_START}", f"--options={options}", "--silent", "start"
            )
            if started.returncode == 0:
                return
            reason = self._reason() or _last_line(started.stderr)
            if not any(each in reason for each in PASSING) or time.monotonic() > deadline:
                raise self._fault(f"did not start ({reason})")
            time.sleep(0.2)

    def _control(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._programs.run("pg_ctl", f"--pgdata={self._programs.here}", "--wait", *arguments, within=self.data)

    def _reason(self) -> str:
        """The last thing the server said when it gave up."""
        try:
            lines = (self.data / LOG).read_text(errors="replace").splitlines()
        except OSError:
            return ""
        fatal = [line.split(":  ", 1)[1] for line in lines if "FATAL:  " in line or "PANIC:  " in line]
        return fatal[-1] if fatal else ""

    def _fault(self, what: str) -> EnvironmentFault:
        return EnvironmentFault(
            f"The database in {self.data} {what}.",
            f"Give another folder with --data, or move this one away and start anew; {LOG} in it says more.",
        )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
