"""The simulator: months of one twelfth, and the lengths that follow for the published instalments."""

from __future__ import annotations

from datetime import date

import pytest
from borrowing import BOOK
from hypothesis import given
from hypothesis import strategies as st

from ledger.refusals import SimulationImpossible
from ledger.repayment import bracket_of, instalment_for
from ledger.simulation import Simulation, simulate_amount, simulate_payment, simulate_term

TERMS = BOOK.at(date(2026, 1, 1)).instalment


def over_length(rate: int) -> dict[int, int]:
    """Whole-thousand balances to 1,000,000 whose instalment takes longer than published, and how long."""
    found = {}
    for balance in range(1_000, 1_000_001, 1_000):
        bracket = bracket_of(balance, TERMS.brackets)
        payment = instalment_for(balance, bracket, TERMS.unit)
        months = simulate_term(principal=balance, annual_rate_bps=rate, payment=payment).months
        if months > bracket.longest:
            found[balance] = months
    return found


def test_at_17_8_percent_every_balance_is_repaid_in_the_published_number_of_instalments() -> None:
    assert over_length(1780) == {}


def test_at_18_percent_some_balances_take_one_instalment_more() -> None:
    found = over_length(1800)
    small = {balance: months for balance, months in found.items() if balance <= 300_000}
    assert small == {83_000: 37, 166_000: 37, 249_000: 37, 277_000: 37}
    large = {balance: months for balance, months in found.items() if balance > 300_000}
    assert (len(large), min(large), set(large.values())) == (42, 316_000, {61})


def test_the_simulator_is_not_the_ledger() -> None:
    simulated = simulate_term(principal=100_000, annual_rate_bps=1800, payment=4_000)
    assert simulated.months == 32
    assert simulated.total != 125_837


def test_the_equal_payment_is_the_floored_annuity() -> None:
    simulated = simulate_payment(principal=100_000, annual_rate_bps=1800, months=12)
    assert simulated.payment == 9_167  # 100,000 x 0.015 / (1 - 1.015^-12) = 9,167.999…
    assert simulated.schedule[0].interest == 1_500


def test_without_interest_the_payments_are_equal_but_for_the_last() -> None:
    simulated = simulate_payment(principal=100, annual_rate_bps=0, months=3)
    assert [line.payment for line in simulated.schedule] == [33, 33, 34]
    assert simulated.interest == 0


def test_a_payment_that_does_not_cover_the_interest_never_repays() -> None:
    with pytest.raises(SimulationImpossible):
        simulate_term(principal=100_000, annual_rate_bps=1800, payment=1_500)


def test_a_term_of_over_600_months_is_impossible() -> None:
    with pytest.raises(SimulationImpossible):
        simulate_term(principal=6_010, annual_rate_bps=0, payment=10)
    assert simulate_term(principal=6_000, annual_rate_bps=0, payment=10).months == 600


def test_a_payment_below_a_yen_is_impossible() -> None:
    with pytest.raises(SimulationImpossible):
        simulate_payment(principal=1, annual_rate_bps=0, months=2)


@given(st.integers(1_000, 200_000), st.integers(1, 2_000), st.integers(1, 120))
def test_ten_years_are_as_many_months_as_were_asked_for(payment: int, rate: int, months: int) -> None:
    simulated = simulate_amount(payment=payment, annual_rate_bps=rate, months=months)
    assert simulated.months == months


def test_dropped_fractions_that_come_to_a_whole_payment_end_a_very_long_schedule_sooner() -> None:
    assert simulate_amount(payment=1_000, annual_rate_bps=2_000, months=218).months < 218


@given(st.integers(1_000, 8_000_000), st.integers(0, 2_000), st.integers(1, 120))
def test_every_schedule_repays_exactly_what_was_lent(principal: int, rate: int, months: int) -> None:
    assert_sound(simulate_payment(principal=principal, annual_rate_bps=rate, months=months), rate, months)


@given(st.integers(1_000, 200_000), st.integers(0, 2_000), st.integers(1, 120))
def test_the_amount_of_a_payment_is_repaid_by_it(payment: int, rate: int, months: int) -> None:
    simulated = simulate_amount(payment=payment, annual_rate_bps=rate, months=months)
    assert_sound(simulated, rate, months)
    assert simulated.schedule[-1].payment <= payment
    again = simulate_payment(principal=simulated.principal, annual_rate_bps=rate, months=months)
    assert payment - 2 <= again.payment <= payment  # each of the two floors costs less than a yen and its interest


def assert_sound(simulated: Simulation, rate: int, months: int) -> None:
    assert [line.month for line in simulated.schedule] == list(range(1, len(simulated.schedule) + 1))
    assert simulated.months == len(simulated.schedule) <= months
    balance = simulated.principal
    for line in simulated.schedule:
        assert line.interest == balance * rate // 120_000
        assert line.payment == line.interest + line.principal
        balance -= line.principal  # type: ignore[assignment]
        assert line.balance == balance
    assert balance == 0
    assert simulated.total == sum(line.payment for line in simulated.schedule)
    assert simulated.interest == simulated.total - simulated.principal
