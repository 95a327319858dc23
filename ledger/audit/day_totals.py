"""The control totals of closed days, taken again while the log is folded: what a closing brought about, and the books.

What must stay true: the totals are counted from the facts of the cards alone, the books at the very position that the
closing names; a closing that names a position the log has not reached before it is a difference too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import msgspec

from ledger.aggregates.access import BorrowingSuspended, CardStopped
from ledger.aggregates.closed_days import CALENDAR_ID, Books, DayClosed, Found
from ledger.aggregates.fact import Event, Fact
from ledger.aggregates.instalments import InstalmentMissed, InterestFreeEnded, InterestPosted
from ledger.money import Yen
from ledger.store.closings import causation_of
from ledger.store.mapper import MapperDeserialisationError
from ledger.store.pages import Connection, recorded_rows

_CLOSINGS = """
select notification_id, recorded_at, originator_id, originator_version, topic, state from ledger_events
where originator_id = %s and notification_id <= %s order by originator_version
"""
COUNTED: Final[dict[type[Fact], str]] = {
    InstalmentMissed: "instalments_missed",
    BorrowingSuspended: "suspensions",
    CardStopped: "stops",
    InterestFreeEnded: "interest_free_ended",
    InterestPosted: "",
}
"""The facts that a closing counts, by the total each adds one to; the income of a month end adds its amounts."""


@dataclass(slots=True)
class _Day:
    cards: set[UUID] = field(default_factory=set)
    totals: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class DayTotals:
    """What was counted so far. `named` are the positions that closings name: the books are kept for those alone."""

    named: frozenset[int] = frozenset()
    books: dict[int, Books] = field(default_factory=dict)
    days: dict[str, _Day] = field(default_factory=dict)

    @classmethod
    async def on_record(cls, connection: Connection, until: int) -> DayTotals:
        """Ready for a fold of the log up to a position; a closing that cannot be read is left to the fold to find."""
        cursor = await connection.cursor(binary=True).execute(_CLOSINGS, (CALENDAR_ID, until))
        named = set[int]()
        for row in await cursor.fetchall():
            try:
                fact = recorded_rows([row])[0].event.fact
            except MapperDeserialisationError:
                continue
            if isinstance(fact, DayClosed):
                named.add(fact.books.position)
        return cls(frozenset(named))

    def passed(self, position: int, cards: int, principal: int) -> None:
        """Keep the books as they stand after this position, if a closing names it."""
        if position in self.named:
            self.books[position] = Books(position=position, cards=cards, principal=Yen(principal))

    def count(self, event: Event) -> None:
        """Count a fact that the closing of a day brought about."""
        causation, total = event.cause.causation_id, COUNTED.get(type(event.fact))
        if causation is None or total is None:
            return
        day = self.days.setdefault(causation, _Day())
        day.cards.add(event.originator_id)
        if isinstance(event.fact, InterestPosted):
            day.totals["interest_posted"] += event.fact.interest
            day.totals["late_damages_posted"] += event.fact.late_damages
        else:
            day.totals[total] += 1

    def differences(self, closed: DayClosed) -> Iterator[tuple[str, Any, Any]]:
        """Field, recorded and counted value of each total that is not what the log says."""
        day = self.days.pop(causation_of(closed.day), _Day())
        found = Found(cards=len(day.cards), **day.totals)  # type: ignore[arg-type]  # the totals are those of Found
        yield from _differences("found", closed.found, found)
        books = self.books.get(closed.books.position)
        if books is None:
            yield "books.position", closed.books.position, None
        else:
            yield from _differences("books", closed.books, books)


def _differences(name: str, recorded: Found | Books, counted: Found | Books) -> Iterator[tuple[str, Any, Any]]:
    right = msgspec.to_builtins(counted)
    for part, value in msgspec.to_builtins(recorded).items():
        if value != right[part]:
            yield f"{name}.{part}", value, right[part]
