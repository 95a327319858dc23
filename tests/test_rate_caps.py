"""The statutory bracket of an advance: by the balance right after it, on the day the money left, and never up again."""

from __future__ import annotations

from datetime import date

import pytest
from borrowing import Borrower

from ledger import refusals
from ledger.aggregates.advances import AdvanceConfirmed
from ledger.money import Yen

D = date


def caps(borrower: Borrower) -> list[int]:
    return [fact.rate_cap_bps for fact in borrower.facts(AdvanceConfirmed)]


def test_the_cap_falls_with_the_balance_after_an_advance_and_does_not_rise_when_it_is_repaid() -> None:
    borrower = Borrower(D(2025, 4, 1), limit=1_000_000, rate=1500)
    for day, amount in ((5, 99_999), (6, 1), (7, 899_999), (8, 1)):
        borrower.draw(D(2025, 4, day), amount)
    borrower.repay(D(2025, 5, 7), 2_000_000)
    borrower.draw(D(2025, 5, 8), 1_000)
    assert caps(borrower) == [2000, 1800, 1800, 1500, 1500]


def test_an_advance_that_was_taken_back_leaves_the_cap_where_it_was() -> None:
    """The rate of the agreement may have been agreed on the strength of it: lower is lawful, higher might not be."""
    borrower = Borrower(D(2025, 4, 1), limit=1_000_000, rate=1500)
    advance_id = borrower.draw(D(2025, 4, 5), 1_000_000)
    borrower.on(D(2025, 4, 6)).reverse_advance(advance_id, borrower.terms)
    card = borrower.on(D(2025, 4, 7))
    with pytest.raises(refusals.RateOverCap):
        card.change_limit(Yen(500_000), annual_rate_bps=1501, request_id=None, reason="x", terms=borrower.terms)
    card.change_limit(Yen(500_000), annual_rate_bps=1500, request_id=None, reason="x", terms=borrower.terms)
    borrower.draw(D(2025, 4, 8), 1_000)
    assert caps(borrower) == [1500, 1500]


def test_an_advance_confirmed_late_is_capped_by_what_was_owed_on_its_own_day() -> None:
    borrower = Borrower(D(2025, 4, 1))
    borrower.draw(D(2025, 4, 5), 60_000)
    reserved = borrower.reserve(D(2025, 4, 10), 50_000)
    borrower.repay(D(2025, 4, 20), 40_000)
    borrower.confirm(D(2025, 4, 20), reserved.advance_id, D(2025, 4, 10))
    assert borrower.card.account.principal < 100_000
    assert caps(borrower) == [2000, 1800]


def test_an_advance_confirmed_late_lowers_the_cap_of_those_that_came_after_it() -> None:
    borrower = Borrower(D(2025, 4, 1))
    reserved = borrower.reserve(D(2025, 4, 5), 30_000)
    borrower.draw(D(2025, 4, 10), 80_000)
    borrower.repay(D(2025, 4, 20), 50_000)
    borrower.confirm(D(2025, 4, 20), reserved.advance_id, D(2025, 4, 5))
    assert caps(borrower) == [2000, 1800]


def test_an_advance_may_be_dated_before_its_reservation_where_the_money_left_first() -> None:
    """A gateway that was cut off tells later; the contract refuses no such day."""
    borrower = Borrower(D(2025, 4, 1))
    borrower.draw(D(2025, 4, 20), 100_000, D(2025, 4, 10))
    assert borrower.figures(D(2025, 4, 20)).interest == 487  # 10 days


def test_a_day_on_which_the_statutes_allowed_less_than_the_rate_is_refused() -> None:
    """90,000 yen at 20 %, repaid by half and drawn again: dated back, more than 100,000 would have been owed."""
    borrower = Borrower(D(2025, 4, 1), limit=90_000, rate=2000)
    borrower.draw(D(2025, 4, 5), 90_000)
    borrower.repay(D(2025, 4, 20), 50_000)
    reserved = borrower.reserve(D(2025, 4, 21), 20_000)
    before = len(borrower.events)
    with pytest.raises(refusals.ValueDateRefused):
        borrower.confirm(D(2025, 4, 21), reserved.advance_id, D(2025, 4, 19))
    assert len(borrower.events) == before
    assert borrower.confirm(D(2025, 4, 21), reserved.advance_id, D(2025, 4, 20)).state == "confirmed"
    assert caps(borrower) == [2000, 2000]
