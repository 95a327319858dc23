"""A card whose member borrows and repays on given days: the money half of `acting.py`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar
from uuid import UUID

from ledger.aggregates.account import Figures
from ledger.aggregates.advances import AdvanceAnswer
from ledger.aggregates.card import Card
from ledger.aggregates.fact import Cause, Event, Fact
from ledger.aggregates.repayments import RepaymentAnswer, RepaymentMade
from ledger.calendar import JST
from ledger.money import Yen
from ledger.terms import TermsBook

CARD = UUID("33333333-3333-4333-8333-333333333333")
MEMBER = UUID("44444444-4444-4444-8444-444444444444")
BOOK = TermsBook.load()
CAUSE = Cause(actor="member", role="member", channel="web", command_id=MEMBER, correlation_id="test")

F = TypeVar("F", bound=Fact)


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), JST).astimezone(UTC)


class Borrower:
    """One card, on a calendar that moves to the day of each act."""

    def __init__(
        self,
        issued_on: date,
        *,
        limit: int = 500_000,
        rate: int = 1780,
        due_day: int | str = 5,
        interest_free: bool = False,
        book: TermsBook = BOOK,
        card_id: UUID = CARD,
    ) -> None:
        self.book = book
        self.card = Card.blank(card_id)
        self.on(issued_on)
        self.card.issue(
            member_id=MEMBER,
            number_last4="0000",
            credit_limit=Yen(limit),
            annual_rate_bps=rate,
            due_day=due_day,
            interest_free=interest_free,
            pin_refused=False,
            terms=book.at(issued_on),
        )

    def on(self, day: date) -> Card:
        """The card, with the next act done on this day."""
        self.day = day
        return self.card.instructed_by(CAUSE, noon(day))

    @property
    def terms(self) -> Any:
        return self.book.at(self.day)

    def reserve(self, day: date, amount: int, purpose: str = "transfer") -> AdvanceAnswer:
        card = self.on(day)
        return card.reserve_advance(Yen(amount), purpose, channel="web", payout_account=True, terms=self.book.at(day))

    def confirm(self, day: date, advance_id: UUID, value_date: date | None = None) -> AdvanceAnswer:
        return self.on(day).confirm_advance(advance_id, value_date=value_date, terms=self.book.at(day))

    def draw(self, day: date, amount: int, value_date: date | None = None) -> UUID:
        """An advance reserved and confirmed on one day."""
        advance_id = self.reserve(day, amount).advance_id
        self.confirm(day, advance_id, value_date)
        return advance_id

    def repay(
        self,
        day: date,
        amount: int,
        method: str = "bank-transfer",
        *,
        value_date: date | None = None,
        by_member: bool = False,
    ) -> RepaymentAnswer:
        card = self.on(day)
        return card.repay(
            Yen(amount), method=method, by_member=by_member, value_date=value_date, terms=self.book.at(day)
        )

    def close_through(self, first: date, last: date) -> None:
        """Close each day, in the small hours of the next one."""
        for ordinal in range(first.toordinal(), last.toordinal() + 1):
            day = date.fromordinal(ordinal)
            self.on(day + timedelta(days=1)).close_day(day, self.book.at(day))

    def figures(self, day: date) -> Figures:
        return self.card.account.figures(day, self.book, self.card.borrowing_barred)

    @property
    def events(self) -> list[Event]:
        return list(self.card.pending_events)  # type: ignore[arg-type]

    def facts(self, kind: type[F]) -> list[F]:
        return [event.fact for event in self.events if isinstance(event.fact, kind)]

    @property
    def last_receipt(self) -> RepaymentMade:
        return self.facts(RepaymentMade)[-1]

    @property
    def topics(self) -> list[str]:
        return [event.fact.topic.partition(".")[2] for event in self.events]

    def fold(self) -> Card:
        folded = Card.blank(CARD)
        for event in self.events:
            event.mutate(folded)
        return folded
