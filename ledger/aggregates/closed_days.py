"""Which business days are closed: a stream of its own, one fact for each day, in the order of the calendar.

What must stay true: days are closed one after the other, each once, and only when they are over. The fact is recorded
after everything that closing the day brought about, so that whoever reads it knows that the day is whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID, uuid5

from ledger.aggregates.fact import Aggregate, Fact
from ledger.calendar import ONE_DAY, business_day
from ledger.money import Yen
from ledger.refusals import Refusal
from ledger.remedies import CHOOSE_ANOTHER_DAY

CALENDAR_ID = uuid5(UUID("6f1f9f6e-9a53-5cb1-9d6c-6a1f6f6f2a10"), "calendar")
"""The one stream of closed days in every ledger."""


class DayNotOver(Refusal, code="day-not-over", ja="この営業日はまだ終わっていません。", remedy=CHOOSE_ANOTHER_DAY):
    """The day is not over yet on the business clock."""


class DayNotOpen(
    Refusal, code="day-not-open", ja="この日は締め済みか、最初の記録より前の日です。", remedy=CHOOSE_ANOTHER_DAY
):
    """The day is closed already, or lies before the first event."""


class DayOutOfOrder(
    Refusal, code="day-out-of-order", ja="これより前の日がまだ締められていません。", remedy=CHOOSE_ANOTHER_DAY
):
    """An earlier day is still open; days are closed in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Control totals over all cards as they stand at a position of the log; `principal` is in whole yen."""

    position: int
    cards: int
    principal: Yen


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the closing of a day brought about, over all cards; amounts are whole yen."""

    cards: int = 0
    instalments_missed: int = 0
    suspensions: int = 0
    stops: int = 0
    interest_free_ended: int = 0
    interest_posted: Yen = Yen(0)
    late_damages_posted: Yen = Yen(0)


class Calendar(Aggregate, stream="calendar"):
    """The last day that is closed, and the position that its control totals were taken at."""

    closed_through: date | None
    closed_at_position: int

    def begin(self) -> None:
        self.closed_through, self.closed_at_position = None, 0

    def first_open(self, first_day: date | None) -> date | None:
        """The day to be closed next; `first_day` is that of the first event, None while there is none."""
        return first_day if self.closed_through is None else self.closed_through + ONE_DAY

    def refuse_unless_over(self, day: date) -> None:
        if day >= business_day(self.at):
            raise DayNotOver

    def refuse_unless_next(self, day: date, first_day: date | None) -> None:
        """Raise the reason why this day cannot be closed now; the first that applies."""
        self.refuse_unless_over(day)
        first_open = self.first_open(first_day)
        if first_open is None or day < first_open:
            raise DayNotOpen
        if day > first_open:
            raise DayOutOfOrder

    def close_day(self, day: date, found: Found, books: Books) -> None:
        """Say that a day is closed. Saying it again records nothing."""
        if self.closed_through is None or self.closed_through < day:
            self.record(DayClosed(day=day, found=found, books=books))


class DayClosed(Fact, topic="calendar.day-closed"):
    """The day is closed. `found` can be counted again from the facts whose causation is this closing, `books` by
    folding all cards to the position that it names."""

    day: date
    found: Found
    books: Books

    def evolve(self, aggregate: Calendar, at: datetime) -> None:
        aggregate.closed_through, aggregate.closed_at_position = self.day, self.books.position
