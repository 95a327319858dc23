"""Rebuild: the same code over the whole log into a fresh table, which takes the place of the old one in one commit.

What must stay true: readers see the old rows or the new ones, never a half; nothing but a rebuild repairs a read model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg import sql

from ledger.projections.read_model import Kept, ReadModel
from ledger.store.pages import Connection, Recorded, page_after

_DIGEST = "select coalesce(sum(hashtextextended(t::text, 0)::numeric), 0), count(*) from {table} t"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How far the new table reaches, and whether the old one, at the same position, held the same rows."""

    position: int
    rows: int
    as_before: bool


async def rebuild(connection: Connection, model: ReadModel, told: Callable[[int], None] = lambda _: None) -> Rebuilt:
    """Rebuild one read model while the projector follows; `told` hears each position that was reached."""
    fresh = f"{model.name}_rebuilt"
    await connection.execute(sql.SQL("drop table if exists {}").format(sql.Identifier(fresh)))
    await connection.execute(
        sql.SQL("create table {} (like {} including all)").format(sql.Identifier(fresh), sql.Identifier(model.name))
    )
    position, kept = 0, Kept()
    while events := await _next_page(connection, model.name, position):
        async with connection.transaction():
            await _write(connection, model, events, fresh, kept)
        position = events[-1].position
        told(position)
    return await _switch(connection, model, fresh, position, kept)


async def _write(connection: Connection, model: ReadModel, events: Sequence[Recorded], table: str, kept: Kept) -> None:
    write = await model.write(connection, events, table, kept)
    if write is not None:
        await connection.execute(*write)


async def _next_page(connection: Connection, name: str, position: int) -> list[Recorded]:
    """The next events, as far as the live table shows them: beyond, the two could not be compared.

    A live table that stopped, or never ran, is no measure: then the next events of the log.
    """
    events = await page_after(connection, position)
    row = await _standing(connection, name)
    if row is None or row[1] != "following":
        return events
    return [event for event in events if event.position <= row[0]]


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
        while events := await _next_page(connection, model.name, position):
            await _write(connection, model, events, fresh, kept)
            position = events[-1].position
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
