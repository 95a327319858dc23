"""A long log: loaded in bulk, its read models built from nothing, read all over, added up again.

What must stay true: what is compared was read by the same readers in one run, in a shorter log and in the whole one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from ledger.audit.drift import verify
from ledger.bench import checks, reads, servers
from ledger.bench.checks import Check
from ledger.bench.generator import Generator
from ledger.bench.machine import description, require_linux
from ledger.projections.projector import READ_MODELS
from ledger.projections.rebuild import rebuild

SHORTER = 100_000
"""The log that the whole one is compared with, and the stream of the longest card in a log of a million and more."""
_SIZES = """
select relname, pg_total_relation_size(oid) from pg_class
where relkind = 'r' and relname = any(%s) order by pg_total_relation_size(oid) desc
"""
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """A log of one length: seconds of its loading and rebuilding, milliseconds of each read, bytes of each table."""

    events: int
    loaded: float
    rebuilt: float
    reads: Mapping[str, float]
    bytes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LongLog:
    """All that a run found, from the shorter log to the whole one."""

    machine: dict[str, Any]
    stages: list[Stage]
    checks: list[Check]

    @property
    def right(self) -> bool:
        return all(check.right for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "stages": [asdict(stage) for stage in self.stages],
            "checks": [asdict(check) for check in self.checks],
        }

    def as_markdown(self) -> str:
        parts = (self._stages(), self._reads(), self._sizes(), self._checks())
        return "\n\n".join("\n".join(part) for part in parts)

    def _stages(self) -> Iterator[str]:
        yield "| events | seconds to load | events/s | seconds to build the read models | events/s |"
        yield "|---|---|---|---|---|"
        before = 0
        for stage in self.stages:
            new, before = stage.events - before, stage.events
            loading = new / max(stage.loaded, 1e-9)
            yield (
                f"| {stage.events:,} | {stage.loaded:.1f} | {loading:,.0f} "
                f"| {stage.rebuilt:.1f} | {stage.events / stage.rebuilt:,.0f} |"
            )

    def _reads(self) -> Iterator[str]:
        first, last = self.stages[0], self.stages[-1]
        yield f"| read | ms at {first.events:,} | ms at {last.events:,} | ratio |"
        yield "|---|---|---|---|"
        for name, short in first.reads.items():
            yield f"| {name} | {short:.2f} | {last.reads[name]:.2f} | {last.reads[name] / short:.2f} |"

    def _sizes(self) -> Iterator[str]:
        last = self.stages[-1]
        yield "| table with its indexes | MiB | bytes an event |"
        yield "|---|---|---|"
        for name, size in last.bytes.items():
            yield f"| {name} | {size / 2**20:,.0f} | {size / last.events:,.0f} |"

    def _checks(self) -> Iterator[str]:
        for check in self.checks:
            yield f"- {check.name}: {check.wrong}{'' if check.right else '  <- WRONG'}"


def run(folder: Path, events: int, told: Told = lambda _: None, *, times: int = 200) -> LongLog:
    """Load, build, read and check in an empty folder: first a log of `SHORTER` events, then one of `events`."""
    require_linux()
    lengths = sorted({min(SHORTER, events), events})
    with servers.database(folder / "database") as base:
        told("telling the stories by real acts")
        generator = Generator.prepared(base, longest=min(SHORTER, events // 10))
        dsn, stages = base.dsns["ours"], []
        for number, length in enumerate(lengths):
            stages.append(_staged(dsn, generator, length, times, told))
            if number == 0:
                told("replaying the log and comparing every row")
                found = [Check("findings of the auditor's replay", asyncio.run(_drift(dsn)))]
        told("adding every balance up again")
        return LongLog(description(), stages, [*found, *checks.sums(dsn)])


def _staged(dsn: str, generator: Generator, length: int, times: int, told: Told) -> Stage:
    told(f"loading {length:,} events")
    began = time.perf_counter()
    events = generator.fill(length)
    loaded = time.perf_counter() - began
    told("building the read models")
    rebuilt = asyncio.run(build(dsn))
    told("reading")
    return Stage(events, loaded, rebuilt, reads.measured(dsn, generator.longest, times=times), _sizes(dsn))


async def build(dsn: str) -> float:
    """Build every read model from the log; the seconds it took."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=2) as connection:
        # A read model that follows is only rebuilt as far as it has come.
        await connection.execute("delete from projections")
        began = time.perf_counter()
        for model in READ_MODELS:
            await rebuild(connection, model)
        lasted = time.perf_counter() - began
        await connection.execute("vacuum analyze")
    return lasted


async def _drift(dsn: str) -> int:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        return len((await verify(connection, READ_MODELS)).findings)


def _sizes(dsn: str) -> dict[str, int]:
    tables = ["ledger_events", *(model.name for model in READ_MODELS)]
    with psycopg.connect(dsn, autocommit=True) as connection:
        return dict(connection.execute(_SIZES, (tables,)).fetchall())
