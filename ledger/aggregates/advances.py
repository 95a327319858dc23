"""Advances: reserved, then confirmed on the day the money left, or failed; a confirmed one can be reversed.

What must stay true: the available credit is cut from the moment of reserving, the principal only grows when the money
left, and a refused advance leaves no trace in the account.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from ledger import refusals
from ledger.aggregates.balance import Account, AccountFact
from ledger.aggregates.instalments import InterestFreeStarted
from ledger.aggregates.passbook import Advance, Drawn, Passbook
from ledger.aggregates.rerun import Restatement, free_period
from ledger.aggregates.restatement import CardRestatement, Outcome
from ledger.aggregates.schedule import schedule_of_advance
from ledger.aggregates.standing import Standing
from ledger.calendar import ONE_DAY
from ledger.money import ZERO, Yen
from ledger.terms import Terms

PURPOSES = ("cash", "transfer", "prepaid")

# Facts ----------------------------------------------------------------------------------------------------------------


class AdvanceReserved(AccountFact, topic="card.advance-reserved"):
    """The credit is set aside; nothing is owed yet. The figures are those the decision was made with."""

    advance_id: UUID
    amount: Yen
    purpose: str
    channel: str
    fee: Yen
    credit_limit: Yen
    principal: Yen
    in_flight: Yen
    terms_version: str

    def apply(self, account: Account, at: datetime) -> None:
        account.in_flight[str(self.advance_id)] = self.amount

    def note(self, passbook: Passbook, before: Standing) -> None:
        passbook.advances[self.advance_id] = Advance(self.amount, self.purpose, self.fee)


class AdvanceConfirmed(AccountFact, topic="card.advance-confirmed"):
    """The money left on `value_date`: interest runs from the next day. `rate_cap_bps` is the statutory cap from now on.

    `restated` is there if the value date lies before other entries of the account.
    """

    advance_id: UUID
    amount: Yen
    purpose: str
    fee: Yen
    value_date: date
    principal_before: Yen
    principal_after: Yen
    annual_rate_bps: int
    rate_cap_bps: int
    terms_version: str
    restated: Restatement | None = None

    def apply(self, account: Account, at: datetime) -> None:
        account.in_flight.pop(str(self.advance_id), None)
        account.rate_cap_bps = self.rate_cap_bps
        if self.restated is not None:
            account.standing = self.restated.after
        else:
            account.standing = account.standing.drawn(self.value_date, self.amount, self.fee)

    def note(self, passbook: Passbook, before: Standing) -> None:
        advance = passbook.advance(self.advance_id)
        advance.state, advance.value_date = "confirmed", self.value_date
        entry = Drawn(self.advance_id, self.value_date, self.amount, self.fee)
        if self.restated is None:
            passbook.add(entry, before)
        else:
            passbook.insert(entry)
            passbook.reschedule(self.restated.rescheduled)


class AdvanceFailed(AccountFact, topic="card.advance-failed"):
    """The money did not leave: the credit is free again."""

    advance_id: UUID
    amount: Yen

    def apply(self, account: Account, at: datetime) -> None:
        account.in_flight.pop(str(self.advance_id), None)

    def note(self, passbook: Passbook, before: Standing) -> None:
        passbook.advance(self.advance_id).state = "failed"


class AdvanceReversed(AccountFact, topic="card.advance-reversed"):
    """The money came back: the account is what it would be without the advance."""

    advance_id: UUID
    amount: Yen
    fee: Yen
    value_date: date
    principal_before: Yen
    principal_after: Yen
    terms_version: str
    restated: Restatement

    def apply(self, account: Account, at: datetime) -> None:
        account.standing = self.restated.after

    def note(self, passbook: Passbook, before: Standing) -> None:
        passbook.take_back(self.advance_id)
        passbook.reschedule(self.restated.rescheduled)
        passbook.advance(self.advance_id).state = "reversed"


# Acts -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceAnswer:
    """What an act on an advance answers."""

    advance_id: UUID
    state: str
    amount: Yen
    fee: Yen
    available_credit: Yen
    value_date: date | None


class CardAdvances(CardRestatement):
    """The part of a card that lends."""

    def reserve_advance(
        self, amount: Yen, purpose: str, *, channel: str, payout_account: bool, terms: Terms
    ) -> AdvanceAnswer:
        """Set the credit aside. Refused for unit, stop, lock, suspension, payout account, limit, in this order."""
        assert purpose in PURPOSES, purpose
        unit = terms.advance.unit(purpose)
        if amount < 1 or amount % unit:
            raise refusals.AmountNotInUnit(unit=unit)
        self.refuse_if_barred_from_borrowing()
        if purpose == "transfer" and not payout_account:
            raise refusals.PayoutAccountMissing
        if amount > self.account.available:
            raise refusals.CreditLimitExceeded(available_credit=self.account.available)
        in_flight = sum(self.account.in_flight.values())
        self._assert_rate(self.account.standing.principal + in_flight + amount, terms)
        advance_id = self.new_id("advance")
        self.record(
            AdvanceReserved(
                advance_id=advance_id,
                amount=amount,
                purpose=purpose,
                channel=channel,
                fee=Yen(terms.advance.fee(purpose)),
                credit_limit=self.account.credit_limit,
                principal=self.account.standing.principal,
                in_flight=Yen(in_flight),
                terms_version=terms.version,
            )
        )
        return self._answer(advance_id)

    def confirm_advance(self, advance_id: UUID, *, value_date: date | None, terms: Terms) -> AdvanceAnswer:
        """The money left on the value date, today if none is given. Not refused by any state of the card."""
        advance = self._advance(advance_id)
        if advance.state != "reserved":
            raise refusals.AdvanceNotReserved
        on = self.value_date_or_today(value_date, terms)
        if on < self.account.standing.day:
            self._confirm_late(advance_id, advance, on, terms)
        else:
            missed = self.judge(on - ONE_DAY, terms)
            self._confirm_in_order(advance_id, advance, on, terms)
            missed += self.judge(self.today - ONE_DAY, terms)
            self.follow_lateness(missed, terms)
        return self._answer(advance_id)

    def fail_advance(self, advance_id: UUID) -> AdvanceAnswer:
        advance = self._advance(advance_id)
        if advance.state != "reserved":
            raise refusals.AdvanceNotReserved
        self.record(AdvanceFailed(advance_id=advance_id, amount=advance.amount))
        return self._answer(advance_id)

    def reverse_advance(self, advance_id: UUID, terms: Terms) -> AdvanceAnswer:
        """Take a confirmed advance back, whenever it was made."""
        advance = self._advance(advance_id)
        if advance.state == "reversed":
            raise refusals.AlreadyReversed
        if advance.state != "confirmed" or advance.value_date is None:
            raise refusals.AdvanceNotConfirmed
        outcome = self.restate(advance.value_date, terms, remove=advance_id, reschedule=True)
        self.record(
            AdvanceReversed(
                advance_id=advance_id,
                amount=advance.amount,
                fee=advance.fee,
                value_date=advance.value_date,
                principal_before=self.account.standing.principal,
                principal_after=outcome.restatement.after.principal,
                terms_version=terms.version,
                restated=outcome.restatement,
            )
        )
        self.follow_restatement(outcome, advance_id, advance.value_date, terms)
        return self._answer(advance_id)

    def _confirm_in_order(self, advance_id: UUID, advance: Advance, on: date, terms: Terms) -> None:
        self._record_confirmed(advance_id, on, terms)
        at_terms = terms.as_of(on)
        if self.account.standing.free_eligible and self.account.standing.free_from is None:
            first_day, last_day = free_period(on, at_terms)
            self.record(InterestFreeStarted(first_day=first_day, last_day=last_day, terms_version=at_terms.version))
        schedule = schedule_of_advance(self.account.standing, on, at_terms)
        self.set_instalment(schedule, at_terms, advance_id=advance_id)
        if schedule.first_due is not None:
            self.set_due(schedule.first_due, advance_id=advance_id)
        else:
            self.satisfy_if_filled()

    def _confirm_late(self, advance_id: UUID, advance: Advance, on: date, terms: Terms) -> None:
        entry = Drawn(advance_id, on, advance.amount, advance.fee)
        outcome = self.restate(on, terms, add=entry, reschedule=True)
        if outcome.over_cap:  # a day before it was reserved, when more was owed than the limit has room for
            raise refusals.ValueDateRefused
        self._record_confirmed(advance_id, on, terms, outcome=outcome)
        self.follow_restatement(outcome, advance_id, on, terms)

    def _record_confirmed(self, advance_id: UUID, on: date, terms: Terms, *, outcome: Outcome | None = None) -> None:
        advance = self._advance(advance_id)
        if outcome is None:
            principal_after = Yen(self.account.principal + advance.amount)
            cap = terms.as_of(on).limit.rate_cap(principal_after)
        else:
            principal_after = outcome.restatement.after.principal
            assert outcome.rate_cap_bps is not None, "the advance itself is one of those restated"
            cap = outcome.rate_cap_bps
        self.record(
            AdvanceConfirmed(
                advance_id=advance_id,
                amount=advance.amount,
                purpose=advance.purpose,
                fee=advance.fee,
                value_date=on,
                principal_before=self.account.principal,
                principal_after=principal_after,
                annual_rate_bps=self.account.standing.annual_rate_bps,
                rate_cap_bps=cap if self.account.rate_cap_bps is None else min(cap, self.account.rate_cap_bps),
                terms_version=terms.version,
                restated=None if outcome is None else outcome.restatement,
            )
        )

    def value_date_or_today(self, value_date: date | None, terms: Terms) -> date:
        """The value date given, if it may be given."""
        on = value_date or self.today
        days_back = (self.today - on).days
        if not 0 <= days_back <= terms.repayment.value_days_back or on < self.account.issued_on:
            raise refusals.ValueDateRefused
        return on

    def _advance(self, advance_id: UUID) -> Advance:
        try:
            return self.written.advance(advance_id)
        except KeyError:
            raise refusals.NotFound from None

    def _answer(self, advance_id: UUID) -> AdvanceAnswer:
        advance = self.written.advance(advance_id)
        return AdvanceAnswer(
            advance_id=advance_id,
            state=advance.state,
            amount=advance.amount,
            fee=advance.fee,
            available_credit=ZERO if self.borrowing_barred else self.account.available,
            value_date=advance.value_date,
        )

    def _assert_rate(self, balance: int, terms: Terms) -> None:
        """The statutory bracket is that of the balance after the advance; it never rises again."""
        cap = terms.limit.rate_cap(balance)
        if self.account.standing.annual_rate_bps > min(cap, self.account.rate_cap_bps or cap):
            raise refusals.RateOverCap
