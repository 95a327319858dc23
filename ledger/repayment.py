"""What a payment covers and what an instalment is: pure functions of whole yen.

What must stay true: the parts of an allocation are never negative and add up to the amount, to the yen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.money import ZERO, Yen, ceil_to
from ledger.terms import InstalmentBracket


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What is owed, by kind, in whole yen."""

    fees: Yen = ZERO
    late_damages: Yen = ZERO
    interest: Yen = ZERO
    principal: Yen = ZERO

    @property
    def total(self) -> Yen:
        return Yen(self.fees + self.late_damages + self.interest + self.principal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """How one receipt was used; `overpayment` is what was not owed and is kept for the member."""

    fees: Yen = ZERO
    late_damages: Yen = ZERO
    interest: Yen = ZERO
    principal: Yen = ZERO
    overpayment: Yen = ZERO

    @property
    def total(self) -> Yen:
        return Yen(self.fees + self.late_damages + self.interest + self.principal + self.overpayment)


def allocate(amount: int, owed: Claims) -> Allocation:
    """Use an amount in the agreed order: fees, late damages, interest, principal; the rest is an overpayment."""
    fees = min(amount, owed.fees)
    late_damages = min(amount - fees, owed.late_damages)
    interest = min(amount - fees - late_damages, owed.interest)
    principal = min(amount - fees - late_damages - interest, owed.principal)
    rest = amount - fees - late_damages - interest - principal
    return Allocation(
        fees=Yen(fees),
        late_damages=Yen(late_damages),
        interest=Yen(interest),
        principal=Yen(principal),
        overpayment=Yen(rest),
    )


def bracket_of(balance: int, brackets: Sequence[InstalmentBracket]) -> InstalmentBracket:
    """The bracket of the balance right after the last advance; a bracket holds its upper edge."""
    return next(each for each in brackets if each.up_to is None or balance <= each.up_to)


def instalment_for(balance: int, bracket: InstalmentBracket, unit: int) -> Yen:
    """The instalment: balance times the bracket's coefficient, rounded up to the unit."""
    return ceil_to(-(-balance * bracket.coefficient_bps // 10_000), unit)
