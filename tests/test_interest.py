"""Interest by the day: the published worked examples, and exactness against fractions."""

from __future__ import annotations

from calendar import isleap
from datetime import date, timedelta
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.interest import DENOMINATOR, segments, whole_yen

DAY = timedelta(days=1)
days = st.dates(date(2019, 1, 1), date(2029, 12, 31))
amounts = st.integers(0, 8_000_000)
rates = st.integers(0, 2_000)


def owed(balance: int, rate: int, advanced_on: date, paid_on: date) -> int:
    return whole_yen(segments(((advanced_on, balance),), ((advanced_on, rate),), advanced_on + DAY, paid_on))


@pytest.mark.parametrize(
    ("balance", "rate", "advanced_on", "paid_on", "yen"),
    [
        pytest.param(100_000, 1780, "2025-05-05", "2025-06-05", 1_511, id="W1"),
        pytest.param(100_000, 1800, "2023-12-20", "2024-01-25", 1_771, id="W4: across New Year"),
        pytest.param(100_000, 1800, "2024-02-05", "2024-03-05", 1_426, id="W5: a leap year"),
        pytest.param(80_000, 1780, "2025-05-10", "2025-05-15", 195, id="after an interest-free period"),
        pytest.param(123_456, 1800, "2025-05-01", "2025-05-31", 1_826, id="no floor by the day"),
        pytest.param(4_015, 1800, "2025-01-01", "2025-02-20", 99, id="a float loses this yen"),
        pytest.param(100_000, 2000, "2025-06-05", "2025-06-15", 547, id="late damages of ten days"),
        pytest.param(100_000, 1780, "2025-05-05", "2025-05-05", 0, id="the same day"),
        pytest.param(100_000, 1780, "2025-05-05", "2025-05-06", 48, id="the first day is excluded, the last included"),
    ],
)
def test_the_worked_examples_hold_to_the_yen(balance: int, rate: int, advanced_on: str, paid_on: str, yen: int) -> None:
    assert owed(balance, rate, date.fromisoformat(advanced_on), date.fromisoformat(paid_on)) == yen


def test_w2_a_second_advance_cuts_a_segment() -> None:
    balances = ((date(2025, 5, 2), 200_000), (date(2025, 5, 12), 300_000))
    cut = segments(balances, ((date.min, 1780),), date(2025, 5, 2), date(2025, 6, 1))
    assert [(each.principal, each.days) for each in cut] == [(200_000, 10), (300_000, 21)]
    assert whole_yen(cut) == 4_047


def test_w3_a_rate_change_cuts_a_segment_and_the_floor_comes_once() -> None:
    rates_by_day = ((date.min, 1780), (date(2025, 5, 15), 1500))
    cut = segments(((date.min, 300_000),), rates_by_day, date(2025, 5, 1), date(2025, 5, 31))
    assert [(each.annual_rate_bps, each.days) for each in cut] == [(1780, 14), (1500, 17)]
    assert whole_yen(cut) == 4_144
    assert sum(whole_yen([each]) for each in cut) == 4_143


def test_a_period_across_new_year_is_cut_on_the_first_of_january() -> None:
    cut = segments(((date.min, 100_000),), ((date.min, 1800),), date(2023, 12, 21), date(2024, 1, 25))
    assert [(each.first_day, each.last_day, each.days, each.basis) for each in cut] == [
        (date(2023, 12, 21), date(2023, 12, 31), 11, 365),
        (date(2024, 1, 1), date(2024, 1, 25), 25, 366),
    ]


def test_a_rate_at_the_cap_stays_at_the_cap_over_a_leap_year() -> None:
    assert owed(100_000, 1800, date(2023, 12, 31), date(2024, 12, 31)) == 18_000


@given(amounts, rates, days, st.integers(0, 1500), st.integers(0, 1500))
def test_a_period_may_be_split_at_any_day(balance: int, rate: int, first: date, length: int, at: int) -> None:
    balances, rates_by_day = ((date.min, balance),), ((date.min, rate),)
    last, middle = first + length * DAY, first + min(at, length) * DAY
    whole = segments(balances, rates_by_day, first, last)
    parts = segments(balances, rates_by_day, first, middle) + segments(balances, rates_by_day, middle + DAY, last)
    assert sum(each.numerator for each in whole) == sum(each.numerator for each in parts)


steps = st.dictionaries(days, amounts, max_size=6).map(lambda each: tuple(sorted(each.items())))


@given(steps, st.lists(st.tuples(days, rates), max_size=4, unique_by=lambda step: step[0]), days, st.integers(0, 900))
def test_segments_equal_the_sum_of_the_days_as_fractions(
    balances: tuple[tuple[date, int], ...], changes: list[tuple[date, int]], first: date, length: int
) -> None:
    rates_by_day = tuple(sorted(changes))
    expected = Fraction(0)
    for ahead in range(length + 1):
        day = first + ahead * DAY
        balance = next((value for begin, value in reversed(balances) if begin <= day), 0)
        rate = next((value for begin, value in reversed(rates_by_day) if begin <= day), 0)
        expected += Fraction(balance * rate, 10_000 * (366 if isleap(day.year) else 365))
    cut = segments(balances, rates_by_day, first, first + length * DAY)
    assert Fraction(sum(each.numerator for each in cut), DENOMINATOR) == expected
    assert whole_yen(cut) == floor(expected)
