"""The service of the demo: `cardledger serve --sandbox` as a process of its own, with its log in a file.

What must stay true: who started it stops it, with the PostgreSQL under it, before the story's process ends.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.faults import EnvironmentFault
from ledger.settings import Settings

SECONDS_TO_START = 60
SECONDS_TO_STOP = 60
SERVED_AT = re.compile(r"is served at (http://\S+) ")
PROGRAM = (sys.executable, "-c", "from ledger.cli import main; main()")


class Server:
    """A running `serve`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, since: int) -> None:
        """`since` is how long the log was before: another run may still write there."""
        self._process = process
        self.log = log
        self._since = since
        self.url = ""

    @classmethod
    @contextmanager
    def started(cls, settings: Settings) -> Iterator[Server]:
        """A server that is ready, until the block ends. Raises EnvironmentFault with what it said itself."""
        log = _log(settings.place)
        words = ("serve", "--sandbox", "--data", str(settings.data), "--port", str(settings.port))
        with log.open("ab") as output:
            since = output.tell()
            # A process group of its own: Ctrl-C reaches us alone, and we stop it in order.
            process = subprocess.Popen(  # noqa: S603
                [*PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
            )
        server = cls(process, log, since)
        try:
            server._await_ready()
            yield server
        finally:
            server._stop()

    def wait(self) -> bool:
        """Wait until it ends; whether somebody else ended it in good order."""
        return self._process.wait() == 0

    def _await_ready(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._ready():
            if self._process.poll() is not None:
                raise self._fault()
            if time.monotonic() > deadline:
                raise EnvironmentFault("The service does not become ready.", f"Look into {self.log}.")
            time.sleep(0.1)

    def _ready(self) -> bool:
        served = SERVED_AT.search(self._said())
        if served is None:
            return False
        self.url = served[1]
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _fault(self) -> EnvironmentFault:
        """What the server said when it gave up, which names the remedy already."""
        lines = self._said().strip().splitlines()
        said = lines[-1] if lines else "The service did not start."
        return EnvironmentFault(said, "With make: make demo PORT=8123." if "--port" in said else f"Log: {self.log}.")

    def _said(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._since)
            return log.read().decode(errors="replace")

    def _stop(self) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C leaves nothing half stopped
        try:
            self._process.terminate()
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            signal.signal(signal.SIGINT, before)


def _log(place: Path) -> Path:
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / "demo.log").touch(mode=0o600)
    except OSError as error:
        raise EnvironmentFault(
            f"The data folder {place} cannot be used ({error.strerror}).", "Give another folder with --data."
        ) from error
    return place / "demo.log"
