"""Instalments: set, satisfied, missed, withdrawn; the interest-free period; the month end; the day close of a card.

What must stay true: whether an instalment was missed follows from dates, not from when somebody looked. Every advance
and every receipt judges the due dates that are over, and the day close does so for cards that had neither.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from ledger.aggregates.access import CardAccess
from ledger.aggregates.balance import Account, AccountFact
from ledger.aggregates.passbook import Passbook
from ledger.aggregates.schedule import Schedule, ends_free_period, following_due, is_filled, missed_by
from ledger.aggregates.standing import Due, Missed, Standing
from ledger.calendar import CALENDAR_VERSION, business_day, is_month_end, months_later
from ledger.money import ZERO, Yen
from ledger.repayment import Claims
from ledger.terms import Terms

# Facts ----------------------------------------------------------------------------------------------------------------


class InstalmentSet(AccountFact, topic="card.instalment-set"):
    """The instalment until the next advance; `advance_id` is the one that set it, None after a restatement."""

    advance_id: UUID | None
    balance: Yen
    coefficient_bps: int
    amount: Yen
    late_damages_bps: int
    terms_version: str

    def apply(self, account: Account, at: datetime) -> None:
        account.standing = account.standing.instalment_set(self.amount, self.late_damages_bps)

    def note(self, passbook: Passbook, before: Standing) -> None:
        if self.advance_id is not None:
            drawn = passbook.drawn(self.advance_id)
            drawn.schedule = Schedule(self.amount, self.coefficient_bps, self.late_damages_bps, None)


class DueDateSet(AccountFact, topic="card.due-date-set"):
    """The next due date: nominal, and moved to a business day of the calendar named. Receipts count from `opens` on;
    `window_paid` is what counts already. `advance_id`: the first advance that set it."""

    nominal: date
    due: date
    opens: date
    window_paid: Yen
    calendar_version: str
    advance_id: UUID | None = None

    def apply(self, account: Account, at: datetime) -> None:
        account.standing = account.standing.due_set(Due(self.nominal, self.due, self.opens), self.window_paid)

    def note(self, passbook: Passbook, before: Standing) -> None:
        if self.advance_id is not None:
            drawn = passbook.drawn(self.advance_id)
            assert drawn.schedule is not None
            drawn.schedule = replace(drawn.schedule, first_due=Due(self.nominal, self.due, self.opens))


class InstalmentSatisfied(AccountFact, topic="card.instalment-satisfied"):
    """Enough was paid inside the window. What counted is in the receipts; the next due date follows as its own fact."""

    due: date
    instalment: Yen
    paid: Yen

    def apply(self, account: Account, at: datetime) -> None:
        pass


class InstalmentMissed(AccountFact, topic="card.instalment-missed"):
    """The shifted due date passed with less than the minimum paid. `restated`: a restatement found it, and holds the
    standing that follows."""

    due: date
    minimum: Yen
    paid: Yen
    restated: bool = False

    def apply(self, account: Account, at: datetime) -> None:
        account.missed_dues = tuple(sorted((*account.missed_dues, self.due)))
        if not self.restated:
            account.standing = account.standing.missing(Missed(self.due, self.minimum, self.paid))


class InstalmentMissedWithdrawn(AccountFact, topic="card.instalment-missed-withdrawn"):
    """A restatement removed the ground: by what is known now, this instalment was not missed."""

    due: date

    def apply(self, account: Account, at: datetime) -> None:
        account.missed_dues = tuple(due for due in account.missed_dues if due != self.due)


class InterestFreeStarted(AccountFact, topic="card.interest-free-started"):
    """No interest on these days, both included."""

    first_day: date
    last_day: date
    terms_version: str

    def apply(self, account: Account, at: datetime) -> None:
        account.standing = account.standing.free(self.first_day, self.last_day)
        account.free_end_recorded = False


class InterestFreeEnded(AccountFact, topic="card.interest-free-ended"):
    """The last interest-free day has passed: `reason` is `expired` or `late`."""

    last_day: date
    reason: str

    def apply(self, account: Account, at: datetime) -> None:
        account.standing = account.standing.free_ended(self.last_day)
        account.free_end_recorded = True


class InterestPosted(AccountFact, topic="card.interest-posted"):
    """Income booked at a month end: what is claimed and was not booked yet. It changes nothing that is owed.

    `interest` and `late_damages` are the amounts to book, `…_claimed` the whole claims they bring the books up to.
    """

    through: date
    interest: Yen
    late_damages: Yen
    interest_claimed: Yen
    late_damages_claimed: Yen

    def apply(self, account: Account, at: datetime) -> None:
        claims = Claims(interest=self.interest_claimed, late_damages=self.late_damages_claimed)
        account.standing = account.standing.posted(self.through, claims)


# Acts -----------------------------------------------------------------------------------------------------------------


class CardInstalments(CardAccess):
    """The part of a card that keeps its instalments."""

    account: Account
    passbook: Passbook | None

    @property
    def written(self) -> Passbook:
        """The passbook, which every act needs."""
        assert self.passbook is not None, "acts are for the write side"
        return self.passbook

    @property
    def today(self) -> date:
        """The business day of the act."""
        return business_day(self.at)

    def close_day(self, day: date, terms: Terms) -> None:
        """Close a business day: missed instalments with what follows from them, the end of the interest-free period,
        and at a month end the income of the month. Closing a day again records nothing."""
        self.follow_lateness(self.judge(day, terms), terms)
        self._end_free_period(day)
        if is_month_end(day):
            self._post_interest(day)

    def judge(self, through: date, terms: Terms) -> tuple[date, ...]:
        """Record each instalment whose due date is over at the end of a day; returns the due dates missed."""
        found: list[date] = []
        while (missed := missed_by(self.account.standing, through)) is not None:
            self._miss(missed, terms)
            found.append(missed.due)
        return tuple(found)

    def _miss(self, missed: Missed, terms: Terms) -> None:
        standing = self.account.standing
        assert standing.due is not None
        self.record(InstalmentMissed(due=missed.due, minimum=missed.minimum, paid=missed.paid))
        if ends_free_period(standing, missed, terms):
            self.record(InterestFreeEnded(last_day=missed.due, reason="late"))
        self.set_due(following_due(standing.due_day, standing.due))

    def set_due(self, due: Due, *, window_paid: Yen = ZERO, advance_id: UUID | None = None) -> None:
        self.record(
            DueDateSet(
                nominal=due.nominal,
                due=due.day,
                opens=due.opens,
                window_paid=window_paid,
                calendar_version=CALENDAR_VERSION,
                advance_id=advance_id,
            )
        )

    def set_instalment(self, schedule: Schedule, terms: Terms, *, advance_id: UUID | None = None) -> None:
        self.record(
            InstalmentSet(
                advance_id=advance_id,
                balance=self.account.standing.principal,
                coefficient_bps=schedule.coefficient_bps,
                amount=schedule.instalment,
                late_damages_bps=schedule.late_damages_bps,
                terms_version=terms.version,
            )
        )

    def satisfy_if_filled(self) -> None:
        """If the open window holds the instalment, say so and set the next due date."""
        standing = self.account.standing
        if standing.due is not None and is_filled(standing):
            self.record(
                InstalmentSatisfied(due=standing.due.day, instalment=standing.instalment, paid=standing.window_paid)
            )
            self.set_due(following_due(standing.due_day, standing.due))

    def follow_lateness(self, missed: tuple[date, ...], terms: Terms) -> None:
        """What newly missed instalments bring about, and the end of the suspension `late` once none is left."""
        if not self.account.standing.missed:
            self.resume_by_rule("late")
        elif missed:
            self.suspend("late", rule=True)
        if any(self._missed_too_often(due, terms) for due in missed):
            self.stop("repeated-lateness", rule=True)

    def _missed_too_often(self, due: date, terms: Terms) -> bool:
        begin = months_later(due, -terms.lateness.stop_within_months)
        return sum(begin < each <= due for each in self.account.missed_dues) >= terms.lateness.stop_at_missed

    def _end_free_period(self, day: date) -> None:
        last_day = self.account.standing.free_until
        if last_day is not None and last_day <= day and not self.account.free_end_recorded:
            self.record(InterestFreeEnded(last_day=last_day, reason="expired"))

    def _post_interest(self, day: date) -> None:
        standing = self.account.standing
        if day < standing.paid_through or day <= (standing.posted_through or date.min):
            return
        claims = standing.owed(day)
        interest = Yen(claims.interest - standing.interest_posted)
        late_damages = Yen(claims.late_damages - standing.late_damages_posted)
        if interest or late_damages:
            self.record(
                InterestPosted(
                    through=day,
                    interest=interest,
                    late_damages=late_damages,
                    interest_claimed=claims.interest,
                    late_damages_claimed=claims.late_damages,
                )
            )
