"""What the bench starts: one PostgreSQL with a database for each design, and the servers, all on loopback.

What must stay true: whatever was started is stopped when the bench ends, however it ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from ledger.bench.machine import cpu_seconds, memory_mib
from ledger.faults import EnvironmentFault
from ledger.store import schema
from ledger.store.embedded import EmbeddedPostgres
from ledger.store.keys import Keyring

DATABASES = ("ours", "plain", "floor")
UVICORN = ("--factory", "--no-access-log", "--no-server-header", "--log-level", "warning", "--lifespan", "on")


@dataclass(frozen=True, slots=True)
class Database:
    """The server's process and the connection strings of its databases."""

    process: int
    dsns: dict[str, str]
    keys: Path

    def cpu(self) -> float:
        return cpu_seconds(self.process)

    def memory_mib(self) -> float:
        """What its processes hold beside the memory that they share."""
        return memory_mib(self.process, "RssAnon")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at a port."""

    process: subprocess.Popen[bytes]
    port: int

    def cpu(self) -> float:
        return cpu_seconds(self.process.pid)

    def memory_mib(self) -> float:
        return memory_mib(self.process.pid, "VmRSS")


@contextmanager
def database(folder: Path) -> Iterator[Database]:
    """A durable PostgreSQL with its databases made and a key file beside them."""
    with EmbeddedPostgres.at(folder) as server:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            for name in DATABASES:
                connection.execute(f"create database {name}".encode())
        dsns = {name: make_conninfo(server.dsn, dbname=name) for name in DATABASES}
        schema.migrate(dsns["ours"])
        keys = folder / "keys.json"
        Keyring.create(keys)
        postmaster = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
        yield Database(postmaster, dsns, keys)


@contextmanager
def ledger(base: Database, folder: Path, *, projector: bool = True) -> Iterator[Server]:
    """The service itself, as `cardledger serve` starts it on a database URL."""
    variables = {"CARDLEDGER_KEY_FILE": str(base.keys), "CARDLEDGER_PROJECTOR": str(projector)}
    port = _free_port()
    with _started(_serve("--database-url", base.dsns["ours"], "--port", str(port)), folder, variables) as process:
        yield _answering(process, port, "/readyz")


@contextmanager
def yardstick(name: str, base: Database, folder: Path, dsn: str) -> Iterator[Server]:
    """One of the applications of `api.yardsticks`, served as the service is."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", f"api.yardsticks:{name}", *UVICORN, "--port", str(port)]
    with _started(command, folder, {"DATABASE_URL": base.dsns[dsn]}) as process:
        yield _answering(process, port, "/openapi.json")


def seconds_to_start(folder: Path) -> float:
    """How long `cardledger serve` takes on a data folder until it is ready; it is stopped again."""
    port, began = _free_port(), time.perf_counter()
    with _started(_serve("--data", str(folder), "--port", str(port)), folder, {}) as process:
        _answering(process, port, "/readyz")
        return time.perf_counter() - began


def _serve(*options: str) -> list[str]:
    return [sys.executable, "-c", "from ledger.cli import main; main()", "serve", *options]


@contextmanager
def _started(command: list[str], folder: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CARDLEDGER_")}
    ours.pop("DATABASE_URL", None)
    with ExitStack() as stack:
        log = stack.enter_context((folder / "server.log").open("ab"))
        process = subprocess.Popen(  # noqa: S603 - our own programs
            command, env=ours | variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answering(process: subprocess.Popen[bytes], port: int, path: str, seconds: float = 60) -> Server:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:  # noqa: S310
                if answer.status == 200:
                    return Server(process, port)
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise EnvironmentFault("A server of the bench did not start.", "Run `cardledger serve` by itself to see why.")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
