"""Allocation and instalments: the published tables, and that no yen is lost."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from math import ceil

import pytest
from borrowing import BOOK
from hypothesis import given
from hypothesis import strategies as st

from ledger.money import Yen
from ledger.repayment import Allocation, Claims, allocate, bracket_of, instalment_for

TERMS = BOOK.at(date(2026, 1, 1)).instalment
claims = st.integers(0, 10_000_000).map(Yen)


def instalment(balance: int) -> int:
    return instalment_for(balance, bracket_of(balance, TERMS.brackets), TERMS.unit)


@pytest.mark.parametrize(
    ("balance", "yen"),
    [
        (1, 1_000),
        (27_700, 1_000),
        (27_701, 2_000),
        (100_000, 4_000),
        (300_000, 11_000),
        (300_001, 8_000),
        (500_000, 13_000),
        (600_000, 16_000),
        (800_000, 21_000),
        (1_000_000, 26_000),
        (1_000_001, 20_000),
        (5_000_000, 100_000),
        (8_000_000, 160_000),
    ],
)
def test_the_instalment_follows_the_balance_and_is_not_monotone(balance: int, yen: int) -> None:
    assert instalment(balance) == yen


@given(st.integers(1, 8_000_000))
def test_the_instalment_is_the_exact_product_rounded_up(balance: int) -> None:
    percent = "3.61" if balance <= 300_000 else "2.53" if balance <= 1_000_000 else "1.99"
    assert instalment(balance) == ceil(balance * Fraction(percent) / 100 / 1000) * 1000


def test_w7_a_late_instalment_pays_damages_then_interest_then_principal() -> None:
    owed = Claims(late_damages=Yen(547), interest=Yen(1_511), principal=Yen(100_000))
    assert allocate(4_000, owed) == Allocation(late_damages=Yen(547), interest=Yen(1_511), principal=Yen(1_942))


def test_w8_a_small_amount_may_pay_part_of_the_interest() -> None:
    owed = Claims(late_damages=Yen(547), interest=Yen(1_511), principal=Yen(100_000))
    assert allocate(1_000, owed) == Allocation(late_damages=Yen(547), interest=Yen(453))


def test_fees_come_first_and_what_is_not_owed_is_an_overpayment() -> None:
    owed = Claims(fees=Yen(110), interest=Yen(10), principal=Yen(500))
    used = allocate(1_000, owed)
    assert used == Allocation(fees=Yen(110), interest=Yen(10), principal=Yen(500), overpayment=Yen(380))


@given(st.integers(1, 99_999_999), claims, claims, claims, claims)
def test_the_parts_are_never_negative_and_add_up(
    amount: int, fees: Yen, damages: Yen, interest: Yen, lent: Yen
) -> None:
    owed = Claims(fees=fees, late_damages=damages, interest=interest, principal=lent)
    used = allocate(amount, owed)
    assert used.total == amount
    assert 0 <= used.fees <= fees
    assert 0 <= used.late_damages <= damages
    assert 0 <= used.interest <= interest
    assert 0 <= used.principal <= lent
    assert used.overpayment == max(0, amount - owed.total)
