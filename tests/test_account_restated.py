"""Entries that come late or are taken back: one cause, one restatement, and decisions that stand."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from borrowing import BOOK, Borrower
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ledger import refusals
from ledger.aggregates.advances import AdvanceConfirmed
from ledger.aggregates.instalments import InstalmentMissed, InstalmentMissedWithdrawn, InstalmentSet
from ledger.aggregates.repayments import RepaymentMade, RepaymentReversed
from ledger.aggregates.restatement import AllocationRevised
from ledger.money import Yen

D = date

FIFTH_OF_MAY = date(2025, 5, 5)


def drawn(amount: int = 100_000, on: date = FIFTH_OF_MAY, *, due_day: int | str = 5) -> Borrower:
    borrower = Borrower(D(2025, 4, 1), due_day=due_day)
    borrower.draw(on, amount)
    return borrower


def test_a_late_debit_result_withdraws_the_missed_instalment_and_ends_the_suspension() -> None:
    borrower = drawn()
    borrower.close_through(D(2025, 6, 5), D(2025, 6, 9))
    assert borrower.card.borrowing_barred
    answer = borrower.repay(D(2025, 6, 10), 4_000, "direct-debit", value_date=D(2025, 6, 5))
    assert (answer.instalment, answer.allocation.late_damages, answer.next_due) == ("satisfied", 0, D(2025, 7, 7))
    (withdrawn,) = borrower.facts(InstalmentMissedWithdrawn)
    assert withdrawn.due == D(2025, 6, 5)
    assert not borrower.card.borrowing_barred
    assert borrower.figures(D(2025, 6, 10)).late_damages == 0
    assert not borrower.facts(AllocationRevised)


def test_a_withdrawn_instalment_does_not_count_towards_the_stop() -> None:
    borrower = drawn()
    borrower.close_through(D(2025, 6, 5), D(2025, 7, 7))
    borrower.repay(D(2025, 7, 8), 4_000, value_date=D(2025, 6, 5))
    borrower.close_through(D(2025, 7, 8), D(2025, 8, 5))
    assert len(borrower.facts(InstalmentMissed)) == 3
    assert not borrower.card.access.stops


def test_one_cause_makes_one_revision_that_lists_old_and_new_parts() -> None:
    borrower = drawn()
    first = borrower.repay(D(2025, 6, 15), 4_000)
    second = borrower.repay(D(2025, 6, 20), 4_000)
    late = borrower.repay(D(2025, 6, 21), 4_000, value_date=D(2025, 6, 5))
    (revision,) = borrower.facts(AllocationRevised)
    assert (revision.caused_by, revision.value_date) == (late.repayment_id, D(2025, 6, 5))
    assert [each.repayment_id for each in revision.revised] == [first.repayment_id, second.repayment_id]
    assert [each.old for each in revision.revised] == [first.allocation, second.allocation]
    assert (revision.revised[0].new.late_damages, revision.revised[0].new.interest) == (0, 475)  # 10 days on 97,511
    assert all(each.new.total == each.old.total == 4_000 for each in revision.revised)
    principal = 100_000 - late.allocation.principal - sum(each.new.principal for each in revision.revised)
    assert borrower.figures(D(2025, 6, 21)).principal == principal


def test_a_reversed_repayment_brings_the_missed_instalment_back() -> None:
    borrower = drawn()
    made = borrower.repay(D(2025, 6, 5), 4_000)
    borrower.on(D(2025, 6, 10)).reverse_repayment(made.repayment_id, borrower.terms)
    (reversed_,) = borrower.facts(RepaymentReversed)
    assert (reversed_.value_date, reversed_.allocation) == (D(2025, 6, 5), made.allocation)
    (missed,) = borrower.facts(InstalmentMissed)
    assert missed.restated
    assert borrower.card.borrowing_barred
    assert borrower.figures(D(2025, 6, 15)).total == 102_058
    with pytest.raises(refusals.AlreadyReversed):
        borrower.on(D(2025, 6, 10)).reverse_repayment(made.repayment_id, borrower.terms)


def test_reversing_the_settlement_owes_again_with_interest() -> None:
    borrower = drawn()
    made = borrower.repay(D(2025, 5, 25), 110_000)
    borrower.on(D(2025, 5, 26)).reverse_repayment(made.repayment_id, borrower.terms)
    figures = borrower.figures(D(2025, 6, 5))
    assert (figures.total, figures.customer_credit, figures.next_due) == (101_511, 0, D(2025, 6, 5))


def test_a_stop_and_a_decided_advance_stand_when_their_ground_vanishes() -> None:
    borrower = drawn()
    borrower.close_through(D(2025, 6, 5), D(2025, 8, 5))
    borrower.repay(D(2025, 8, 6), 12_000, value_date=D(2025, 6, 5))
    assert [stop.reason for stop in borrower.card.access.stops.values()] == ["repeated-lateness"]


def test_the_instalment_set_at_an_advance_stands_when_a_receipt_comes_late() -> None:
    borrower = drawn(280_000)
    borrower.draw(D(2025, 5, 20), 30_000)
    assert borrower.facts(InstalmentSet)[-1].amount == 8_000
    borrower.repay(D(2025, 5, 21), 20_000, value_date=D(2025, 5, 10))
    assert borrower.figures(D(2025, 5, 21)).minimum_instalment == 8_000


def test_the_due_date_set_at_an_advance_stands_when_the_settlement_before_it_bounces() -> None:
    borrower = drawn()
    settled = borrower.repay(D(2025, 5, 25), 100_975)
    borrower.draw(D(2025, 6, 20), 50_000)  # the first after zero: due 5 August
    borrower.on(D(2025, 6, 25)).reverse_repayment(settled.repayment_id, borrower.terms)
    figures = borrower.figures(D(2025, 6, 25))
    assert (figures.next_due, figures.days_late, figures.minimum_instalment) == (D(2025, 8, 5), 20, 2_000)


def test_a_reversed_advance_undoes_instalment_due_date_and_interest() -> None:
    borrower = drawn()
    advance_id = borrower.facts(AdvanceConfirmed)[0].advance_id
    borrower.on(D(2025, 5, 20)).reverse_advance(advance_id, borrower.terms)
    figures = borrower.figures(D(2025, 7, 31))
    assert (figures.total, figures.next_due, figures.minimum_instalment) == (0, None, 0)
    assert figures.available_credit == 500_000
    assert "account-settled" not in borrower.topics


def test_reversing_the_first_of_two_advances_leaves_the_schedule_of_the_second_alone() -> None:
    borrower = drawn(100_000, D(2025, 4, 19))
    first = borrower.facts(AdvanceConfirmed)[0].advance_id
    borrower.draw(D(2025, 4, 25), 50_000)
    assert borrower.figures(D(2025, 4, 26)).minimum_instalment == 6_000
    borrower.on(D(2025, 4, 26)).reverse_advance(first, borrower.terms)
    alone = drawn(50_000, D(2025, 4, 25))
    assert borrower.figures(D(2025, 5, 20)) == alone.figures(D(2025, 5, 20))
    assert borrower.figures(D(2025, 5, 20)).next_due == D(2025, 6, 5)


def test_the_interest_free_period_starts_anew_when_the_first_advance_is_reversed() -> None:
    borrower = Borrower(D(2025, 4, 1), interest_free=True)
    first = borrower.draw(D(2025, 4, 10), 10_000)
    borrower.draw(D(2025, 4, 20), 10_000)
    borrower.on(D(2025, 4, 21)).reverse_advance(first, borrower.terms)
    assert borrower.figures(D(2025, 4, 21)).interest_free_until == D(2025, 5, 20)


def test_a_receipt_before_any_advance_is_an_overpayment() -> None:
    borrower = drawn()
    answer = borrower.repay(D(2025, 5, 10), 4_000, value_date=D(2025, 5, 4))
    assert (answer.allocation.overpayment, answer.instalment) == (4_000, "none")


def test_a_refund_of_money_that_did_not_stay_is_principal_from_its_day() -> None:
    borrower = Borrower(D(2025, 4, 1))
    made = borrower.repay(D(2025, 5, 1), 10_000)
    borrower.on(D(2025, 5, 6)).send_refund(Yen(10_000), value_date=None, terms=borrower.terms)
    fact = borrower.on(D(2025, 5, 10)).reverse_repayment(made.repayment_id, borrower.terms)
    assert fact.restated.refund_as_principal == 10_000
    figures = borrower.figures(D(2025, 6, 5))
    assert (figures.principal, figures.interest, figures.customer_credit) == (10_000, 146, 0)
    assert (figures.next_due, figures.minimum_instalment) == (D(2025, 6, 5), 1_000)


def test_an_advance_confirmed_late_bears_interest_from_the_day_the_money_left() -> None:
    borrower = drawn()
    advance = borrower.reserve(D(2025, 5, 6), 50_000)
    borrower.repay(D(2025, 5, 9), 1_000)
    borrower.confirm(D(2025, 5, 9), advance.advance_id, D(2025, 5, 6))
    figures = borrower.figures(D(2025, 5, 9))
    assert (figures.principal, figures.minimum_instalment) == (150_000 - 1_000 + 268, 6_000)


months = st.integers(0, 130)


@given(months, months, st.integers(1, 120_000), st.integers(1, 120_000), st.sampled_from([5, 15, 25, "end"]))
def test_the_order_in_which_two_receipts_arrive_does_not_matter(
    first: int, second: int, one: int, other: int, due_day: int | str
) -> None:
    base, today = D(2025, 5, 5), D(2025, 5, 5) + timedelta(days=max(first, second))
    receipts = [(base + timedelta(days=first), one), (base + timedelta(days=second), other)]
    told = []
    for order in (receipts, receipts[::-1]):
        borrower = drawn(due_day=due_day)
        for value_date, amount in order:
            if (today - value_date).days <= 92:
                borrower.repay(today, amount, value_date=value_date)
        told.append(borrower.card.account)
    assert told[0] == told[1]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60_000)), min_size=1, max_size=6), st.integers(0, 5))
def test_a_receipt_taken_and_taken_back_leaves_the_figures_as_they_were(
    receipts: list[tuple[int, int]], chosen: int
) -> None:
    today = D(2025, 7, 4)
    with_it, without = drawn(), drawn()
    chosen %= len(receipts)
    for number, (ahead, amount) in enumerate(receipts):
        day = D(2025, 5, 5) + timedelta(days=ahead)
        made = with_it.repay(today, amount, value_date=day)
        if number == chosen:
            taken_back = made.repayment_id
        else:
            without.repay(today, amount, value_date=day)
    with_it.on(today).reverse_repayment(taken_back, with_it.terms)
    without.on(today).judge(today - timedelta(days=1), without.terms)
    for ahead in (0, 10, 100):
        day = today + timedelta(days=ahead)
        found, expected = (each.card.account.figures(day, BOOK, barred=True) for each in (with_it, without))
        assert found == expected


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30_000), st.integers(0, 80)), min_size=1, max_size=8))
def test_income_booked_is_what_was_paid_and_what_is_still_claimed(steps: list[tuple[int, int, int]]) -> None:
    """The control account of interest: booked income minus what receipts took equals the claims booked and unpaid."""
    borrower, day, closed = drawn(), D(2025, 5, 5), D(2025, 5, 4)
    for later, amount, back in steps:
        day += timedelta(days=later)
        made = borrower.repay(day, amount, value_date=max(D(2025, 4, 1), day - timedelta(days=back)))
        if amount % 3 == 0:
            borrower.on(day).reverse_repayment(made.repayment_id, borrower.terms)
        if amount % 2 == 0:
            borrower.close_through(closed + timedelta(days=1), day - timedelta(days=1))
            closed = day - timedelta(days=1)
        assert books(borrower) == (
            borrower.card.account.standing.interest_posted,
            borrower.card.account.standing.late_damages_posted,
        )


def books(borrower: Borrower) -> tuple[int, int]:
    """Booked income less the receipts' parts, added up from the facts as a journal would."""
    interest = damages = 0
    for event in borrower.events:
        fact = event.fact
        if fact.topic == "card.interest-posted":
            interest, damages = interest + fact.interest, damages + fact.late_damages
        elif isinstance(fact, RepaymentMade):
            interest += fact.interest_earned - fact.allocation.interest
            damages += fact.late_damages_earned - fact.allocation.late_damages
        elif isinstance(fact, RepaymentReversed):
            interest += fact.restated.interest_earned + fact.allocation.interest
            damages += fact.restated.late_damages_earned + fact.allocation.late_damages
        elif isinstance(fact, AllocationRevised):
            interest -= sum(each.new.interest - each.old.interest for each in fact.revised)
            damages -= sum(each.new.late_damages - each.old.late_damages for each in fact.revised)
    return interest, damages


def test_replaying_every_entry_gives_the_present_standing() -> None:
    borrower = drawn()
    for ahead, amount in ((3, 1_000), (31, 4_000), (40, 700), (80, 9_000)):
        borrower.repay(D(2025, 5, 5) + timedelta(days=ahead), amount)
    card = borrower.card
    card.written.checkpoints[1:] = []
    outcome = card.restate(D(2025, 4, 1), borrower.terms)
    assert (outcome.revised, outcome.missed, outcome.withdrawn) == ((), (), ())
    assert structs.replace(outcome.restatement.after, interest_posted=card.account.standing.interest_posted) == (
        card.account.standing
    )


@pytest.mark.parametrize("looked_away", ["refund", "rate"])
def test_an_instalment_is_missed_once_though_a_restatement_starts_before_anybody_had_judged_it(
    looked_away: str,
) -> None:
    borrower = Borrower(D(2025, 4, 1))
    borrower.repay(D(2025, 4, 2), 3_000)
    borrower.draw(FIFTH_OF_MAY, 100_000)
    card = borrower.on(D(2025, 6, 10))  # due on 5 June; neither act below judges it
    if looked_away == "refund":
        card.send_refund(Yen(1_000), value_date=None, terms=borrower.terms)
    else:
        limit = card.account.credit_limit
        card.change_limit(limit, annual_rate_bps=1_500, request_id=None, reason="test", terms=borrower.terms)
    borrower.repay(D(2025, 6, 12), 1_000)
    borrower.repay(D(2025, 6, 13), 500, value_date=D(2025, 6, 11))
    assert [missed.due for missed in borrower.facts(InstalmentMissed)] == [D(2025, 6, 5)]
    assert borrower.card.account.missed_dues == (D(2025, 6, 5),)
    assert borrower.fold().account == borrower.card.account


def test_a_refund_that_turns_out_to_be_lent_sets_the_instalment_of_its_own_balance() -> None:
    borrower = drawn(on=D(2025, 4, 5))
    borrower.repay(D(2025, 5, 7), borrower.figures(D(2025, 5, 7)).total)
    kept = borrower.repay(D(2025, 5, 10), 200_000)
    borrower.on(D(2025, 5, 11)).send_refund(Yen(200_000), value_date=None, terms=borrower.terms)
    borrower.on(D(2025, 5, 12)).reverse_repayment(kept.repayment_id, borrower.terms)
    told = borrower.facts(InstalmentSet)[-1]
    assert (told.balance, told.coefficient_bps, told.amount) == (200_000, 361, 8_000)  # 7,220, and 3,610 before
    assert borrower.figures(D(2025, 5, 12)).minimum_instalment == 8_000
    borrower.repay(D(2025, 5, 13), 300, value_date=D(2025, 5, 12))
    assert borrower.figures(D(2025, 5, 13)).minimum_instalment == 8_000
    assert borrower.fold().account == borrower.card.account
