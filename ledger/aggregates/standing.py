"""Where an account stands in value time: what is owed from which day on, and what is due next.

What must stay true: every method here applies something already decided, by elementary steps that no rule of the
product enters; facts and restatements both go through them and cannot differ. Plain values only: it is stored as JSON.
A standing never changes: each step makes another one, so that checkpoints and facts may hold it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Self

import msgspec
from msgspec.structs import replace

from ledger.calendar import ONE_DAY
from ledger.interest import Segment, Steps, segments, value_on, whole_yen
from ledger.money import ZERO, Yen
from ledger.repayment import Allocation, Claims


@dataclass(frozen=True, slots=True)
class Due:
    """An instalment's due date: the nominal one, the one after the shift, and the first day whose receipts count."""

    nominal: date
    day: date
    opens: date


@dataclass(frozen=True, slots=True)
class Missed:
    """A missed instalment in the queue: its own minimum, and what has been paid towards it."""

    due: date
    minimum: Yen
    paid: Yen

    @property
    def rest(self) -> Yen:
        return Yen(self.minimum - self.paid)


@dataclass(frozen=True, slots=True)
class Counted:
    """What part of a receipt counted for the instalment due on a day, and whether it filled it."""

    due: date
    amount: Yen
    fulfilled: bool


@dataclass(frozen=True, slots=True)
class Accrual:
    """The days since the last payment that bear interest, and those that bear late damages instead."""

    interest: tuple[Segment, ...]
    late_damages: tuple[Segment, ...]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An account at a point of value time. A struct and no dataclass: every fact of money makes one, and a struct is
    copied with its changes by C code.

    `fees`, `late_damages` and `interest` are the whole-yen claims left unpaid at the last receipt; they bear nothing.
    Days after `paid_through` have not been charged yet. `balances` is the principal that bears interest, `rates` the
    contract rate, each from a first day on. `window_paid` counts towards `due`. `day` is the last day taken into
    account: an entry of an earlier value date needs a restatement. `refunds_short` is what was refunded without being
    there, by what is known now. The `posted` amounts are claims already booked as
    income, at a receipt or at the month end `posted_through`.
    """

    due_day: int | str
    day: date
    paid_through: date
    rates: Steps
    balances: Steps = ()
    principal: Yen = ZERO
    fees: Yen = ZERO
    late_damages: Yen = ZERO
    interest: Yen = ZERO
    late_damages_bps: int = 0
    instalment: Yen = ZERO
    due: Due | None = None
    window_paid: Yen = ZERO
    missed: tuple[Missed, ...] = ()
    free_eligible: bool = False
    free_from: date | None = None
    free_until: date | None = None
    remainder: bool = False
    customer_credit: Yen = ZERO
    refunds_short: Yen = ZERO
    interest_posted: Yen = ZERO
    late_damages_posted: Yen = ZERO
    posted_through: date | None = None

    # Reading ---------------------------------------------------------------------------------------------------------

    @property
    def annual_rate_bps(self) -> int:
        return self.rates[-1][1]

    def accrual(self, to: date) -> Accrual:
        """The segments from the last payment to a day inclusive; from the day after the oldest missed due date on they
        are damages instead of interest. The standing must have been brought up to that day (`schedule.brought_to`)."""
        begin = self.paid_through + ONE_DAY
        late_from = self.missed[0].due + ONE_DAY if self.missed else date.max
        interest_to = min(to, late_from - ONE_DAY)
        if self.free_from is None or self.free_until is None:
            interest = segments(self.balances, self.rates, begin, interest_to)
        else:
            before = segments(self.balances, self.rates, begin, min(interest_to, self.free_from - ONE_DAY))
            after = segments(self.balances, self.rates, max(begin, self.free_until + ONE_DAY), interest_to)
            interest = before + after
        damages_rate = ((date.min, self.late_damages_bps),)
        damages = segments(self.balances, damages_rate, max(begin, late_from), to) if self.missed else ()
        return Accrual(interest, damages)

    def claims(self, accrual: Accrual) -> Claims:
        """What is owed when so much has accrued: interest and damages floored once each, and apart."""
        return Claims(
            fees=self.fees,
            late_damages=Yen(self.late_damages + whole_yen(accrual.late_damages)),
            interest=Yen(self.interest + whole_yen(accrual.interest)),
            principal=self.principal,
        )

    def owed(self, to: date) -> Claims:
        """What is owed on a day; same condition as `accrual`."""
        return self.claims(self.accrual(to))

    @property
    def carried(self) -> Claims:
        """The whole-yen claims from before the last payment, which bear nothing."""
        return Claims(fees=self.fees, late_damages=self.late_damages, interest=self.interest)

    # Applying --------------------------------------------------------------------------------------------------------

    def drawn(self, on: date, amount: int, fee: int) -> Self:
        """Money left on this day: it bears interest from the next."""
        principal = Yen(self.principal + amount)
        return replace(
            self,
            day=max(self.day, on),
            principal=principal,
            fees=Yen(self.fees + fee),
            balances=_stepped(self.balances, on + ONE_DAY, principal),
            remainder=False,
        )

    def received(
        self,
        on: date,
        owed: Claims,
        allocation: Allocation,
        *,
        counted: tuple[Counted, ...],
        settled: bool,
        remainder: bool,
    ) -> Self:
        """A receipt: all days to this one are charged, the fraction of a yen is gone, the unpaid claims stay."""
        begin = max(self.paid_through, on) + ONE_DAY
        principal = Yen(owed.principal - allocation.principal)
        interest, damages = Yen(owed.interest - allocation.interest), Yen(owed.late_damages - allocation.late_damages)
        missed, window_paid = self._counting(counted)
        after = replace(
            self,
            day=max(self.day, on),
            paid_through=begin - ONE_DAY,
            principal=principal,
            fees=Yen(owed.fees - allocation.fees),
            late_damages=damages,
            interest=interest,
            late_damages_posted=damages,
            interest_posted=interest,
            balances=((begin, ZERO if remainder else principal),) if principal else (),
            rates=((begin, value_on(self.rates, begin)),),
            customer_credit=Yen(self.customer_credit + allocation.overpayment),
            remainder=remainder and not settled,
            missed=missed,
            window_paid=window_paid,
        )
        return after.unscheduled() if settled or remainder else after

    def _counting(self, counted: tuple[Counted, ...]) -> tuple[tuple[Missed, ...], Yen]:
        """Parts of a receipt count for missed instalments or for the open one: what is missed and paid then."""
        missed, window_paid = list(self.missed), self.window_paid
        for part in counted:
            queued = next((each for each in missed if each.due == part.due), None)
            if queued is None:
                window_paid = Yen(window_paid + part.amount)
            elif part.fulfilled:
                missed.remove(queued)
            else:
                missed[missed.index(queued)] = Missed(queued.due, queued.minimum, Yen(queued.paid + part.amount))
        return tuple(missed), window_paid

    def unscheduled(self) -> Self:
        """Nothing is due any more: all is paid, or a remainder without a duty to pay is left."""
        return replace(self, due=None, window_paid=ZERO, missed=(), instalment=ZERO)

    def instalment_set(self, amount: Yen, late_damages_bps: int) -> Self:
        return replace(self, instalment=amount, late_damages_bps=late_damages_bps)

    def due_set(self, due: Due, window_paid: Yen) -> Self:
        return replace(self, due=due, window_paid=window_paid)

    def missing(self, missed: Missed) -> Self:
        """The open instalment was missed; it joins the queue, and its due date is over."""
        return replace(
            self,
            day=max(self.day, missed.due + ONE_DAY),
            due=None,
            window_paid=ZERO,
            missed=(*self.missed, missed),
        )

    def free(self, first_day: date, last_day: date) -> Self:
        return replace(self, free_from=first_day, free_until=last_day)

    def free_ended(self, last_day: date) -> Self:
        return replace(self, free_until=last_day)

    def repriced(self, first_day: date, annual_rate_bps: int) -> Self:
        """Another contract rate from this day on, inclusive, on the whole balance; days already paid for stay."""
        begin = max(first_day, self.paid_through + ONE_DAY)
        return replace(self, day=max(self.day, first_day), rates=_stepped(self.rates, begin, annual_rate_bps))

    def refunded(self, on: date, amount: int) -> Self:
        """Money kept for the member left; what was not there to give is principal from this day."""
        short = max(0, amount - self.customer_credit)
        after = replace(
            self,
            day=max(self.day, on),
            customer_credit=Yen(self.customer_credit - amount + short),
            refunds_short=Yen(self.refunds_short + short),
        )
        return after.drawn(on, short, 0) if short else after

    def posted(self, through: date, claims: Claims) -> Self:
        return replace(
            self, posted_through=through, interest_posted=claims.interest, late_damages_posted=claims.late_damages
        )


def _stepped(steps: Steps, first_day: date, value: int) -> Steps:
    """The steps with another value from this day on."""
    return (*(step for step in steps if step[0] < first_day), (first_day, value))
