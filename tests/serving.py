"""A real server process on a sandbox database of its own, and a client that speaks to it as callers of every role do.

What must stay true: nothing here imports the service to decide anything; what a test learns, it learns over HTTP.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from ledger.calendar import JST
from ledger.store import schema, tokens
from ledger.store.keys import Keyring

START_SECONDS = 60.0


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        """The code of a problem, or the status of anything else."""
        return str(self.body["code"]) if self.status >= 400 else str(self.status)

    @property
    def position(self) -> int:
        return int(self.headers["ledger-position"])

    @property
    def replayed(self) -> bool:
        return self.headers.get("idempotent-replayed") == "true"


@dataclass
class Client:
    """Requests to the server, each with a key of its own unless one is given."""

    port: int
    dsn: str
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, role: str) -> str:
        """A token of the role; `role:subject` for somebody named."""
        if role not in self.tokens:
            name, _, subject = role.partition(":")
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                _, self.tokens[role] = tokens.issue(connection, name, subject or name, timedelta(hours=8))
        return self.tokens[role]

    def ask(
        self,
        method: str,
        path: str,
        by: str | None = None,
        body: object = None,
        *,
        key: str | None = None,
        language: str = "en",
        **headers: str,
    ) -> Reply:
        """One request; `by` is a role, a token of a session (`ms_…`), or nobody."""
        sent = {"Accept-Language": language, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if by is not None:
            sent["Authorization"] = f"Bearer {by if by.startswith('ms_') else self.token(by)}"
        if method == "POST":
            sent["Idempotency-Key"] = key or str(uuid4())
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, json.loads(content) if content else None, told)

    def post(self, path: str, by: str | None, body: object = None, **named: Any) -> Reply:
        return self.ask("POST", path, by, {} if body is None else body, **named)

    def get(self, path: str, by: str) -> Reply:
        return self.ask("GET", path, by)

    def done(self, path: str, by: str | None, body: object = None, **named: Any) -> Any:
        """The body of an act that must succeed."""
        reply = self.post(path, by, body, **named)
        assert reply.status < 300, (path, reply.status, reply.body)
        return reply.body

    def read(self, path: str, by: str = "auditor") -> Any:
        reply = self.get(path, by)
        assert reply.status == 200, (path, reply.status, reply.body)
        return reply.body

    def now(self) -> datetime:
        return datetime.fromisoformat(self.read("/v1/sandbox/clock", "operator")["now"])

    def go_to(self, day: date, hour: int = 10) -> None:
        """Move the clock forward to an hour of a day in Japan; days that have come already stay as they are."""
        target = datetime.combine(day, clock_time(hour), JST)
        if target > self.now():
            moved = self.ask("PUT", "/v1/sandbox/clock", "operator", {"now": target.isoformat()})
            assert moved.status == 200, moved.body

    def close_days(self, through: date, **named: Any) -> Reply:
        return self.post("/v1/sandbox/day-closes", "operator", {"through": through.isoformat()}, **named)


@contextmanager
def served(dsn: str, folder: Path, *, start: str = "2020-01-01T09:00:00+09:00", **environment: str) -> Iterator[Client]:
    """A server on an empty database, which becomes a sandbox; it is stopped at the end."""
    schema.migrate(dsn, sandbox=True)
    keys = folder / "keys.json"
    if not keys.exists():
        Keyring.create(keys)
    with answering("--sandbox", "--start", start, dsn=dsn, keys=keys, **environment) as client:
        yield client


@contextmanager
def answering(*words: str, dsn: str, keys: Path, **environment: str) -> Iterator[Client]:
    """A server of a database that is ready for it; several of them may stand on one database."""
    port = free_port()
    with started("serve", "--port", str(port), *words, dsn=dsn, keys=keys, **environment) as child:
        deadline = time.monotonic() + START_SECONDS
        client = Client(port, dsn)
        while not ready(client):
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)
        yield client


@contextmanager
def started(*words: str, dsn: str, keys: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of the program as a process; it is ended if it has not ended by itself.

    What it prints goes to `output.log` beside the keys: a pipe that nobody reads would stop it one day.
    """
    settings = {"DATABASE_URL": dsn, "CARDLEDGER_KEY_FILE": str(keys), "CARDLEDGER_TEST_HASH_COST": "true"}
    with (keys.parent / "output.log").open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", "from ledger.cli import main; main()", *words],
            env=clean_environment() | settings | environment,
            stdout=output,
            stderr=output,
        )
        try:
            yield child
        finally:
            if child.poll() is None:
                child.terminate()
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def commanded(service: Client, folder: Path, *words: str) -> tuple[int, str]:
    """A command beside the server of a sandbox, to its end: the exit code, and what it said."""
    settings = {"DATABASE_URL": service.dsn, "CARDLEDGER_KEY_FILE": str(folder / "keys.json")}
    done = subprocess.run(
        [sys.executable, "-c", "from ledger.cli import main; main()", *words, "--sandbox"],
        env=clean_environment() | settings,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def clean_environment() -> dict[str, str]:
    """The environment without any setting of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("CARDLEDGER_", "DATABASE_URL"))}


def ready(client: Client) -> bool:
    try:
        return client.ask("GET", "/readyz").status == 200
    except OSError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
