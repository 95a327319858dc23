"""A page that failed, taken again with each read model by itself, so that the one at fault stops and the others go on.

What must stay true: a read model stops right before the event that it cannot take, with the reason on record, and
nothing is skipped; a lost connection is no poison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg
import structlog
from psycopg import sql

from ledger.faults import kind_and_place
from ledger.projections.read_model import ReadModel
from ledger.store.mapper import MapperDeserialisationError
from ledger.store.pages import PAGE, Connection, Recorded, page_after

log = structlog.get_logger(__name__)

MOVE = b"select move_projections(%b::text[], %b::bigint[], %b::bigint[], %b::bigint[])"
_POSITIONS = """
select name, position, built from projections where state = 'following' and name = any(%s) order by name for update
"""


async def take_apart(connection: Connection, read_models: Mapping[str, ReadModel]) -> int:
    """Apply the next page to each read model that follows, in a savepoint of its own; how many events it held."""
    async with connection.transaction():
        await _lock_tables(connection, list(read_models))
        found = await (await connection.execute(_POSITIONS, (list(read_models),))).fetchall()
        positions = {name: position for name, position, _ in found}
        events = await _next_page(connection, positions) if positions else []
        if not events:
            return 0
        moved = []
        for name, position, built in found:
            news = [each for each in events if each.position > position]
            if news and await _apply(connection, read_models[name], news):
                moved.append((name, position, built, news[-1].position))
        if moved:
            await connection.execute(MOVE, tuple(map(list, zip(*moved, strict=True))))
    return len(events)


async def _lock_tables(connection: Connection, names: list[str]) -> None:
    """Tables first, then their positions: a rebuild that changes a table over takes its locks in the same order."""
    query = "select n from unnest(%s::text[]) n where to_regclass(n) is not null order by n"
    present = [row[0] for row in await (await connection.execute(query, (names,))).fetchall()]
    if present:
        tables = sql.SQL(", ").join(map(sql.Identifier, present))
        await connection.execute(sql.SQL("lock table {} in row exclusive mode").format(tables))


async def _next_page(connection: Connection, positions: dict[str, int]) -> list[Recorded]:
    try:
        return await page_after(connection, min(positions.values()), PAGE)
    except MapperDeserialisationError:
        return await _readable(connection, positions)


async def _readable(connection: Connection, positions: dict[str, int]) -> list[Recorded]:
    """The events before one that cannot be read at all; where it is the next one, every read model stops there."""
    behind = min(positions.values())
    events: list[Recorded] = []
    while True:
        try:
            following = await page_after(connection, events[-1].position if events else behind, 1)
        except MapperDeserialisationError as error:
            if not events:
                for name, position in positions.items():
                    if position == behind:
                        await _fail(connection, name, behind + 1, "unreadable", error)
            return events
        events.extend(following)


async def _apply(connection: Connection, model: ReadModel, events: Sequence[Recorded]) -> bool:
    """Apply the events inside a savepoint; False when the read model was stopped at a poison event."""
    try:
        async with connection.transaction():
            await model.apply(connection, events, model.name)
    except psycopg.OperationalError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever an event does to a read model stops that one alone
        await _stop_at_poison(connection, model, events, error)
        return False
    return True


async def _stop_at_poison(
    connection: Connection, model: ReadModel, events: Sequence[Recorded], error: Exception
) -> None:
    """Apply what is before the poison event and leave the read model there, with the reason."""
    if len(events) > 1:
        half = len(events) // 2
        if await _apply(connection, model, events[:half]):
            await _move(connection, model.name, events[half - 1].position)
            if await _apply(connection, model, events[half:]):
                await _move(connection, model.name, events[-1].position)
        return
    poison = events[0]
    await _fail(connection, model.name, poison.position, poison.event.fact.topic, error)


async def _fail(connection: Connection, name: str, position: int, topic: str, error: Exception) -> None:
    log.error("projector.poison", read_model=name, position=position, topic=topic, **kind_and_place(error))
    await connection.execute(
        "update projections set state = 'failed', failed_position = %s, failed_type = %s, failed_error = %s,"
        " updated_at = clock_timestamp() where name = %s",
        (position, topic, type(error).__name__, name),
    )


async def _move(connection: Connection, name: str, position: int) -> None:
    await connection.execute(
        "update projections set position = %s, updated_at = clock_timestamp() where name = %s", (position, name)
    )
