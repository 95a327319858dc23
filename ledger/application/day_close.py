"""The closing of business days: who has to be asked, card by card in the lane, and the fact that a day is closed.

What must stay true: a card's closing is an act that finds its own facts done, so a close that was killed is simply done
again. The day's own fact comes last. Whom to ask comes from a read model that has caught up; what follows for a card is
decided on the write side alone, under the terms of the day that is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

from msgspec.structs import replace

from ledger.aggregates.closed_days import CALENDAR_ID, Books, Calendar, Found
from ledger.calendar import ONE_DAY, business_day, is_month_end
from ledger.instruction import Answer, Instruction
from ledger.lane import Act, Desk, GatheredStale, Lane
from ledger.store.closings import Closings, causation_of
from ledger.terms import TermsBook

T = TypeVar("T")

CARDS_AT_ONCE = 200
DAYS_AT_ONCE = 200
"""Both stay below what the lane takes in one commit."""


class Outlook(Protocol):
    """The books at a position, and the first day that has a card to close."""

    @property
    def books(self) -> Books: ...

    @property
    def busy_on(self) -> date | None: ...


class Due(Protocol):
    """The read model of what is due."""

    async def caught_up(self, position: int) -> None:
        """Wait until it shows this position; raises ProjectionBehind."""
        ...

    async def outlook(self, day: date) -> Outlook: ...

    async def cards(self, day: date, *, month_end: bool, after: UUID | None, limit: int) -> list[UUID]: ...


class DayClose:
    """Closes days, in their order."""

    def __init__(self, lane: Lane, terms: TermsBook, closings: Closings, due: Due) -> None:
        self._lane = lane
        self._terms = terms
        self._closings = closings
        self._due = due

    async def close_days(self, order: Instruction, through: date) -> Answer:
        """Close every open day up to one; days before the first event are not open. Raises DayNotOver.

        The answer, which an idempotency key keeps, is given when all of them are closed: until then the act finds that
        it has to gather, and what it gathers is the closing of the next days.
        """

        def decide(desk: Desk) -> dict[str, Any]:
            calendar = _calendar(desk)
            calendar.refuse_unless_over(through)
            first_open = calendar.first_open(first_day)
            if first_open is not None and first_open <= through:
                raise GatheredStale
            return _closed(calendar)

        while True:
            first_day = await self._closings.first_day()
            try:
                return await self._lane.execute(Act(order, (CALENDAR_ID,), decide))
            except GatheredStale:
                await self._close_next(order, through)

    async def close_day(self, order: Instruction, day: date) -> Answer:
        """Close exactly this day; raises DayNotOver, DayNotOpen or DayOutOfOrder."""
        first_day = await self._closings.first_day()
        await self._ask(order, lambda calendar: calendar.refuse_unless_next(day, first_day))
        return await self.close_days(order, day)

    async def close_over(self, order: Instruction, since: timedelta) -> Answer:
        """Close every day that has been over for so long."""
        through = await self._ask(order, lambda calendar: business_day(calendar.at - since) - ONE_DAY)
        return await self.close_days(order, through)

    async def _close_next(self, order: Instruction, through: date) -> None:
        """Close the first open day; where it has no card to close, all days up to the next one that has."""
        await self._due.caught_up(await self._closings.head())
        first_day = await self._closings.first_day()
        day, since = await self._ask(order, lambda it: (it.first_open(first_day), it.closed_at_position))
        if day is None or day > through:
            return
        outlook = await self._due.outlook(day)
        busy = outlook.busy_on == day
        if busy:
            await self._close_cards(order, day)
        found = await self._closings.found(day, since)
        if busy or found != Found():  # a close that was killed after its last card leaves none to be asked again
            await self._record(order, day, 1, found)
            return
        until = through if outlook.busy_on is None else min(through, outlook.busy_on - ONE_DAY)
        await self._record(order, day, min((until - day).days + 1, DAYS_AT_ONCE), Found())

    async def _close_cards(self, order: Instruction, day: date) -> None:
        """Ask every card that is due; many acts wait at once, so that they share commits."""
        cause = replace(order.cause, causation_id=causation_of(day))
        caused = Instruction(caller=order.caller, cause=cause)
        async for cards in self._pages(day):
            await asyncio.gather(*(self._lane.execute(self._closing(caused, card_id, day)) for card_id in cards))

    async def _pages(self, day: date) -> AsyncIterator[list[UUID]]:
        after: UUID | None = None
        while True:
            cards = await self._due.cards(day, month_end=is_month_end(day), after=after, limit=CARDS_AT_ONCE)
            if not cards:
                return
            yield cards
            after = cards[-1]

    def _closing(self, order: Instruction, card_id: UUID, day: date) -> Act:
        terms = self._terms.at(day)

        def decide(desk: Desk) -> dict[str, Any]:
            desk.card(card_id).close_day(day, terms)
            return {}

        return Act(order, (card_id,), decide)

    async def _record(self, order: Instruction, first: date, days: int, found: Found) -> None:
        """Record that days are closed, with the books as they stand after the last card."""
        await self._due.caught_up(await self._closings.head())
        books = (await self._due.outlook(first)).books

        def decide(desk: Desk) -> dict[str, Any]:
            calendar = _calendar(desk)
            for number in range(days):
                calendar.close_day(first + timedelta(days=number), found, books)
            return {}

        await self._lane.execute(Act(order.keyless, (CALENDAR_ID,), decide))

    async def _ask(self, order: Instruction, question: Callable[[Calendar], T]) -> T:
        """What the calendar answers at the time of the question, which may refuse; records nothing."""
        told: list[T] = []

        def decide(desk: Desk) -> dict[str, Any]:
            told.append(question(_calendar(desk)))
            return {}

        await self._lane.execute(Act(order.keyless, (CALENDAR_ID,), decide))
        return told[-1]


def _calendar(desk: Desk) -> Calendar:
    calendar = desk.streams.get(CALENDAR_ID)
    if isinstance(calendar, Calendar):
        return calendar.instructed_by(desk.order.cause, desk.now)
    return desk.new(Calendar, CALENDAR_ID)


def _closed(calendar: Calendar) -> dict[str, Any]:
    closed = calendar.closed_through
    return {"closed_through": closed.isoformat() if closed is not None else None}
