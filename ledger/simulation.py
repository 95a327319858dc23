"""The repayment simulator: what a member is shown before borrowing. Months of one twelfth of a year, no dates.

What must stay true: this is not the ledger's arithmetic. A month's interest is floor(balance x rate / 12) and the last
payment clears the rest; the ledger counts days (`interest.py`). Integers only, like there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ledger.money import Yen
from ledger.refusals import SimulationImpossible

MONTHS_MAX: Final = 600

TWELFTHS: Final = 120_000
"""A monthly rate is the yearly one in basis points over this."""


@dataclass(frozen=True, slots=True)
class MonthlyPayment:
    """One line of the schedule; `balance` is what remains after it."""

    month: int
    payment: Yen
    interest: Yen
    principal: Yen
    balance: Yen


@dataclass(frozen=True, slots=True)
class Simulation:
    """The regular payment, how many there are, and each of them; the last may differ from `payment`.

    Over a very long time the fractions dropped each month come to a whole payment: then there are fewer than asked for.
    """

    principal: Yen
    payment: Yen
    months: int
    total: Yen
    interest: Yen
    schedule: tuple[MonthlyPayment, ...]


def simulate_payment(*, principal: int, annual_rate_bps: int, months: int) -> Simulation:
    """The equal payment that repays a principal in so many months: the annuity, floored to the yen."""
    growth, base = (TWELFTHS + annual_rate_bps) ** months, TWELFTHS**months
    if annual_rate_bps:
        payment = principal * annual_rate_bps * growth // (TWELFTHS * (growth - base))
    else:
        payment = principal // months
    if payment < 1:
        raise SimulationImpossible
    return _simulation(principal, annual_rate_bps, payment, months)


def simulate_term(*, principal: int, annual_rate_bps: int, payment: int) -> Simulation:
    """How long a payment takes to repay a principal; impossible if it takes over 600 months."""
    return _simulation(principal, annual_rate_bps, payment, None)


def simulate_amount(*, payment: int, annual_rate_bps: int, months: int) -> Simulation:
    """The principal that a payment repays in so many months: its present value, floored to the yen."""
    growth, base = (TWELFTHS + annual_rate_bps) ** months, TWELFTHS**months
    if annual_rate_bps:
        principal = payment * TWELFTHS * (growth - base) // (annual_rate_bps * growth)
    else:
        principal = payment * months
    if principal < 1:
        raise SimulationImpossible
    return _simulation(principal, annual_rate_bps, payment, months)


def _simulation(principal: int, annual_rate_bps: int, payment: int, months: int | None) -> Simulation:
    schedule = tuple(_schedule(principal, annual_rate_bps, payment, months))
    total = sum(line.payment for line in schedule)
    return Simulation(Yen(principal), Yen(payment), len(schedule), Yen(total), Yen(total - principal), schedule)


def _schedule(balance: int, annual_rate_bps: int, payment: int, months: int | None) -> Iterator[MonthlyPayment]:
    """Pay month by month; the payment of the last month, or the first that suffices, clears the rest."""
    for month in range(1, (months or MONTHS_MAX) + 1):
        interest = balance * annual_rate_bps // TWELFTHS
        is_last = balance + interest <= payment or month == months
        paid = balance + interest if is_last else payment
        if paid <= interest and not (is_last or months):
            raise SimulationImpossible
        balance -= paid - interest
        yield MonthlyPayment(month, Yen(paid), Yen(interest), Yen(paid - interest), Yen(balance))
        if is_last:
            return
    raise SimulationImpossible
