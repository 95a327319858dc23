"""What may be granted: range, statutory rate, one third of the income, proof of income."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from borrowing import BOOK

from ledger import refusals
from ledger.aggregates.limits import Means, check_credit, has_proof, needs_proof, over_one_third

ON = date(2026, 4, 1)
TERMS = BOOK.at(ON)
MEANS = Means(annual_income=3_600_000, others_balance=0, age=30)


@pytest.mark.parametrize(
    ("income", "total", "over"),
    [(2_000_000, 666_667, True), (2_000_000, 666_666, False), (3_600_000, 1_200_000, False), (0, 1, True)],
)
def test_w10_the_third_of_the_income_is_exact_and_equality_is_allowed(income: int, total: int, over: bool) -> None:
    assert over_one_third(total, 0, income, TERMS) is over
    assert over_one_third(0, total, income, TERMS) is over


def test_w9_a_total_over_a_million_needs_a_proof_though_within_the_third() -> None:
    means = replace(MEANS, others_balance=600_000)
    assert not over_one_third(500_000, 600_000, 3_600_000, TERMS)
    with pytest.raises(refusals.IncomeProofRequired):
        check_credit(500_000, 1780, means=means, on=ON, terms=TERMS)
    check_credit(500_000, 1780, means=replace(means, proof_issued_on=ON), on=ON, terms=TERMS)


@pytest.mark.parametrize(
    ("limit", "others", "age", "needed"),
    [
        (500_000, 0, 30, False),
        (510_000, 0, 30, True),
        (500_000, 500_000, 30, False),
        (500_000, 500_001, 30, True),
        (10_000, 0, 19, True),
        (10_000, 0, 20, False),
    ],
)
def test_a_proof_is_needed_above_the_edges_and_for_the_young(limit: int, others: int, age: int, needed: bool) -> None:
    assert needs_proof(limit, replace(MEANS, others_balance=others, age=age), TERMS) is needed


@pytest.mark.parametrize(
    ("issued_on", "changed_on", "valid"),
    [
        (None, None, False),
        (date(2023, 4, 1), None, True),
        (date(2023, 3, 31), None, False),
        (date(2026, 4, 2), None, False),
        (date(2025, 1, 1), date(2025, 6, 1), False),
        (date(2025, 6, 1), date(2025, 6, 1), True),
    ],
)
def test_a_proof_holds_three_years_and_not_past_a_change_of_workplace(
    issued_on: date | None, changed_on: date | None, valid: bool
) -> None:
    means = replace(MEANS, proof_issued_on=issued_on, workplace_changed_on=changed_on)
    assert has_proof(means, ON, TERMS) is valid


def test_the_refusals_come_in_their_order() -> None:
    poor = replace(MEANS, annual_income=0, age=18)
    for limit, rate, code in (
        (15_000, 9_999, "limit-out-of-range"),
        (1_000_000, 1_501, "rate-over-cap"),
        (1_000_000, 1_500, "over-one-third"),
    ):
        with pytest.raises(refusals.Refusal) as refused:
            check_credit(limit, rate, means=poor, on=ON, terms=TERMS)
        assert refused.value.code == code


@pytest.mark.parametrize(("limit", "rate"), [(90_000, 2000), (100_000, 1800), (990_000, 1800), (1_000_000, 1500)])
def test_the_rate_may_reach_the_statutory_cap_of_the_limit(limit: int, rate: int) -> None:
    means = replace(MEANS, proof_issued_on=ON)
    check_credit(limit, rate, means=means, on=ON, terms=TERMS)
    with pytest.raises(refusals.RateOverCap):
        check_credit(limit, rate + 1, means=means, on=ON, terms=TERMS)
