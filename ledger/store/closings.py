"""What the log itself tells about closing days: its first day, and what the closing of one day brought about.

What must stay true: a fact is counted by its causation, so a closing that was killed and taken up again counts the same
as one that was not.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.closed_days import Found
from ledger.calendar import business_day
from ledger.money import Yen

_TOPICS = (
    "card.instalment-missed", "card.interest-free-ended", "card.interest-posted", "card.borrowing-suspended",
    "card.card-stopped",
)  # fmt: skip
_FIRST = "select recorded_at from ledger_events where notification_id = 1"
_HEAD = "select coalesce(max(notification_id), 0) from ledger_events"
_FOUND = """
select count(distinct originator_id),
    count(*) filter (where topic = 'card.instalment-missed'),
    count(*) filter (where topic = 'card.borrowing-suspended'),
    count(*) filter (where topic = 'card.card-stopped'),
    count(*) filter (where topic = 'card.interest-free-ended'),
    coalesce(sum((told->'data'->>'interest')::bigint) filter (where topic = 'card.interest-posted'), 0)::bigint,
    coalesce(sum((told->'data'->>'late_damages')::bigint) filter (where topic = 'card.interest-posted'), 0)::bigint
from (
    select originator_id, topic, convert_from(state, 'UTF8')::jsonb as told
    from ledger_events where notification_id > %s and topic = any(%s)
) e where told->'cause'->>'causation_id' = %s
"""


def causation_of(day: date) -> str:
    """The causation of every fact that the closing of this day brings about."""
    return f"day-close:{day}"


class Closings:
    """Reads for the closing of days."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def first_day(self) -> date | None:
        """The business day of the first event; None while the log is empty."""
        recorded_at = await self._value(_FIRST)
        return None if recorded_at is None else business_day(recorded_at)

    async def head(self) -> int:
        return int(await self._value(_HEAD))

    async def found(self, day: date, after: int) -> Found:
        """What closing the day brought about so far; its facts lie after the position `after`."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_FOUND, (after, list(_TOPICS), causation_of(day)))).fetchone()
        assert row is not None, "a count answers a row"
        return Found(
            cards=row[0],
            instalments_missed=row[1],
            suspensions=row[2],
            stops=row[3],
            interest_free_ended=row[4],
            interest_posted=Yen(row[5]),
            late_damages_posted=Yen(row[6]),
        )

    async def _value(self, query: str) -> Any:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(query)).fetchone()
        return None if row is None else row[0]
