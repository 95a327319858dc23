"""A card's account by the rules: advances, repayments, instalments, lateness, limits."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import uuid4

import pytest
from acting import through_json
from borrowing import BOOK, Borrower
from hypothesis import given
from hypothesis import strategies as st

from ledger import refusals
from ledger.aggregates.advances import AdvanceConfirmed
from ledger.aggregates.instalments import (
    DueDateSet,
    InstalmentMissed,
    InstalmentSet,
    InterestFreeEnded,
    InterestFreeStarted,
    InterestPosted,
)
from ledger.aggregates.limits import RateChanged
from ledger.aggregates.repayments import RepaymentMade
from ledger.calendar import CALENDAR_VERSION
from ledger.interest import DENOMINATOR
from ledger.money import Yen
from ledger.repayment import Allocation, allocate

D = date

FIFTH_OF_MAY = date(2025, 5, 5)


def drawn(amount: int = 100_000, on: date = FIFTH_OF_MAY, **settings: object) -> Borrower:
    """A card with one advance. The 5th of May is followed by due dates on 5 June and 7 July (Monday)."""
    borrower = Borrower(D(2025, 4, 1), **settings)  # type: ignore[arg-type]
    borrower.draw(on, amount)
    return borrower


# Advances -------------------------------------------------------------------------------------------------------------


def test_a_reserved_advance_cuts_the_available_credit_and_not_the_principal() -> None:
    borrower = Borrower(D(2025, 4, 1), limit=100_000)
    answer = borrower.reserve(D(2025, 4, 10), 30_000)
    assert (answer.state, answer.fee, answer.available_credit) == ("reserved", 0, 70_000)
    figures = borrower.figures(D(2025, 4, 30))
    assert (figures.principal, figures.total, figures.available_credit) == (0, 0, 70_000)
    assert (figures.minimum_instalment, figures.next_due) == (0, None)


def test_an_advance_is_confirmed_on_the_day_the_money_left() -> None:
    borrower = Borrower(D(2025, 4, 1))
    advance = borrower.reserve(D(2025, 4, 10), 30_000)
    assert borrower.confirm(D(2025, 4, 12), advance.advance_id, D(2025, 4, 11)).value_date == D(2025, 4, 11)
    (confirmed,) = borrower.facts(AdvanceConfirmed)
    assert (confirmed.principal_before, confirmed.principal_after) == (0, 30_000)
    assert borrower.figures(D(2025, 4, 12)).interest == 14  # one day at 17.8 %


def test_a_failed_advance_gives_the_credit_back() -> None:
    borrower = Borrower(D(2025, 4, 1), limit=100_000)
    advance = borrower.reserve(D(2025, 4, 10), 30_000)
    answer = borrower.on(D(2025, 4, 10)).fail_advance(advance.advance_id)
    assert (answer.state, answer.available_credit) == ("failed", 100_000)


def test_an_advance_over_the_limit_is_refused_and_leaves_no_trace() -> None:
    borrower = Borrower(D(2025, 4, 1), limit=100_000)
    borrower.reserve(D(2025, 4, 10), 60_000)
    before = borrower.topics
    with pytest.raises(refusals.CreditLimitExceeded) as refused:
        borrower.reserve(D(2025, 4, 10), 40_001)
    assert refused.value.details == {"available_credit": 40_000}
    assert borrower.topics == before
    borrower.reserve(D(2025, 4, 10), 40_000)


@pytest.mark.parametrize(("purpose", "amount"), [("cash", 1_500), ("cash", 999), ("transfer", 0)])
def test_an_amount_outside_the_unit_is_refused_before_all_else(purpose: str, amount: int) -> None:
    borrower = Borrower(D(2025, 4, 1), limit=10_000)
    borrower.on(D(2025, 4, 2)).stop("lost")
    with pytest.raises(refusals.AmountNotInUnit):
        borrower.reserve(D(2025, 4, 2), amount, purpose)


@pytest.mark.parametrize("purpose", ["transfer", "prepaid"])
def test_transfers_and_charges_go_by_the_yen(purpose: str) -> None:
    assert Borrower(D(2025, 4, 1)).reserve(D(2025, 4, 2), 1, purpose).amount == 1


def test_the_refusals_of_an_advance_come_in_their_order() -> None:
    borrower = Borrower(D(2025, 4, 1), limit=10_000)
    card = borrower.on(D(2025, 4, 2))

    def refusal() -> str:
        with pytest.raises(refusals.Refusal) as refused:
            card.reserve_advance(Yen(20_000), "transfer", channel="web", payout_account=False, terms=borrower.terms)
        return refused.value.code

    assert refusal() == "payout-account-missing"
    suspension = card.suspend("own-wish")
    assert refusal() == "borrowing-suspended"
    card.stop("lost")
    assert refusal() == "card-stopped"
    card.resume(suspension, "check")
    assert refusal() == "card-stopped"


def test_cash_needs_no_payout_account() -> None:
    borrower = Borrower(D(2025, 4, 1))
    card = borrower.on(D(2025, 4, 2))
    card.reserve_advance(Yen(1_000), "cash", channel="atm", payout_account=False, terms=borrower.terms)


def test_an_advance_is_confirmed_once_and_reversed_once() -> None:
    borrower = Borrower(D(2025, 4, 1))
    day = D(2025, 4, 2)
    advance = borrower.reserve(day, 1_000)
    with pytest.raises(refusals.AdvanceNotConfirmed):
        borrower.on(day).reverse_advance(advance.advance_id, borrower.terms)
    borrower.confirm(day, advance.advance_id)
    with pytest.raises(refusals.AdvanceNotReserved):
        borrower.confirm(day, advance.advance_id)
    with pytest.raises(refusals.AdvanceNotReserved):
        borrower.on(day).fail_advance(advance.advance_id)
    assert borrower.on(day).reverse_advance(advance.advance_id, borrower.terms).state == "reversed"
    with pytest.raises(refusals.AlreadyReversed):
        borrower.on(day).reverse_advance(advance.advance_id, borrower.terms)
    with pytest.raises(refusals.NotFound):
        borrower.on(day).reverse_advance(uuid4(), borrower.terms)


def test_the_money_of_a_confirmed_advance_left_whatever_the_card_is_now() -> None:
    borrower = Borrower(D(2025, 4, 1))
    advance = borrower.reserve(D(2025, 4, 2), 1_000)
    borrower.on(D(2025, 4, 3)).stop("stolen")
    answer = borrower.confirm(D(2025, 4, 3), advance.advance_id)
    assert (answer.state, answer.available_credit) == ("confirmed", 0)


# Instalments and due dates --------------------------------------------------------------------------------------------


def test_an_advance_sets_instalment_and_first_due_date_with_what_they_were_decided_by() -> None:
    borrower = drawn()
    (instalment,), (due,) = borrower.facts(InstalmentSet), borrower.facts(DueDateSet)
    assert (instalment.balance, instalment.coefficient_bps, instalment.amount) == (100_000, 361, 4_000)
    assert instalment.terms_version == BOOK.at(D(2025, 5, 5)).version
    assert (due.nominal, due.due, due.opens) == (D(2025, 6, 5), D(2025, 6, 5), D(2025, 5, 5))
    assert due.calendar_version == CALENDAR_VERSION


def test_the_instalment_stays_when_the_balance_falls_and_slides_down_at_the_next_advance() -> None:
    borrower = drawn(800_000, limit=900_000)
    assert borrower.figures(D(2025, 5, 6)).minimum_instalment == 21_000
    borrower.repay(D(2025, 5, 5), 300_000)
    assert borrower.figures(D(2025, 5, 6)).minimum_instalment == 21_000
    borrower.draw(D(2025, 5, 5), 100_000)
    assert borrower.figures(D(2025, 5, 6)).minimum_instalment == 16_000


def test_the_minimum_is_never_more_than_what_is_owed() -> None:
    borrower = drawn(2_000)
    borrower.repay(D(2025, 5, 5), 1_500)
    assert borrower.figures(D(2025, 6, 5)).minimum_instalment == 507  # 500 and 7 of interest


@pytest.mark.parametrize(
    ("paid_on", "amount", "instalment", "next_due"),
    [
        ("2025-05-05", 4_000, "satisfied", "2025-07-07"),
        ("2025-06-05", 4_000, "satisfied", "2025-07-07"),
        ("2025-06-05", 3_999, "partial", "2025-06-05"),
        ("2025-06-06", 3_999, "partial", "2025-07-07"),
        ("2025-06-06", 4_000, "cured", "2025-07-07"),
        ("2025-06-06", 8_000, "cured", "2025-08-05"),
        ("2025-06-05", 101_511, "settled", None),
    ],
)
def test_a_receipt_counts_in_the_window_of_its_day(
    paid_on: str, amount: int, instalment: str, next_due: str | None
) -> None:
    answer = drawn().repay(date.fromisoformat(paid_on), amount)
    assert (answer.instalment, answer.next_due) == (instalment, date.fromisoformat(next_due) if next_due else None)


def test_partial_payments_of_one_window_add_up() -> None:
    borrower = drawn()
    assert borrower.repay(D(2025, 5, 10), 1_000).instalment == "partial"
    assert borrower.repay(D(2025, 5, 20), 3_000).instalment == "satisfied"


def test_a_second_payment_in_a_satisfied_window_is_extra_and_satisfies_nothing_ahead() -> None:
    borrower = drawn()
    borrower.repay(D(2025, 5, 10), 4_000)
    answer = borrower.repay(D(2025, 6, 5), 4_000)
    assert (answer.instalment, answer.next_due) == ("extra", D(2025, 7, 7))
    assert borrower.repay(D(2025, 6, 6), 4_000).instalment == "satisfied"


def test_missed_instalments_are_cured_oldest_first_with_sums_carried() -> None:
    borrower = drawn()
    assert borrower.figures(D(2025, 7, 8)).days_late == 33
    assert borrower.repay(D(2025, 7, 10), 5_000).instalment == "partial"
    assert borrower.figures(D(2025, 7, 10)).days_late == 3  # from 7 July now
    assert borrower.repay(D(2025, 7, 11), 3_000).instalment == "cured"
    assert borrower.figures(D(2025, 7, 12)).days_late == 0


def test_the_next_due_date_after_a_cure_is_the_first_after_it() -> None:
    borrower = drawn()
    assert borrower.repay(D(2025, 8, 20), 12_000).next_due == D(2025, 9, 5)


def test_ordinary_interest_runs_on_the_days_of_the_holiday_shift() -> None:
    borrower = Borrower(D(2025, 4, 1))
    borrower.draw(D(2025, 4, 10), 100_000)  # nominal 5 May, due 7 May
    figures = borrower.figures(D(2025, 5, 7))
    assert (figures.next_due, figures.days_late, figures.late_damages) == (D(2025, 5, 7), 0, 0)
    assert figures.interest == 1_316  # 27 days


def test_damages_take_the_place_of_interest_after_the_due_date_and_are_floored_apart() -> None:
    figures = drawn().figures(D(2025, 6, 15))
    assert (figures.interest, figures.late_damages, figures.days_late) == (1_511, 547, 10)
    assert figures.total == 102_058


def test_w7_and_w8_are_allocated_on_the_card() -> None:
    borrower = drawn()
    answer = borrower.repay(D(2025, 6, 15), 4_000)
    assert answer.allocation == Allocation(late_damages=Yen(547), interest=Yen(1_511), principal=Yen(1_942))
    assert (answer.principal_after, answer.instalment) == (98_058, "cured")
    other = drawn()
    assert other.repay(D(2025, 6, 15), 1_000).allocation == Allocation(late_damages=Yen(547), interest=Yen(453))
    figures = other.figures(D(2025, 6, 15))
    assert (figures.interest, figures.principal) == (1_058, 100_000)
    assert other.figures(D(2025, 6, 16)).interest == 1_058  # carried interest bears none


def test_w6_a_whole_life_ends_on_the_yen() -> None:
    borrower = Borrower(D(2025, 9, 1), rate=1800)
    borrower.draw(D(2025, 9, 10), 100_000)
    paid = []
    for months in range(32):
        day = D(2025 + (9 + months) // 12, (9 + months) % 12 + 1, 5)
        paid.append(min(4_000, borrower.figures(day).total))
        answer = borrower.repay(day, paid[-1])
    assert (day, answer.instalment, paid[-1], sum(paid)) == (D(2028, 5, 5), "settled", 1_837, 125_837)


# Allocation, settlement, remainder ------------------------------------------------------------------------------------


def test_a_settlement_quote_settles_on_its_day() -> None:
    borrower = drawn()
    quote = borrower.card.account.settlement_quote(D(2025, 5, 20), BOOK)
    assert quote.total == 100_000 + quote.interest == 100_731
    assert borrower.repay(D(2025, 5, 20), quote.total).instalment == "settled"
    assert borrower.topics[-1] == "account-settled"
    figures = borrower.figures(D(2025, 12, 31))
    assert (figures.total, figures.next_due, figures.minimum_instalment, figures.days_late) == (0, None, 0, 0)


def test_a_quote_is_for_its_day_only() -> None:
    borrower = drawn()
    quote = borrower.card.account.settlement_quote(D(2025, 5, 20), BOOK)
    assert borrower.repay(D(2025, 5, 21), quote.total).instalment == "satisfied"
    assert borrower.figures(D(2025, 5, 21)).principal == 49


def test_an_overpayment_is_kept_for_the_member_and_can_be_refunded() -> None:
    borrower = drawn()
    answer = borrower.repay(D(2025, 5, 5), 103_000)
    assert (answer.allocation.overpayment, answer.principal_after, answer.instalment) == (3_000, 0, "settled")
    assert borrower.topics[-2:] == ["overpayment-recorded", "account-settled"]
    assert borrower.figures(D(2025, 5, 6)).customer_credit == 3_000
    with pytest.raises(refusals.RefundOverCredit):
        borrower.on(D(2025, 5, 6)).send_refund(Yen(3_001), value_date=None, terms=borrower.terms)
    sent = borrower.on(D(2025, 5, 6)).send_refund(Yen(3_000), value_date=None, terms=borrower.terms)
    assert sent.customer_credit == 0
    assert borrower.figures(D(2025, 5, 6)).customer_credit == 0


@pytest.mark.parametrize("method", ["atm", "counter", "bank-transfer", "direct-debit"])
def test_money_that_arrived_is_taken_on_a_closed_card(method: str) -> None:
    borrower = drawn()
    borrower.on(D(2025, 5, 6)).stop("fraud")
    answer = borrower.repay(D(2025, 5, 6), 200_000, method)
    assert answer.allocation == Allocation(interest=Yen(48), principal=Yen(100_000), overpayment=Yen(99_952))
    borrower.on(D(2025, 5, 6)).close()
    again = borrower.repay(D(2025, 5, 7), 100, method)
    assert (again.allocation.overpayment, again.instalment, again.next_due) == (100, "none", None)


def test_a_member_cannot_pay_by_internet_when_nothing_is_owed() -> None:
    borrower = Borrower(D(2025, 4, 1))
    with pytest.raises(refusals.NothingOwed):
        borrower.repay(D(2025, 4, 2), 1_000, "internet", by_member=True)
    assert borrower.repay(D(2025, 4, 2), 100, "internet").allocation.overpayment == 100


def test_an_internet_repayment_has_a_minimum_unless_it_settles() -> None:
    borrower = drawn(300)
    with pytest.raises(refusals.AmountBelowMinimum):
        borrower.repay(D(2025, 5, 5), 199, "internet", by_member=True)
    assert borrower.repay(D(2025, 5, 5), 200, "internet", by_member=True).principal_after == 100
    with pytest.raises(refusals.AmountBelowMinimum):
        borrower.repay(D(2025, 5, 5), 99, "internet", by_member=True)
    assert borrower.repay(D(2025, 5, 5), 100, "internet", by_member=True).instalment == "settled"


def test_a_small_rest_after_an_atm_repayment_bears_nothing_and_is_not_settled() -> None:
    borrower = drawn(10_000)
    answer = borrower.repay(D(2025, 6, 5), 10_000, "atm")
    assert (answer.principal_after, answer.instalment, answer.next_due) == (151, "satisfied", None)
    later = borrower.figures(D(2026, 5, 5))
    assert (later.total, later.interest, later.days_late, later.minimum_instalment) == (151, 0, 0, 0)
    assert "account-settled" not in borrower.topics
    assert borrower.repay(D(2026, 5, 5), 151, "internet", by_member=True).instalment == "settled"


@pytest.mark.parametrize(("rest", "free"), [(999, True), (1_000, False)])
def test_the_interest_free_remainder_is_under_1000_yen(rest: int, free: bool) -> None:
    borrower = drawn(10_000 + rest)
    borrower.repay(D(2025, 5, 5), 10_000, "atm")
    assert (borrower.figures(D(2025, 6, 5)).interest == 0) is free


def test_a_remainder_joins_the_next_advance_and_bears_interest_again() -> None:
    borrower = drawn(10_000)
    borrower.repay(D(2025, 6, 5), 10_000, "atm")
    borrower.draw(D(2025, 8, 1), 9_849)
    figures = borrower.figures(D(2025, 8, 31))
    assert (figures.principal, figures.interest, figures.next_due) == (10_000, 146, D(2025, 9, 5))


def test_unpaid_interest_is_carried_and_the_fraction_is_gone() -> None:
    borrower = drawn()
    borrower.repay(D(2025, 6, 5), 200)  # of 1,511.78
    assert borrower.figures(D(2025, 6, 5)).interest == 1_311
    assert borrower.figures(D(2025, 6, 6)).late_damages == 54


def test_a_receipt_holds_all_that_recomputes_it() -> None:
    borrower = drawn()
    borrower.repay(D(2025, 6, 15), 1_000)
    borrower.repay(D(2025, 6, 20), 4_000)
    for made in borrower.facts(RepaymentMade):
        interest = made.carried.interest + sum(each.numerator for each in made.interest_segments) // DENOMINATOR
        damages = made.carried.late_damages + sum(each.numerator for each in made.late_damages_segments) // DENOMINATOR
        assert (made.owed.interest, made.owed.late_damages) == (interest, damages)
        assert made.allocation == allocate(made.amount, made.owed)
        assert made.principal_after == made.principal_before - made.allocation.principal


@pytest.mark.parametrize(("back", "allowed"), [(0, True), (92, True), (93, False), (-1, False)])
def test_a_value_date_lies_within_92_days_back(back: int, allowed: bool) -> None:
    borrower = Borrower(D(2025, 1, 1))
    today = D(2025, 8, 1)
    if allowed:
        borrower.repay(today, 1_000, value_date=today - timedelta(days=back))
    else:
        with pytest.raises(refusals.ValueDateRefused):
            borrower.repay(today, 1_000, value_date=today - timedelta(days=back))


def test_a_value_date_is_not_before_the_card() -> None:
    borrower = Borrower(D(2025, 4, 1))
    with pytest.raises(refusals.ValueDateRefused):
        borrower.repay(D(2025, 4, 2), 1_000, value_date=D(2025, 3, 31))


# The interest-free period ---------------------------------------------------------------------------------------------


def test_the_interest_free_period_is_30_days_from_the_day_after_the_first_advance() -> None:
    borrower = Borrower(D(2025, 4, 1), due_day=15, interest_free=True)
    borrower.draw(D(2025, 4, 10), 80_000)
    (started,) = borrower.facts(InterestFreeStarted)
    assert (started.first_day, started.last_day) == (D(2025, 4, 11), D(2025, 5, 10))
    assert borrower.figures(D(2025, 5, 10)).interest == 0
    assert borrower.figures(D(2025, 5, 10)).interest_free_until == D(2025, 5, 10)
    assert borrower.figures(D(2025, 5, 11)).interest_free_until is None
    assert borrower.repay(D(2025, 5, 15), 80_000).allocation.interest == 195


def test_later_advances_share_the_interest_free_period() -> None:
    borrower = Borrower(D(2025, 4, 1), due_day=15, interest_free=True)
    borrower.draw(D(2025, 4, 10), 50_000)
    borrower.repay(D(2025, 4, 20), 50_000)
    borrower.draw(D(2025, 4, 25), 80_000)
    assert len(borrower.facts(InterestFreeStarted)) == 1
    assert borrower.figures(D(2025, 5, 15)).interest == 195


def test_lateness_ends_the_interest_free_period_but_never_backwards() -> None:
    borrower = Borrower(D(2025, 4, 1), due_day=25, interest_free=True)
    borrower.draw(D(2025, 4, 9), 100_000)  # due 25 April, free to 9 May
    figures = borrower.figures(D(2025, 4, 28))
    assert (figures.interest, figures.late_damages, figures.interest_free_until) == (0, 164, None)
    borrower.close_through(D(2025, 4, 25), D(2025, 4, 25))
    (ended,) = borrower.facts(InterestFreeEnded)
    assert (ended.last_day, ended.reason) == (D(2025, 4, 25), "late")


def test_the_day_close_tells_the_end_of_the_interest_free_period_once() -> None:
    borrower = Borrower(D(2025, 4, 1), due_day=15, interest_free=True)
    borrower.draw(D(2025, 4, 10), 80_000)
    borrower.close_through(D(2025, 4, 10), D(2025, 5, 14))
    (ended,) = borrower.facts(InterestFreeEnded)
    assert (ended.last_day, ended.reason) == (D(2025, 5, 10), "expired")


def test_a_card_without_the_offer_has_no_interest_free_period() -> None:
    assert not drawn().facts(InterestFreeStarted)


# The day close --------------------------------------------------------------------------------------------------------


def test_the_close_of_the_due_date_tells_a_missed_instalment_and_suspends_borrowing() -> None:
    borrower = drawn()
    borrower.close_through(D(2025, 5, 5), D(2025, 6, 4))
    assert not borrower.facts(InstalmentMissed)
    borrower.close_through(D(2025, 6, 5), D(2025, 6, 5))
    (missed,) = borrower.facts(InstalmentMissed)
    assert (missed.due, missed.minimum, missed.paid) == (D(2025, 6, 5), 4_000, 0)
    with pytest.raises(refusals.BorrowingSuspended):
        borrower.reserve(D(2025, 6, 6), 1_000)
    assert borrower.figures(D(2025, 6, 6)).available_credit == 0


def test_the_cure_ends_the_suspension_in_the_same_act() -> None:
    borrower = drawn()
    borrower.close_through(D(2025, 6, 5), D(2025, 6, 5))
    borrower.repay(D(2025, 6, 10), 3_000)
    assert borrower.card.borrowing_barred
    borrower.repay(D(2025, 6, 11), 1_000)
    assert borrower.topics[-1] == "borrowing-resumed"
    assert not borrower.card.borrowing_barred


def test_closing_a_day_again_records_nothing() -> None:
    borrower = drawn()
    borrower.close_through(D(2025, 5, 5), D(2025, 6, 30))
    before = borrower.topics
    borrower.close_through(D(2025, 5, 5), D(2025, 6, 30))
    assert borrower.topics == before


def test_lateness_does_not_wait_for_the_day_close() -> None:
    closed, open_ = drawn(), drawn()
    closed.close_through(D(2025, 5, 5), D(2025, 7, 8))
    days = [D(2025, 6, 5), D(2025, 6, 6), D(2025, 7, 9)]
    asked = [open_.card.account.figures(day, BOOK, barred=True) for day in days]
    assert asked[2] == closed.card.account.figures(days[2], BOOK, barred=True)
    assert [each.days_late for each in asked] == [0, 1, 34]


def test_three_missed_instalments_in_twelve_months_stop_the_card() -> None:
    borrower = drawn()
    borrower.close_through(D(2025, 6, 5), D(2025, 8, 4))
    assert not borrower.card.access.stops
    borrower.close_through(D(2025, 8, 5), D(2025, 9, 30))
    (stop,) = borrower.card.access.stops.values()
    assert (stop.reason, stop.by_rule) == ("repeated-lateness", True)
    assert borrower.topics.count("card-stopped") == 1


def test_the_month_end_posts_what_was_not_booked_and_changes_nothing_owed() -> None:
    borrower = drawn()
    owed = borrower.figures(D(2025, 7, 31)).total
    borrower.close_through(D(2025, 5, 5), D(2025, 6, 30))
    first, second = borrower.facts(InterestPosted)
    assert (first.through, first.interest, first.late_damages) == (D(2025, 5, 31), 1_267, 0)
    assert (second.interest, second.interest_claimed, second.late_damages) == (244, 1_511, 1_369)
    assert borrower.figures(D(2025, 7, 31)).total == owed
    made = borrower.repay(D(2025, 7, 1), 10_000) and borrower.last_receipt
    assert (made.interest_earned, made.late_damages_earned) == (0, 55)


# Limits and rates -----------------------------------------------------------------------------------------------------


def changed(borrower: Borrower, day: date, limit: int, rate: int | None = None) -> None:
    borrower.on(day).change_limit(
        Yen(limit), annual_rate_bps=rate, request_id=None, reason="member", terms=BOOK.at(day)
    )


def test_w11_a_limit_below_the_balance_leaves_nothing_available_until_enough_is_repaid() -> None:
    borrower = drawn(420_000)
    changed(borrower, D(2025, 5, 5), 300_000)
    figures = borrower.figures(D(2025, 5, 5))
    assert (figures.available_credit, figures.minimum_instalment, figures.next_due) == (0, 11_000, D(2025, 6, 5))
    borrower.repay(D(2025, 5, 5), 130_000)
    assert borrower.figures(D(2025, 5, 5)).available_credit == 10_000


@pytest.mark.parametrize("limit", [0, 9_999, 15_000, 8_010_000])
def test_a_limit_has_its_range_and_step(limit: int) -> None:
    with pytest.raises(refusals.LimitOutOfRange):
        changed(drawn(), D(2025, 5, 6), limit)


def test_a_raise_to_a_million_takes_the_rate_down_to_the_cap_from_that_day() -> None:
    borrower = drawn(300_000)
    changed(borrower, D(2025, 5, 20), 1_000_000)
    (change,) = borrower.facts(RateChanged)
    assert (change.old_rate_bps, change.new_rate_bps, change.effective_from) == (1780, 1500, D(2025, 5, 20))
    assert borrower.figures(D(2025, 6, 5)).interest == 4_144  # 14 days at 17.8 %, 17 days at 15.0 %


def test_the_rate_does_not_follow_a_cut() -> None:
    borrower = drawn(10_000, limit=1_000_000, rate=1500)
    changed(borrower, D(2025, 5, 6), 90_000)
    assert borrower.figures(D(2025, 5, 6)).annual_rate_bps == 1500


def test_a_rate_over_the_cap_or_a_rise_on_a_balance_is_refused() -> None:
    borrower = drawn(10_000, limit=90_000, rate=1500)
    for rate in (1501, 2100):
        with pytest.raises(refusals.RateOverCap):
            changed(borrower, D(2025, 5, 6), 90_000, rate)


def test_the_cap_never_rises_again_when_the_balance_falls() -> None:
    borrower = drawn(100_000, limit=500_000, rate=1500)
    borrower.repay(D(2025, 5, 5), 100_000)
    with pytest.raises(refusals.RateOverCap):
        changed(borrower, D(2025, 5, 6), 90_000, 1801)
    changed(borrower, D(2025, 5, 6), 90_000, 1800)


# The state as a value -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 50), max_size=8), st.sampled_from([5, 15, 25, "end"]))
def test_the_account_comes_back_equal_from_json(gaps: list[int], due_day: int | str) -> None:
    borrower = Borrower(D(2025, 4, 1), due_day=due_day, interest_free=True)
    day = D(2025, 4, 1)
    borrower.reserve(day, 500)
    borrower.draw(day, 123_456)
    for gap in gaps:
        day += timedelta(days=gap)
        borrower.repay(day, gap * 500)
    assert through_json(borrower.card.account) == borrower.card.account


def test_a_restored_card_without_its_entries_folds_on() -> None:
    borrower = drawn()
    borrower.repay(D(2025, 6, 6), 4_000)
    restored = borrower.fold()
    restored.account, restored.passbook = through_json(restored.account), None
    seen = len(borrower.events)
    borrower.repay(D(2025, 6, 20), 4_000, value_date=D(2025, 6, 1))
    borrower.on(D(2025, 6, 21)).reverse_repayment(borrower.facts(RepaymentMade)[0].repayment_id, borrower.terms)
    for event in borrower.events[seen:]:
        event.mutate(restored)
    assert restored.account == borrower.card.account


def test_a_repayment_costs_the_same_after_many() -> None:
    """Nothing in the account grows with the receipts; only the write side's passbook does."""
    borrower = drawn(400_000)
    for _ in range(300):
        borrower.repay(D(2025, 5, 6), 1)
    few = len(str(borrower.card.account))
    for _ in range(300):
        borrower.repay(D(2025, 5, 6), 1)
    assert abs(len(str(borrower.card.account)) - few) < 10
    assert len(borrower.card.written.checkpoints) == 2
