"""Drift: the log replayed into shadow tables by the writers of the read models, and compared with the live ones row by
row; then the kept states.

What must stay true: the live tables are read and never written; what is compared stands at one position, in one
snapshot. A wrong row is mended by `projections rebuild` and by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
import psycopg
from psycopg import IsolationLevel, sql

from ledger.audit import kept_states
from ledger.audit.fold import Finding, LogFold, head, pages, unreadable
from ledger.store.mapper import MapperDeserialisationError
from ledger.store.pages import Connection, Recorded, recorded_rows

ROWS_TOLD: Final = 100
ROWS_TRACED: Final = 20
"""A row is traced through its stream event by event; a table that is wrong throughout needs no more examples."""

_PRIMARY_KEY = """
select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
where i.indrelid = %s::regclass and i.indisprimary order by array_position(i.indkey::int2[], a.attnum)
"""
_DIFFERENT = (
    "select to_jsonb(l), to_jsonb(s) from {live} l full join {shadow} s using ({key}) where l is distinct from s"
)
_STREAM = """
select notification_id, recorded_at, originator_id, originator_version, topic, state from ledger_events
where originator_id = %s and notification_id <= %s order by originator_version
"""


class ReadModel(Protocol):
    """What this asks of a read model: its name, which is its table's, and the writer."""

    name: str

    async def apply(self, connection: Connection, events: Sequence[Recorded], table: str) -> None: ...


@dataclass(slots=True)
class Verified:
    """What was replayed and compared. `unreadable_at`: an event that no fact explains; nothing is known behind it."""

    position: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unreadable_at: int | None = None
    kept_states: int = 0


@dataclass(slots=True)
class _Shadow:
    model: ReadModel
    table: str
    position: int = 0
    stuck: Finding | None = None
    """The event that the writer cannot take, though the live table stands behind it."""

    async def take(self, connection: Connection, events: Sequence[Recorded], until: int) -> None:
        news = [recorded for recorded in events if self.position < recorded.position <= until]
        if not news or self.stuck is not None:
            return
        try:
            async with connection.transaction():
                await self.model.apply(connection, news, self.table)
            self.position = news[-1].position
        except psycopg.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an event does to a writer is told
            if len(news) == 1:
                self._stop_at(news[0], error)
                return
            half = len(news) // 2
            await self.take(connection, news[:half], until)
            await self.take(connection, news[half:], until)

    def _stop_at(self, recorded: Recorded, error: Exception) -> None:
        self.stuck = Finding(
            what="read-model-cannot-follow",
            position=recorded.position,
            subject=recorded.event.originator_id,
            row=self.model.name,
            stored=recorded.event.fact.topic,
            replayed=type(error).__name__,
        )


async def verify(connection: Connection, models: Sequence[ReadModel]) -> Verified:
    """Replay the log to its head, compare every read model at its own position; the connection is in autocommit."""
    done = Verified()
    live = await _positions(connection)
    shadows = [_Shadow(model, await _table_like(connection, model.name, "shadow")) for model in models]
    until = await head(connection)
    fold = await LogFold.of_the_log(connection, until)
    try:
        async for events in pages(connection, until):
            fold.take(events)
            for shadow in shadows:
                await shadow.take(connection, events, live.get(shadow.model.name, (0, ""))[0])
    except MapperDeserialisationError:
        done.unreadable_at = await unreadable(connection, fold.position)
    done.position = fold.position
    done.findings = [*fold.findings, *fold.compare_books()]
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    for shadow in shadows:
        async with connection.transaction():
            await _compare(connection, shadow, done)
    await connection.set_isolation_level(None)
    done.kept_states, wrong = await kept_states.compare(connection, _differences)
    done.findings.extend(wrong)
    return done


async def _compare(connection: Connection, shadow: _Shadow, done: Verified) -> None:
    """Bring the shadow to where the live table stands in this snapshot, and tell each row that differs."""
    name = shadow.model.name
    position, state = (await _positions(connection)).get(name, (0, "absent"))
    if state != "following":
        done.findings.append(Finding(what=f"read-model-{state}", position=position + 1, row=name))
    if done.unreadable_at is None:
        async for events in pages(connection, position, shadow.position):
            await shadow.take(connection, events, position)
    if shadow.stuck is not None:
        done.findings.append(shadow.stuck)
        return
    if shadow.position < position:
        if done.unreadable_at is None:  # else it stands behind an event that cannot be read
            done.findings.append(
                Finding(
                    what="read-model-ahead",
                    position=position,
                    row=name,
                    field="position",
                    stored=position,
                    replayed=shadow.position,
                )
            )
        return
    key = await _key_of(connection, name)
    query = sql.SQL(_DIFFERENT + " limit {limit}").format(
        live=sql.Identifier(name),
        shadow=sql.Identifier(shadow.table),
        key=sql.SQL(", ").join(map(sql.Identifier, key)),
        limit=sql.Literal(ROWS_TOLD),
    )
    done.rows[name] = await _count(connection, name)
    rows = await (await connection.execute(query)).fetchall()
    for number, (stored, replayed) in enumerate(rows):
        row = _Row(name, key, stored, replayed)
        for field_, was, should in row.differences():
            position_of = row.position
            if position_of is None and number < ROWS_TRACED:
                position_of = await _first_divergence(connection, shadow, row, field_, was, position)
            done.findings.append(
                Finding(
                    what="read-model-row",
                    position=position_of,
                    subject=row.subject,
                    row=f"{name} {row.named}",
                    field=field_,
                    stored=was,
                    replayed=should,
                )
            )


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a read model as it is stored and as it is replayed; one of the two is None where it is missing."""

    table: str
    key: list[str]
    stored: dict[str, Any] | None
    replayed: dict[str, Any] | None

    @property
    def present(self) -> dict[str, Any]:
        found = self.stored or self.replayed
        assert found is not None
        return found

    @property
    def named(self) -> str:
        return " ".join(f"{name}={self.present[name]}" for name in self.key)

    @property
    def subject(self) -> UUID | None:
        """The card or member that the row is about."""
        name = next((name for name in ("card_id", "subject", "member_id") if name in self.present), None)
        return None if name is None else UUID(self.present[name])

    @property
    def position(self) -> int | None:
        """The position that the row itself names."""
        return self.present["position"] if "position" in self.key else None

    def differences(self) -> Iterator[tuple[str | None, Any, Any]]:
        """Field, stored and replayed value of each difference; no field where the whole row is missing or too much."""
        if self.stored is None or self.replayed is None:
            yield None, self.stored and "a row", self.replayed and "a row"
            return
        for name in self.stored:
            yield from _differences(name, _opened(self.stored[name]), _opened(self.replayed[name]))


def _opened(value: Any) -> Any:
    """A column of folded state as the JSON it holds; any other as it is."""
    if isinstance(value, str) and value.startswith("\\x"):
        return msgspec.json.decode(bytes.fromhex(value[2:]))
    return value


def _differences(name: str, stored: Any, replayed: Any) -> Iterator[tuple[str, Any, Any]]:
    if stored == replayed:
        return
    if isinstance(stored, dict) and isinstance(replayed, dict):
        for part in sorted({*stored, *replayed}):
            yield from _differences(f"{name}.{part}", stored.get(part), replayed.get(part))
    else:
        yield name, stored, replayed


async def _first_divergence(
    connection: Connection, shadow: _Shadow, row: _Row, field_: str | None, stored: Any, until: int
) -> int | None:
    """The first position after which the replayed field is never again what is stored; where it never was, the one
    that gave it its present value. None for a row that no event explains."""
    if row.subject is None or row.replayed is None:
        return None
    table = await _table_like(connection, row.table, "traced")
    query = sql.SQL("select to_jsonb(t) from {} t where {} = %s").format(
        sql.Identifier(table), sql.Identifier(row.key[0])
    )
    cursor = await connection.cursor(binary=True).execute(_STREAM, (row.subject, until))
    diverged, before = None, object()
    for recorded in recorded_rows(await cursor.fetchall()):
        await shadow.model.apply(connection, [recorded], table)
        found = await (await connection.execute(query, (row.subject,))).fetchone()
        value = None if found is None else _field(found[0], field_)
        if value == stored:
            diverged = None
        elif value != before:
            diverged = recorded.position if diverged is None or before != stored else diverged
        before = value
    return diverged


def _field(row: dict[str, Any], path: str | None) -> Any:
    """The value at a path as `_differences` tells it; of no path, that there is a row."""
    if path is None:
        return "a row"
    column, *parts = path.split(".")
    value = _opened(row[column])
    for part in parts:
        value = value.get(part) if isinstance(value, dict) else None
    return value


async def _table_like(connection: Connection, name: str, prefix: str) -> str:
    """An empty table of the same shape, gone with the connection."""
    table = f"{prefix}_{name}"
    await connection.execute(sql.SQL("drop table if exists pg_temp.{}").format(sql.Identifier(table)))
    await connection.execute(
        sql.SQL("create temp table {} (like {} including all)").format(sql.Identifier(table), sql.Identifier(name))
    )
    return table


async def _positions(connection: Connection) -> dict[str, tuple[int, str]]:
    rows = await (await connection.execute("select name, position, state from projections")).fetchall()
    return {name: (position, state) for name, position, state in rows}


async def _key_of(connection: Connection, table: str) -> list[str]:
    return [row[0] for row in await (await connection.execute(_PRIMARY_KEY, (table,))).fetchall()]


async def _count(connection: Connection, table: str) -> int:
    query = sql.SQL("select count(*) from {}").format(sql.Identifier(table))
    row = await (await connection.execute(query)).fetchone()
    return int(row[0]) if row is not None else 0
