"""Applying the entries of an account again: the arithmetic of a restatement.

What must stay true: it asks the same rules as the acts did. Decisions that stand (an instalment and a due date set at
an advance, a rate, a refund) are read from the entries and not asked again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from msgspec.structs import replace

from ledger.aggregates.passbook import Drawn, Entry, Received, Refunded, Repriced, Rescheduled
from ledger.aggregates.schedule import (
    ReceiptDecision,
    Schedule,
    brought_to,
    decide_receipt,
    first_due,
    following_due,
    is_filled,
    schedule_of_advance,
)
from ledger.aggregates.standing import Missed, Standing
from ledger.calendar import ONE_DAY
from ledger.interest import Segment, value_on
from ledger.money import ZERO, Yen
from ledger.repayment import Allocation, Claims
from ledger.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisedReceipt:
    """One receipt whose allocation a restatement changed, with what the new one was decided by."""

    repayment_id: UUID
    value_date: date
    amount: Yen
    old: Allocation
    new: Allocation
    owed: Claims
    carried: Claims
    interest_segments: tuple[Segment, ...]
    late_damages_segments: tuple[Segment, ...]
    principal_before: Yen
    principal_after: Yen
    instalment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restatement:
    """The outcome of restating: the standing after it, and what to book besides the allocations.

    `interest_earned` and `late_damages_earned` correct the income booked so far and may be negative.
    `refund_as_principal` is the change of refunds that turned out not to be covered and are principal.
    """

    after: Standing
    interest_earned: int
    late_damages_earned: int
    refund_as_principal: int
    rescheduled: tuple[Rescheduled, ...] = ()


@dataclass(slots=True)
class Rerun:
    """The entries applied again from a checkpoint; from `reschedule_from` on, advances set their schedule anew.

    `rate_cap_bps` is the strictest statutory cap that those advances set; `over_cap`: the contract rate was above it.
    `schedule` is the last one that was set on the way, by an advance or by a refund that was not covered.
    """

    standing: Standing
    terms: Terms
    reschedule_from: date | None = None
    missed: list[Missed] = field(default_factory=list)
    receipts: dict[UUID, ReceiptDecision] = field(default_factory=dict)
    rescheduled: list[Rescheduled] = field(default_factory=list)
    schedule: Schedule | None = None
    rate_cap_bps: int | None = None
    over_cap: bool = False

    def run(self, entries: Iterable[Entry], through: date) -> None:
        """Apply the entries in order, and judge every due date up to a day."""
        for entry in entries:
            self._judge(entry.on - ONE_DAY)
            match entry:
                case Drawn():
                    self._draw(entry)
                case Received():
                    self._receive(entry)
                case Refunded():
                    self._refund(entry)
                case Repriced():
                    self.standing = self.standing.repriced(entry.on, entry.annual_rate_bps)
        self._judge(through)

    def _judge(self, through: date) -> None:
        self.standing, missed = brought_to(self.standing, through, self.terms)
        self.missed.extend(missed)

    def _draw(self, entry: Drawn) -> None:
        terms = self.terms.as_of(entry.on)
        self.standing = self.standing.drawn(entry.on, entry.amount, entry.fee)
        if self.standing.free_eligible and self.standing.free_from is None:
            self.standing = self.standing.free(*free_period(entry.on, terms))
        anew = self.reschedule_from is not None and entry.on >= self.reschedule_from
        if anew:
            self._cap(entry.on, terms)
        if entry.schedule is None or anew:
            schedule = schedule_of_advance(self.standing, entry.on, terms)
            if schedule != entry.schedule:
                self.rescheduled.append(Rescheduled(entry.id, schedule))
        else:
            schedule = entry.schedule
        self._set(schedule, entry.on, terms)

    def _cap(self, on: date, terms: Terms) -> None:
        """The statutory bracket is that of the balance right after the advance."""
        cap = terms.limit.rate_cap(self.standing.principal)
        self.rate_cap_bps = cap if self.rate_cap_bps is None else min(cap, self.rate_cap_bps)
        self.over_cap |= value_on(self.standing.rates, on + ONE_DAY) > cap

    def _set(self, schedule: Schedule, on: date, terms: Terms) -> None:
        self.schedule = schedule
        standing = self.standing.instalment_set(schedule.instalment, schedule.late_damages_bps)
        due = schedule.first_due or (first_due(standing.due_day, on, terms) if standing.due is None else None)
        if due is not None and (standing.due is None or standing.due.day != due.day):
            standing = standing.due_set(due, ZERO)
        if is_filled(standing) and standing.due is not None:
            standing = standing.due_set(following_due(standing.due_day, standing.due), ZERO)
        self.standing = standing

    def _receive(self, entry: Received) -> None:
        decision = decide_receipt(self.standing, entry.amount, entry.on, entry.method, self.terms)
        self.receipts[entry.id] = decision
        satisfies = decision.satisfies(self.standing.due)
        self.standing = apply_receipt(self.standing, entry.on, decision)
        if satisfies and self.standing.due is not None:
            self.standing = self.standing.due_set(following_due(self.standing.due_day, self.standing.due), ZERO)

    def _refund(self, entry: Refunded) -> None:
        self.standing = self.standing.refunded(entry.on, entry.amount)
        if self.standing.principal and self.standing.due is None and not self.standing.remainder:
            terms = self.terms.as_of(entry.on)
            self._set(schedule_of_advance(self.standing, entry.on, terms), entry.on, terms)


def free_period(advanced_on: date, terms: Terms) -> tuple[date, date]:
    """The interest-free days after a first advance: from the day after it, both ends included."""
    first_day = advanced_on + ONE_DAY
    return first_day, date.fromordinal(first_day.toordinal() + terms.interest.free_days - 1)


def apply_receipt(standing: Standing, on: date, decision: ReceiptDecision) -> Standing:
    return standing.received(
        on,
        decision.owed,
        decision.allocation,
        counted=decision.counted,
        settled=decision.settled,
        remainder=decision.remainder,
    )


def reposted(standing: Standing, posted_through: date | None) -> Standing:
    """The claims booked as income after a restatement: up to the last month end that was posted."""
    if posted_through is None or posted_through <= standing.paid_through:
        return replace(standing, posted_through=posted_through)
    return standing.posted(posted_through, standing.owed(posted_through))
