"""The arms: each is one thing that is measured for a slice, and is told what the slice brought.

What must stay true: a slice of the service ends when its read models have caught up, so that the projector's work is in
the figure of the acts that caused it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import psycopg

from ledger.bench.driving import Kind, Load
from ledger.bench.pgbench import Floor
from ledger.bench.servers import Database, Server

CATCH_UP_SECONDS = 30.0
_BEHIND = """
select coalesce(max(e.notification_id), 0) - (select coalesce(min(position), 0) from projections)
from ledger_events e
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One slice of one arm: operations, errors, seconds, CPU seconds of server and database, times in milliseconds."""

    operations: int
    errors: int
    seconds: float
    server_cpu: float
    database_cpu: float
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0

    @property
    def rate(self) -> float:
        return self.operations / self.seconds

    @property
    def cpu(self) -> float:
        """CPU microseconds of an operation, server and database."""
        return (self.server_cpu + self.database_cpu) * 1e6 / max(1, self.operations)

    @property
    def database_share(self) -> float:
        """CPU microseconds of the database for an operation."""
        return self.database_cpu * 1e6 / max(1, self.operations)


class Arm(Protocol):
    """Something that is measured slice by slice."""

    name: str

    def slice(self, seconds: float) -> Sample: ...


@dataclass(slots=True)
class Http:
    """Requests to a server over so many connections; `turns` says which kind comes when."""

    name: str
    load: Load
    base: Database
    server: Server
    kinds: Sequence[Kind]
    connections: int
    turns: Sequence[int] = (0,)
    follows: str | None = None
    """The connection string of the log whose read models must catch up before the slice ends."""
    before: tuple[float, float] = field(init=False, default=(0.0, 0.0))

    def slice(self, seconds: float) -> Sample:
        answers = self.load.slice(
            self.server.port,
            self.kinds,
            self.turns,
            connections=self.connections,
            seconds=seconds,
            started=self._start,
        )
        if self.follows is not None:
            wait_for_read_models(self.follows)
        server, database = self.server.cpu() - self.before[0], self.base.cpu() - self.before[1]
        return Sample(
            answers.good,
            sum(answers.bad.values()),
            answers.seconds,
            server,
            database,
            answers.p50,
            answers.p90,
            answers.p99,
        )

    def _start(self) -> None:
        self.before = (self.server.cpu(), self.base.cpu())


@dataclass(slots=True)
class PgBench:
    """The floor at so many clients."""

    name: str
    floor: Floor
    clients: int

    def slice(self, seconds: float) -> Sample:
        rows, lasted, used = self.floor.slice(self.clients, seconds)
        each = 1000 * lasted * self.clients / max(1, rows)
        return Sample(rows, 0, lasted, 0.0, used, each, each, each)


def wait_for_read_models(dsn: str) -> None:
    """Return when the read models show the head of the log; TimeoutError after `CATCH_UP_SECONDS`."""
    ends = time.monotonic() + CATCH_UP_SECONDS
    with psycopg.connect(dsn, autocommit=True) as connection:
        while connection.execute(_BEHIND).fetchone() != (0,):
            if time.monotonic() > ends:
                raise TimeoutError("the read models do not catch up")
            time.sleep(0.02)
