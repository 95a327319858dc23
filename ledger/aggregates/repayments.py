"""Repayments: taken on their value date, used in the agreed order, taken back if the money did not stay.

What must stay true: money that has arrived is never refused because of the state of the card; what is not owed is kept
for the member. Every yen of a receipt is in exactly one part of its allocation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from ledger import refusals
from ledger.aggregates.advances import CardAdvances
from ledger.aggregates.balance import Account, AccountFact
from ledger.aggregates.passbook import Passbook, Received, Refunded
from ledger.aggregates.rerun import Restatement
from ledger.aggregates.schedule import ReceiptDecision, brought_to, decide_receipt
from ledger.aggregates.standing import Counted, Standing
from ledger.calendar import ONE_DAY
from ledger.interest import Segment
from ledger.money import Yen
from ledger.repayment import Allocation, Claims
from ledger.terms import Terms

METHODS = ("internet", "atm", "direct-debit", "bank-transfer", "counter")

# Facts ----------------------------------------------------------------------------------------------------------------


class RepaymentMade(AccountFact, topic="card.repayment-made"):
    """A receipt and its use.

    To recompute it: interest is `carried.interest` plus the floor of the sum of the numerators of its segments over
    `interest.DENOMINATOR`, damages likewise and apart; that is `owed`, used in the order of `Allocation`.
    `…_earned` is income not booked before. `restated` is there if the value date lies before other entries.
    """

    repayment_id: UUID
    amount: Yen
    method: str
    value_date: date
    carried: Claims
    interest_segments: tuple[Segment, ...]
    late_damages_segments: tuple[Segment, ...]
    owed: Claims
    allocation: Allocation
    principal_before: Yen
    principal_after: Yen
    instalment: str
    counted: tuple[Counted, ...]
    settled: bool
    remainder: bool
    interest_earned: int
    late_damages_earned: int
    terms_version: str
    restated: Restatement | None = None

    def apply(self, account: Account, at: datetime) -> None:
        if self.restated is not None:
            account.standing = self.restated.after
            return
        account.standing = account.standing.received(
            self.value_date,
            self.owed,
            self.allocation,
            counted=self.counted,
            settled=self.settled,
            remainder=self.remainder,
        )

    def note(self, passbook: Passbook, before: Standing) -> None:
        entry = Received(self.repayment_id, self.value_date, self.amount, self.method, self.allocation)
        if self.restated is None:
            passbook.add(entry, before)
        else:
            passbook.insert(entry)


class RepaymentReversed(AccountFact, topic="card.repayment-reversed"):
    """The money did not stay: the account is what it would be without the receipt, from its value date on.

    `allocation` is how the receipt was used last, which is undone.
    """

    repayment_id: UUID
    amount: Yen
    method: str
    value_date: date
    allocation: Allocation
    principal_before: Yen
    principal_after: Yen
    terms_version: str
    restated: Restatement

    def apply(self, account: Account, at: datetime) -> None:
        account.standing = self.restated.after

    def note(self, passbook: Passbook, before: Standing) -> None:
        passbook.take_back(self.repayment_id)
        passbook.reversed_repayments.add(self.repayment_id)


class RefundSent(AccountFact, topic="card.refund-sent"):
    """Money that was kept for the member left."""

    refund_id: UUID
    amount: Yen
    value_date: date
    customer_credit: Yen

    def apply(self, account: Account, at: datetime) -> None:
        account.standing = account.standing.refunded(self.value_date, self.amount)

    def note(self, passbook: Passbook, before: Standing) -> None:
        entry = Refunded(self.refund_id, self.value_date, self.amount)
        if self.value_date < before.day:
            passbook.insert(entry)
        else:
            passbook.add(entry, before)


# Acts -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RepaymentAnswer:
    """What taking a repayment answers; `next_due` is None where nothing is scheduled."""

    repayment_id: UUID
    allocation: Allocation
    principal_after: Yen
    instalment: str
    next_due: date | None


class CardRepayments(CardAdvances):
    """The part of a card that takes money in."""

    def repay(
        self, amount: Yen, *, method: str, by_member: bool, value_date: date | None, terms: Terms
    ) -> RepaymentAnswer:
        """Take a receipt on its value date, today if none is given, and use it."""
        assert method in METHODS, method
        on = self.value_date_or_today(value_date, terms)
        if method == "internet":
            self._refuse_small_or_needless(amount, by_member, terms)
        if on < self.account.standing.day:
            made = self._repay_late(amount, method, on, terms)
        else:
            made = self._repay_in_order(amount, method, on, terms)
        due = brought_to(self.account.standing, self.today - ONE_DAY, terms)[0].due
        return RepaymentAnswer(
            repayment_id=made.repayment_id,
            allocation=made.allocation,
            principal_after=made.principal_after,
            instalment=made.instalment,
            next_due=None if due is None else due.day,
        )

    def reverse_repayment(self, repayment_id: UUID, terms: Terms) -> RepaymentReversed:
        """Take a receipt back, whenever it was made."""
        entry = self._received(repayment_id)
        outcome = self.restate(entry.on, terms, remove=repayment_id)
        fact = RepaymentReversed(
            repayment_id=repayment_id,
            amount=entry.amount,
            method=entry.method,
            value_date=entry.on,
            allocation=entry.allocation,
            principal_before=self.account.standing.principal,
            principal_after=outcome.restatement.after.principal,
            terms_version=terms.version,
            restated=outcome.restatement,
        )
        self.record(fact)
        self.follow_restatement(outcome, repayment_id, entry.on, terms)
        return fact

    def send_refund(self, amount: Yen, *, value_date: date | None, terms: Terms) -> RefundSent:
        """Money that is kept for the member left on the value date, today if none is given; in any state of the card.

        Refused unless it was there on that day and is not missed on any day since.
        """
        on = self.value_date_or_today(value_date, terms)
        refund = Refunded(self.new_id("refund"), on, amount)
        credit = self.account.standing.customer_credit
        if not 0 < amount <= credit or (on < self.account.standing.day and self._falls_short(refund, terms)):
            raise refusals.RefundOverCredit(customer_credit=credit)
        fact = RefundSent(refund_id=refund.id, amount=amount, value_date=on, customer_credit=Yen(credit - amount))
        self.record(fact)
        return fact

    def _received(self, repayment_id: UUID) -> Received:
        if repayment_id in self.written.reversed_repayments:
            raise refusals.AlreadyReversed
        try:
            entry = self.written.entry(repayment_id)
        except KeyError:
            raise refusals.NotFound from None
        if not isinstance(entry, Received):
            raise refusals.NotFound
        return entry

    def _falls_short(self, refund: Refunded, terms: Terms) -> bool:
        """Whether a refund on an earlier day would have lent what was not kept for the member then."""
        return self.restate(refund.on, terms, add=refund).restatement.refund_as_principal > 0

    def _refuse_small_or_needless(self, amount: Yen, by_member: bool, terms: Terms) -> None:
        owed = brought_to(self.account.standing, self.today - ONE_DAY, terms)[0].owed(self.today).total
        if owed == 0 and by_member:
            raise refusals.NothingOwed
        minimum = terms.repayment.internet_minimum
        if amount < min(minimum, owed):
            raise refusals.AmountBelowMinimum(minimum=minimum)

    def _repay_in_order(self, amount: Yen, method: str, on: date, terms: Terms) -> RepaymentMade:
        missed = self.judge(on - ONE_DAY, terms)
        before = self.account.standing
        decision = decide_receipt(before, amount, on, method, terms)
        made = self._made(amount, method, on, decision, terms=terms)
        self.record(made)
        if decision.satisfies(before.due):
            self.satisfy_if_filled()
        self.tell_credit_and_settlement(before, on, settled=decision.settled)
        missed += self.judge(self.today - ONE_DAY, terms)
        self.follow_lateness(missed, terms)
        return made

    def _repay_late(self, amount: Yen, method: str, on: date, terms: Terms) -> RepaymentMade:
        entry = Received(self.new_id("repayment"), on, amount, method)
        outcome = self.restate(on, terms, add=entry)
        made = self._made(amount, method, on, outcome.receipts[entry.id], terms=terms, restated=outcome.restatement)
        self.record(made)
        self.follow_restatement(outcome, entry.id, on, terms)
        return made

    def _made(
        self,
        amount: Yen,
        method: str,
        on: date,
        decision: ReceiptDecision,
        *,
        terms: Terms,
        restated: Restatement | None = None,
    ) -> RepaymentMade:
        before, owed = self.account.standing, decision.owed
        return RepaymentMade(
            repayment_id=self.new_id("repayment"),
            amount=amount,
            method=method,
            value_date=on,
            carried=decision.carried,
            interest_segments=decision.accrual.interest,
            late_damages_segments=decision.accrual.late_damages,
            owed=owed,
            allocation=decision.allocation,
            principal_before=owed.principal,
            principal_after=Yen(owed.principal - decision.allocation.principal),
            instalment=decision.instalment,
            counted=decision.counted,
            settled=decision.settled,
            remainder=decision.remainder,
            interest_earned=restated.interest_earned if restated else owed.interest - before.interest_posted,
            late_damages_earned=(
                restated.late_damages_earned if restated else owed.late_damages - before.late_damages_posted
            ),
            terms_version=terms.as_of(on).version,
            restated=restated,
        )
