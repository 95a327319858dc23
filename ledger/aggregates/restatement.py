"""Restating an account: an entry that comes late by value date, or is taken back, changes what followed it.

What must stay true: one cause, one restatement, recorded in one act: the cause holds the standing after it,
`AllocationRevised` lists the receipts that changed. Decisions made in the meantime stand.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from msgspec.structs import replace

from ledger.aggregates.balance import Account, AccountFact
from ledger.aggregates.instalments import (
    CardInstalments,
    InstalmentMissed,
    InstalmentMissedWithdrawn,
    InterestFreeEnded,
    InterestFreeStarted,
)
from ledger.aggregates.passbook import Entry, Passbook, Received
from ledger.aggregates.rerun import Rerun, Restatement, RevisedReceipt, reposted
from ledger.aggregates.schedule import ReceiptDecision, Schedule
from ledger.aggregates.standing import Missed, Standing
from ledger.calendar import ONE_DAY
from ledger.money import Yen
from ledger.terms import Terms

# Facts ----------------------------------------------------------------------------------------------------------------


class AllocationRevised(AccountFact, topic="card.allocation-revised"):
    """The receipts whose use changed, old and new, by one cause: the id of a repayment or advance of the same act."""

    caused_by: UUID
    value_date: date
    revised: tuple[RevisedReceipt, ...]
    terms_version: str

    def apply(self, account: Account, at: datetime) -> None:
        """The cause, just before this fact, holds the standing."""

    def note(self, passbook: Passbook, before: Standing) -> None:
        for receipt in self.revised:
            passbook.received(receipt.repayment_id).allocation = receipt.new


class OverpaymentRecorded(AccountFact, topic="card.overpayment-recorded"):
    """Money that is not owed is kept for the member; the receipts hold it as their overpayment."""

    amount: Yen
    customer_credit: Yen

    def apply(self, account: Account, at: datetime) -> None:
        pass


class AccountSettled(AccountFact, topic="card.account-settled"):
    """Nothing is owed any more; the agreement goes on."""

    value_date: date

    def apply(self, account: Account, at: datetime) -> None:
        pass


# Acts -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a restatement found."""

    restatement: Restatement
    receipts: dict[UUID, ReceiptDecision]
    revised: tuple[RevisedReceipt, ...]
    missed: tuple[Missed, ...]
    withdrawn: tuple[date, ...]
    before: Standing
    schedule: Schedule | None
    rate_cap_bps: int | None
    over_cap: bool


class CardRestatement(CardInstalments):
    """The part of a card that can be restated."""

    def restate(
        self, on: date, terms: Terms, *, add: Entry | None = None, remove: UUID | None = None, reschedule: bool = False
    ) -> Outcome:
        """What the account would be with an entry more or less, from its value date on. Records nothing.

        `reschedule`: the cause is an advance, so that advances from that day on set instalment and due date anew.
        """
        before = self.account.standing
        since, start = self.written.before(on, before)
        rerun = Rerun(start, terms, on if reschedule else None)
        entries = self._entries(since, add, remove)
        rerun.run(entries, max(self.today - ONE_DAY, before.day - ONE_DAY, before.posted_through or date.min))
        after = reposted(replace(rerun.standing, day=max(rerun.standing.day, before.day)), before.posted_through)
        revised = tuple(_revisions(entries, rerun.receipts, add))
        # A checkpoint before a refund or a new rate may still have a due date open that is over.
        judged_again = since if start.due is None else min(since, start.due.day)
        known = {due for due in self.account.missed_dues if due >= judged_again}
        found = {missed.due for missed in rerun.missed}
        return Outcome(
            restatement=_restatement(before, after, rerun, _booked(rerun, revised, add, self._removed(remove))),
            receipts=rerun.receipts,
            revised=revised,
            missed=tuple(missed for missed in rerun.missed if missed.due not in known),
            withdrawn=tuple(sorted(known - found)),
            before=before,
            schedule=rerun.schedule,
            rate_cap_bps=rerun.rate_cap_bps,
            over_cap=rerun.over_cap,
        )

    def _entries(self, since: date, add: Entry | None, remove: UUID | None) -> list[Entry]:
        first = bisect_left(self.written.entries, since, key=lambda entry: entry.on)
        entries = [entry for entry in self.written.entries[first:] if entry.id != remove]
        if add is not None:
            insort(entries, add, key=lambda entry: entry.on)
        return entries

    def _removed(self, entry_id: UUID | None) -> Entry | None:
        return None if entry_id is None else self.written.entry(entry_id)

    def follow_restatement(self, outcome: Outcome, cause: UUID, on: date, terms: Terms) -> None:
        """Record what the restatement brought about, after the cause that holds it."""
        if outcome.revised:
            self.record(
                AllocationRevised(caused_by=cause, value_date=on, revised=outcome.revised, terms_version=terms.version)
            )
        self._tell_schedule(outcome, terms)
        self._tell_free_period(outcome.before, terms)
        for due in outcome.withdrawn:
            self.record(InstalmentMissedWithdrawn(due=due))
        for missed in outcome.missed:
            self.record(InstalmentMissed(due=missed.due, minimum=missed.minimum, paid=missed.paid, restated=True))
        settled = any(decision.settled for decision in outcome.receipts.values())
        self.tell_credit_and_settlement(outcome.before, on, settled=settled)
        if self.account.standing.missed and not outcome.before.missed:
            self.suspend("late", rule=True)  # a cure was taken back: nothing was missed anew, and it is late again
        self.follow_lateness(tuple(missed.due for missed in outcome.missed), terms)

    def tell_credit_and_settlement(self, before: Standing, on: date, *, settled: bool) -> None:
        """Record that more is kept for the member than before, and that a receipt settled what was owed."""
        after = self.account.standing
        more = after.customer_credit - before.customer_credit
        if more > 0:
            self.record(OverpaymentRecorded(amount=Yen(more), customer_credit=after.customer_credit))
        if settled and _is_open(before) and not _is_open(after):
            self.record(AccountSettled(value_date=on))

    def _tell_schedule(self, outcome: Outcome, terms: Terms) -> None:
        before, after = outcome.before, self.account.standing
        changed = (after.instalment, after.late_damages_bps) != (before.instalment, before.late_damages_bps)
        schedule = (outcome.schedule or self._last_schedule()) if after.instalment and changed else None
        if schedule is not None:  # its amounts may be those of an advance, and the last ones those of a refund
            told = (after.instalment, schedule.coefficient_bps, after.late_damages_bps, None)
            self.set_instalment(Schedule(*told), terms)
        if after.due is not None and (after.due, after.window_paid) != (before.due, before.window_paid):
            self.set_due(after.due, window_paid=after.window_paid)

    def _last_schedule(self) -> Schedule | None:
        last = self.written.last_drawn()
        return None if last is None else last.schedule

    def _tell_free_period(self, before: Standing, terms: Terms) -> None:
        after = self.account.standing
        first_day, last_day = after.free_from, after.free_until
        if first_day is None or last_day is None or (first_day, last_day) == (before.free_from, before.free_until):
            return
        if first_day == before.free_from and before.free_until is not None and last_day < before.free_until:
            self.record(InterestFreeEnded(last_day=last_day, reason="late"))
        else:
            self.record(InterestFreeStarted(first_day=first_day, last_day=last_day, terms_version=terms.version))


def _is_open(standing: Standing) -> bool:
    """Whether anything may be owed: after the last yen is paid there is no principal and no unpaid claim."""
    return standing.principal > 0 or standing.carried.total > 0


def _revisions(entries: list[Entry], receipts: dict[UUID, ReceiptDecision], add: Entry | None) -> list[RevisedReceipt]:
    receipts_before = [entry for entry in entries if isinstance(entry, Received) and entry is not add]
    return [
        RevisedReceipt(
            repayment_id=entry.id,
            value_date=entry.on,
            amount=entry.amount,
            old=entry.allocation,
            new=decision.allocation,
            owed=decision.owed,
            carried=decision.carried,
            interest_segments=decision.accrual.interest,
            late_damages_segments=decision.accrual.late_damages,
            principal_before=decision.owed.principal,
            principal_after=Yen(decision.owed.principal - decision.allocation.principal),
            instalment=decision.instalment,
        )
        for entry in receipts_before
        if (decision := receipts[entry.id]).allocation != entry.allocation
    ]


def _booked(
    rerun: Rerun, revised: tuple[RevisedReceipt, ...], add: Entry | None, removed: Entry | None
) -> tuple[int, int]:
    """Interest and late damages that the receipts of this act take from the claims booked so far; may be negative."""
    taken = [(each.new, 1) for each in revised] + [(each.old, -1) for each in revised]
    if isinstance(add, Received):
        taken.append((rerun.receipts[add.id].allocation, 1))
    if isinstance(removed, Received):
        taken.append((removed.allocation, -1))
    return sum(part.interest * sign for part, sign in taken), sum(part.late_damages * sign for part, sign in taken)


def _restatement(before: Standing, after: Standing, rerun: Rerun, booked: tuple[int, int]) -> Restatement:
    interest, late_damages = booked
    return Restatement(
        after=after,
        interest_earned=after.interest_posted - before.interest_posted + interest,
        late_damages_earned=after.late_damages_posted - before.late_damages_posted + late_damages,
        refund_as_principal=after.refunds_short - before.refunds_short,
        rescheduled=tuple(rerun.rescheduled),
    )
