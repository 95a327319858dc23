"""Replay: a card or a member as it was at a position, folded from the stream alone.

What must stay true: a replay reads and folds, and writes nothing; the position that an instant stands for is answered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.fact import Aggregate
from ledger.refusals import BeforeFirstEvent, Refusal
from ledger.remedies import CHOOSE_ANOTHER_INSTANT
from ledger.store.pages import Recorded, recorded_rows

A = TypeVar("A", bound=Aggregate)

PAGE = 1000
_STREAM = """
select notification_id, recorded_at, originator_id, originator_version, topic, state from ledger_events
where originator_id = %s and originator_version > %s and notification_id <= %s
order by originator_version limit %s
"""
_HEAD = "select coalesce(max(notification_id), 0) from ledger_events"
_BEGINNING = "select topic from ledger_events where originator_id = %s and originator_version = 1"
# Positions and recorded times grow together: the last position at or before an instant is found by halving.
_AT = "select recorded_at from ledger_events where notification_id = %s"


class PositionUnknown(
    Refusal,
    code="position-unknown",
    ja="指定の位置は、まだ記録にありません。",
    remedy=CHOOSE_ANOTHER_INSTANT,
    stored=False,
):
    """The log does not reach that position."""


class Replay:
    """Folds streams up to a position."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self.pool = pool

    async def position_of(self, as_of: int | datetime) -> int:
        """The position that is meant; raises BeforeFirstEvent, and PositionUnknown beyond the end of the log."""
        if isinstance(as_of, datetime):
            position = await self.last_recorded_by(as_of)
        elif as_of > await self.head():
            raise PositionUnknown
        else:
            position = as_of
        if position < 1:
            raise BeforeFirstEvent
        return position

    async def instant_of(self, as_of: int | datetime, position: int) -> datetime:
        """When a view as of that moment stands: at the instant asked for, though not ahead of the clock; of a position,
        when it was recorded."""
        return min(as_of, await self.now()) if isinstance(as_of, datetime) else await self.recorded_at(position)

    async def last_recorded_by(self, instant: datetime, *, before: bool = False) -> int:
        """The last position that was recorded at or before an instant, 0 where there is none; `before`: before it."""
        async with self.pool.connection() as connection:
            head = await (await connection.execute(_HEAD)).fetchone()
            first, last = 0, int(head[0]) if head else 0
            while first < last:
                middle = (first + last + 1) // 2
                row = await (await connection.execute(_AT, (middle,))).fetchone()
                assert row is not None, "positions are dense"
                earlier = row[0] < instant if before else row[0] <= instant
                first, last = (middle, last) if earlier else (first, middle - 1)
        return first

    async def stream(self, stream: UUID, position: int) -> AsyncIterator[Recorded]:
        """The events of a stream up to a position, in order, read in pages."""
        version = 0
        while True:
            async with self.pool.connection() as connection:
                cursor = await connection.cursor(binary=True).execute(_STREAM, (stream, version, position, PAGE))
                rows = await cursor.fetchall()
            for recorded in recorded_rows(rows):
                yield recorded
                version = recorded.event.originator_version
            if len(rows) < PAGE:
                return

    async def aggregate(self, kind: type[A], stream: UUID, position: int) -> A | None:
        """The stream folded to the position; None where it has not begun by then, or is of another kind."""
        aggregate: Aggregate | None = None
        async for recorded in self.stream(stream, position):
            aggregate = recorded.event.mutate(aggregate)
        return aggregate if isinstance(aggregate, kind) else None

    async def head(self) -> int:
        """The last position of the log."""
        async with self.pool.connection() as connection:
            row = await (await connection.execute(_HEAD)).fetchone()
        return int(row[0]) if row else 0

    async def recorded_at(self, position: int) -> datetime:
        """When the log took the event at a position."""
        async with self.pool.connection() as connection:
            row = await (await connection.execute(_AT, (position,))).fetchone()
        assert row is not None, "the position was looked up before"
        instant: datetime = row[0]
        return instant

    async def now(self) -> datetime:
        """The present of the business clock."""
        async with self.pool.connection() as connection:
            row = await (await connection.execute("select business_now()")).fetchone()
        assert row is not None
        instant: datetime = row[0]
        return instant

    async def exists(self, stream: UUID, kind: str = "") -> bool:
        """Whether there is such a stream; of a kind, by the first word of its topics, where one is named."""
        async with self.pool.connection() as connection:
            row = await (await connection.execute(_BEGINNING, (stream,))).fetchone()
        return row is not None and str(row[0]).startswith(f"{kind}." if kind else "")
