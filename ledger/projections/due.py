"""Which cards the closing of a day has to ask, by the column `closes_on` of the read model `balances`.

What must stay true: this only chooses whom to ask; what follows is decided on the write side. It may name a card that
has nothing to close, and never leaves one out of those that were recorded before `caught_up` was awaited.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.closed_days import Books
from ledger.calendar import nominal_due
from ledger.money import Yen
from ledger.projections.freshness import Freshness
from ledger.refusals import ProjectionBehind

WAIT_SECONDS = 30.0
_BOOKS = """
select p.position, b.cards, b.principal, b.closes_on from projections p,
    (select count(*) as cards, coalesce(sum(principal), 0)::bigint as principal, min(closes_on) as closes_on
     from balances) b
where p.name = 'balances'
"""
_CARDS = """
select card_id from balances
where card_id > %s and (closes_on <= %s or (%s and principal > 0)) order by card_id limit %s
"""
_BEFORE_ANY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Outlook:
    """The books, and the first day from the one asked about on that has a card to close; None: there is no such day."""

    books: Books
    busy_on: date | None


class DueCards:
    """Reads the rows that are due."""

    def __init__(self, pool: AsyncConnectionPool[Any], freshness: Freshness) -> None:
        self._pool = pool
        self._freshness = freshness

    async def caught_up(self, position: int) -> None:
        """Wait until the rows show the position; raises ProjectionBehind."""
        if not await self._freshness.reached("balances", None, position, WAIT_SECONDS):
            raise ProjectionBehind(retry_after=1)

    async def outlook(self, day: date) -> Outlook:
        """The books as the rows show them, and when the next card is to be closed: on `day` at the earliest."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_BOOKS)).fetchone()
        if row is None:
            raise ProjectionBehind(retry_after=1)
        position, cards, principal, closes_on = row
        busy = [max(closes_on, day)] if closes_on is not None else []
        if principal:
            busy.append(nominal_due("end", day, 0))  # the income of a month is posted at its end
        return Outlook(Books(position=position, cards=cards, principal=Yen(principal)), min(busy, default=None))

    async def cards(self, day: date, *, month_end: bool, after: UUID | None, limit: int) -> list[UUID]:
        """The next cards to close on a day, in the order of their ids."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_CARDS, (after or _BEFORE_ANY, day, month_end, limit))
            return [row[0] for row in await cursor.fetchall()]
