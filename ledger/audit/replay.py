"""Replay: a card or a member as it was at a position, folded from the stream alone.

What must stay true: a replay reads and folds, and writes nothing; the position that an instant stands for is answered.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.fact import Aggregate
from ledger.refusals import BeforeFirstEvent
from ledger.store.pages import recorded_rows

A = TypeVar("A", bound=Aggregate)

PAGE = 1000
_STREAM = """
select notification_id, recorded_at, originator_id, originator_version, topic, state from ledger_events
where originator_id = %s and originator_version > %s and notification_id <= %s
order by originator_version limit %s
"""
_HEAD = "select coalesce(max(notification_id), 0) from ledger_events"
# Positions and recorded times grow together: the last position at or before an instant is found by halving.
_AT = "select recorded_at from ledger_events where notification_id = %s"


class Replay:
    """Folds streams up to a position."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def position_of(self, as_of: int | datetime) -> int:
        """The position that is meant; raises BeforeFirstEvent."""
        async with self._pool.connection() as connection:
            head = await (await connection.execute(_HEAD)).fetchone()
            last = int(head[0]) if head else 0
            if isinstance(as_of, int):
                position = min(as_of, last)
            else:
                first, position = 0, last
                while first < position:
                    middle = (first + position + 1) // 2
                    row = await (await connection.execute(_AT, (middle,))).fetchone()
                    assert row is not None, "positions are dense"
                    first, position = (middle, position) if row[0] <= as_of else (first, middle - 1)
        if position < 1:
            raise BeforeFirstEvent
        return position

    async def aggregate(self, kind: type[A], stream: UUID, position: int) -> A | None:
        """The stream folded to the position; None where it has not begun by then, or is of another kind."""
        aggregate: Aggregate | None = None
        version = 0
        while True:
            async with self._pool.connection() as connection:
                cursor = await connection.cursor(binary=True).execute(_STREAM, (stream, version, position, PAGE))
                rows = await cursor.fetchall()
            for recorded in recorded_rows(rows):
                aggregate = recorded.event.mutate(aggregate)
            if len(rows) < PAGE or aggregate is None:
                return aggregate if isinstance(aggregate, kind) else None
            version = aggregate.version

    async def head(self) -> int:
        """The last position of the log."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_HEAD)).fetchone()
        return int(row[0]) if row else 0

    async def recorded_at(self, position: int) -> datetime:
        """When the log took the event at a position."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_AT, (position,))).fetchone()
        assert row is not None, "the position was looked up before"
        instant: datetime = row[0]
        return instant

    async def exists(self, stream: UUID) -> bool:
        async with self._pool.connection() as connection:
            query = "select exists (select from ledger_events where originator_id = %s)"
            row = await (await connection.execute(query, (stream,))).fetchone()
        return row is not None and bool(row[0])
