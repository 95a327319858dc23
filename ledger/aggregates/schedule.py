"""The rules of instalments and due dates, as decisions over a `Standing`: what is due, missed, and filled by a receipt.

What must stay true: these are pure functions of a standing and dated terms. An act records their outcome, a restatement
asks them again for the days it restates, and a forecast asks them ahead; all three get the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ledger.aggregates.standing import Accrual, Counted, Due, Missed, Standing
from ledger.calendar import ONE_DAY, nominal_due, shifted
from ledger.money import ZERO, Yen
from ledger.repayment import Allocation, Claims, allocate, bracket_of, instalment_for
from ledger.terms import Terms


@dataclass(frozen=True, slots=True)
class Schedule:
    """What an advance sets: the instalment and, if nothing was scheduled, the first due date."""

    instalment: Yen
    coefficient_bps: int
    late_damages_bps: int
    first_due: Due | None


@dataclass(frozen=True, slots=True)
class ReceiptDecision:
    """How a receipt was used, and the figures it was decided with."""

    owed: Claims
    carried: Claims
    accrual: Accrual
    allocation: Allocation
    instalment: str
    counted: tuple[Counted, ...]
    settled: bool
    remainder: bool

    def satisfies(self, due: Due | None) -> bool:
        """Whether it fills the open instalment."""
        return due is not None and any(part.fulfilled and part.due == due.day for part in self.counted)


def first_due(due_day: int | str, advanced_on: date, terms: Terms) -> Due:
    """The due date after a first advance, or after one while nothing was scheduled; its window opens at once."""
    nominal = nominal_due(due_day, advanced_on, terms.instalment.months_to_first_due(due_day, advanced_on))
    return Due(nominal, shifted(nominal), advanced_on)


def following_due(due_day: int | str, due: Due) -> Due:
    """The next one: a month after the nominal day, open from the day after the shifted one."""
    nominal = nominal_due(due_day, due.nominal, 1)
    return Due(nominal, shifted(nominal), due.day + ONE_DAY)


def schedule_of_advance(standing: Standing, on: date, terms: Terms) -> Schedule:
    """What an advance already added to the standing sets: by the balance right after it."""
    bracket = bracket_of(standing.principal, terms.instalment.brackets)
    return Schedule(
        instalment_for(standing.principal, bracket, terms.instalment.unit),
        bracket.coefficient_bps,
        terms.interest.late_damages_bps,
        first_due(standing.due_day, on, terms) if standing.due is None else None,
    )


def is_filled(standing: Standing) -> bool:
    """Whether the open window already holds the instalment: an advance can lower it below what was paid."""
    return standing.due is not None and standing.window_paid >= standing.instalment


# Missed instalments ---------------------------------------------------------------------------------------------------


def missed_by(standing: Standing, through: date) -> Missed | None:
    """The open instalment, if its shifted due date is over at the end of the day `through`."""
    due = standing.due
    if due is None or due.day > through:
        return None
    owed = standing.owed(due.day).total
    return Missed(due.day, Yen(min(standing.instalment, standing.window_paid + owed)), standing.window_paid)


def ends_free_period(standing: Standing, missed: Missed, terms: Terms) -> bool:
    """Whether missing an instalment ends a running interest-free period: from the day after, never backwards."""
    ends = terms.as_of(missed.due).interest.free_ends_on_lateness
    return ends and standing.free_until is not None and missed.due < standing.free_until


def brought_to(standing: Standing, through: date, terms: Terms) -> tuple[Standing, tuple[Missed, ...]]:
    """The standing at the end of a day: every due date up to it judged, with those missed on the way."""
    found: list[Missed] = []
    while (missed := missed_by(standing, through)) is not None:
        assert standing.due is not None
        following = following_due(standing.due_day, standing.due)
        if ends_free_period(standing, missed, terms):
            standing = standing.free_ended(missed.due)
        standing = standing.missing(missed).due_set(following, ZERO)
        found.append(missed)
    return standing, tuple(found)


# Receipts -------------------------------------------------------------------------------------------------------------


def decide_receipt(standing: Standing, amount: Yen, on: date, method: str, terms: Terms) -> ReceiptDecision:
    """Use a receipt on a standing that was brought to the day before it."""
    accrual = standing.accrual(on)
    owed = standing.claims(accrual)
    settled = 0 < owed.total <= amount
    remainder = not settled and _leaves_remainder(standing, amount, owed, method, terms.as_of(on))
    counted = () if settled or remainder else _count(standing, amount, on)
    return ReceiptDecision(
        owed=owed,
        carried=standing.carried,
        accrual=accrual,
        allocation=allocate(amount, owed),
        instalment=_instalment_outcome(standing, on, settled=settled, remainder=remainder, counted=counted),
        counted=counted,
        settled=settled,
        remainder=remainder,
    )


def _leaves_remainder(standing: Standing, amount: Yen, owed: Claims, method: str, terms: Terms) -> bool:
    """A rest too small for notes stays without interest and without a due date, until the next advance."""
    if owed.total == 0 or standing.remainder:
        return standing.remainder
    small = owed.total - amount < terms.repayment.free_remainder_below
    return small and method in terms.repayment.free_remainder_methods


def _count(standing: Standing, amount: Yen, on: date) -> tuple[Counted, ...]:
    """First the missed instalments, oldest first, then the open one if its window is open."""
    counted, left = [], amount
    for missed in standing.missed:
        if left == 0:
            break
        part = Yen(min(left, missed.rest))
        counted.append(Counted(missed.due, part, part == missed.rest))
        left = Yen(left - part)
    due = standing.due
    if left and due is not None and on >= due.opens:
        counted.append(Counted(due.day, left, standing.window_paid + left >= standing.instalment))
    return tuple(counted)


def _instalment_outcome(
    standing: Standing, on: date, *, settled: bool, remainder: bool, counted: tuple[Counted, ...]
) -> str:
    """`settled`, `cured`, `satisfied`, `partial`, `extra`, or `none` where nothing is scheduled."""
    if settled:
        return "settled"
    if standing.due is None:
        return "none"
    if standing.missed:
        last = standing.missed[-1].due
        return "cured" if remainder or any(part.due == last and part.fulfilled for part in counted) else "partial"
    if on < standing.due.opens:
        return "extra"
    return "satisfied" if remainder or any(part.fulfilled for part in counted) else "partial"
