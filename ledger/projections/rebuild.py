"""Rebuild: the same code over the whole log into a fresh table, which takes the place of the old one in one commit.

What must stay true: readers see the old rows or the new ones, never a half; nothing but a rebuild repairs a read model.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import psycopg
from psycopg import sql

from ledger.aggregates.fact import FACTS
from ledger.projections.read_model import Kept, ReadModel
from ledger.store.pages import Connection, Recorded, recorded_rows

PAGE = 8000
"""Events; the larger the page, the seldomer a folded row is written that later events change again."""
_EVENTS = """
select notification_id, recorded_at, originator_id, originator_version, topic, state from ledger_events
where notification_id > %s and notification_id <= %s and topic <> all(%s) order by notification_id
"""
_OPTIONS = """
select array(select array[option_name, option_value] from pg_options_to_table(reloptions))
from pg_class where oid = to_regclass(%s)
"""
_DIGEST = "select coalesce(sum(hashtextextended(t::text, 0)::numeric), 0), count(*) from {table} t"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How far the new table reaches, and whether the old one, at the same position, held the same rows."""

    position: int
    rows: int
    as_before: bool


async def rebuild(connection: Connection, model: ReadModel, told: Callable[[int], None] = lambda _: None) -> Rebuilt:
    """Rebuild one read model while the projector follows; `told` hears each position that was reached."""
    fresh = await _fresh(connection, model.name)
    position, kept = 0, Kept()
    while (through := await _reach(connection, model.name, position)) > position:
        async with connection.transaction():
            await _write(connection, model, await _between(connection, model, position, through), fresh, kept)
        position = through
        told(position)
    return await _switch(connection, model, fresh, position, kept)


async def rebuild_all(dsn: str, models: Sequence[ReadModel]) -> list[Rebuilt]:
    """Rebuild several, as many at a time as there are cores: each in a process of its own, a single one in this."""
    if len(models) == 1:
        return [await _rebuilt(dsn, models[0])]
    with ProcessPoolExecutor(min(len(models), os.cpu_count() or 1), get_context("spawn")) as room:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(room, _in_a_process, dsn, model) for model in models))


async def _rebuilt(dsn: str, model: ReadModel) -> Rebuilt:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        return await rebuild(connection, model)


def _in_a_process(dsn: str, model: ReadModel) -> Rebuilt:
    return asyncio.run(_rebuilt(dsn, model))


async def _fresh(connection: Connection, name: str) -> str:
    """An empty table like the live one, its storage options too, which LIKE leaves out."""
    fresh, table = sql.Identifier(f"{name}_rebuilt"), sql.Identifier(name)
    row = await (await connection.execute(_OPTIONS, (name,))).fetchone()
    assert row is not None
    await connection.execute(sql.SQL("drop table if exists {}").format(fresh))
    await connection.execute(sql.SQL("create table {} (like {} including all)").format(fresh, table))
    for option, value in row[0]:
        await connection.execute(
            sql.SQL("alter table {} set ({} = {})").format(fresh, sql.Identifier(option), sql.Literal(value))
        )
    return f"{name}_rebuilt"


async def _write(connection: Connection, model: ReadModel, events: Sequence[Recorded], table: str, kept: Kept) -> None:
    write = await model.write(connection, events, table, kept)
    if write is not None:
        await connection.execute(*write)


async def _reach(connection: Connection, name: str, position: int) -> int:
    """How far the next page goes: not beyond what the live table shows, or the two could not be compared.

    A live table that stopped, or never ran, is no measure, nor is one that says it is where the log has not come.
    """
    row = await (await connection.execute("select coalesce(max(notification_id), 0) from ledger_events")).fetchone()
    assert row is not None
    head, live = int(row[0]), await _standing(connection, name)
    return min(position + PAGE, head if live is None or live[1] != "following" else min(head, live[0]))


async def _between(connection: Connection, model: ReadModel, after: int, through: int) -> list[Recorded]:
    """The events of the page, without those that are known to be nothing to this read model."""
    without = [topic for topic, fact in FACTS.items() if not model.heeds(fact)]
    cursor = await connection.cursor(binary=True).execute(_EVENTS, (after, through, without))
    return recorded_rows(await cursor.fetchall())


async def _standing(connection: Connection, name: str) -> tuple[int, str] | None:
    row: tuple[int, str] | None = await (
        await connection.execute("select position, state from projections where name = %s", (name,))
    ).fetchone()
    return row


async def _switch(connection: Connection, model: ReadModel, fresh: str, position: int, kept: Kept) -> Rebuilt:
    """Catch up under the row that every page of the projector moves, compare, and change the tables over."""
    async with connection.transaction():
        # A page of the projector takes its locks in this order, too: tables, then positions.
        table = sql.Identifier(model.name)
        await connection.execute(sql.SQL("lock table {} in share row exclusive mode").format(table))
        await connection.execute("select from projections where name = %s for update", (model.name,))
        while (through := await _reach(connection, model.name, position)) > position:
            await _write(connection, model, await _between(connection, model, position, through), fresh, kept)
            position = through
        live = await _standing(connection, model.name)
        old, new = await _digest(connection, model.name), await _digest(connection, fresh)
        await connection.execute(sql.SQL("drop table {}").format(sql.Identifier(model.name)))
        await connection.execute(
            sql.SQL("alter table {} rename to {}").format(sql.Identifier(fresh), sql.Identifier(model.name))
        )
        await connection.execute(
            "insert into projections (name, position) values (%s, %s) on conflict (name) do update"
            " set position = excluded.position, built = projections.built + 1, state = 'following',"
            " failed_position = null, failed_type = null, failed_error = null, updated_at = clock_timestamp()",
            (model.name, position),
        )
    return Rebuilt(position, new[1], old == new and live == (position, "following"))


async def _digest(connection: Connection, table: str) -> tuple[object, int]:
    """The rows of a table as a sum of their hashes, in whatever order they lie."""
    row = await (await connection.execute(sql.SQL(_DIGEST).format(table=sql.Identifier(table)))).fetchone()
    assert row is not None
    return row[0], int(row[1])
