"""The periodic credit check: when it is due, what spares it, who is told, and what answers it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from borrowing import BOOK, Borrower
from http_borrower import HttpBorrower
from serving import Client, commanded, served

from ledger.aggregates.credit_checks import CreditCheckDue, ends_longer_period, rules_that_ask

D = date
TERMS = BOOK.at(D(2025, 4, 1))
BOTH = ("monthly", "every-few-months")


@pytest.mark.parametrize(
    ("advances", "balance", "longer", "rules"),
    [
        (50_000, 300_000, False, ()),
        (50_000, 300_000, True, ("every-few-months",)),
        (50_001, 100_001, False, ("monthly",)),
        (50_001, 100_001, True, BOTH),
        (80_000, 90_000, False, ()),
        (80_000, 90_000, True, ()),
        (50_001, 100_000, True, ()),
        (0, 100_001, True, ("every-few-months",)),
        (0, 100_001, False, ()),
    ],
)
def test_w12_both_amounts_are_strict(advances: int, balance: int, longer: bool, rules: tuple[str, ...]) -> None:
    assert rules_that_ask(advances, balance, ends_longer_period=longer, terms=TERMS) == rules


def test_no_period_is_longer_than_the_law_allows_and_the_longer_ones_end_every_third_month() -> None:
    ends = [D(2025, 4, 30), D(2025, 5, 31), D(2025, 6, 30), D(2025, 7, 31), D(2025, 8, 31), D(2025, 9, 30)]
    issued_on = D(2025, 4, 30)
    assert [ends_longer_period(issued_on, day, TERMS) for day in ends] == [False, False, True, False, False, True]
    assert ends_longer_period(D(2024, 11, 1), D(2025, 1, 31), TERMS)


def due(borrower: Borrower) -> list[tuple[date, date, tuple[str, ...], int, int]]:
    return [
        (fact.first_day, fact.last_day, fact.rules, fact.advances, fact.balance)
        for fact in borrower.facts(CreditCheckDue)
    ]


def test_the_end_of_a_period_says_that_a_check_is_due_and_why() -> None:
    borrower = Borrower(D(2025, 4, 10))
    borrower.draw(D(2025, 4, 10), 50_000)
    borrower.draw(D(2025, 4, 30), 60_000)
    borrower.close_through(D(2025, 4, 10), D(2025, 6, 30))
    assert due(borrower) == [
        (D(2025, 4, 10), D(2025, 4, 30), ("monthly",), 110_000, 110_000),
        (D(2025, 6, 1), D(2025, 6, 30), ("every-few-months",), 0, 110_000),
    ]
    assert borrower.facts(CreditCheckDue)[0].ask_by == D(2025, 5, 21)


def test_closing_the_day_again_asks_for_nothing_again() -> None:
    borrower = Borrower(D(2025, 4, 10))
    borrower.draw(D(2025, 4, 10), 110_000)
    for _ in "12":
        borrower.close_through(D(2025, 4, 30), D(2025, 4, 30))
    assert len(due(borrower)) == 1
    assert borrower.fold().account == borrower.card.account


def test_the_balance_is_that_of_the_periods_end_though_the_day_is_closed_later() -> None:
    borrower = Borrower(D(2025, 4, 10))
    borrower.draw(D(2025, 4, 30), 110_000)
    borrower.repay(D(2025, 5, 1), 50_000)
    borrower.draw(D(2025, 5, 1), 200_000)
    borrower.on(D(2025, 5, 1)).close_day(D(2025, 4, 30), TERMS)
    assert due(borrower) == [(D(2025, 4, 10), D(2025, 4, 30), ("monthly",), 110_000, 110_000)]


def test_an_advance_that_was_taken_back_was_not_lent() -> None:
    borrower = Borrower(D(2025, 4, 10))
    borrower.draw(D(2025, 4, 10), 50_000)
    borrower.draw(D(2025, 4, 11), 60_000)
    borrower.on(D(2025, 4, 12)).reverse_advance(borrower.draw(D(2025, 4, 12), 70_000), TERMS)
    borrower.close_through(D(2025, 4, 30), D(2025, 4, 30))
    assert due(borrower)[0][3:] == (110_000, 110_000)


def test_an_advance_that_is_under_way_at_the_close_counts_as_lent() -> None:
    borrower = Borrower(D(2025, 4, 10))
    borrower.draw(D(2025, 4, 10), 50_000)
    reserved = borrower.reserve(D(2025, 4, 30), 60_000).advance_id
    borrower.on(D(2025, 5, 1)).close_day(D(2025, 4, 30), TERMS)
    borrower.confirm(D(2025, 5, 1), reserved, D(2025, 4, 30))
    assert due(borrower) == [(D(2025, 4, 10), D(2025, 4, 30), ("monthly",), 110_000, 110_000)]


@pytest.mark.parametrize("bar", ["over-one-third", "own-wish"])
def test_a_stop_of_advances_that_a_person_ends_spares_the_check(bar: str) -> None:
    borrower = Borrower(D(2025, 4, 10))
    borrower.draw(D(2025, 4, 10), 110_000)
    borrower.on(D(2025, 4, 30)).suspend(bar, rule=bar == "over-one-third")
    borrower.close_through(D(2025, 4, 30), D(2025, 4, 30))
    assert due(borrower) == []


def test_neither_lateness_nor_a_bar_that_came_later_spares_the_check() -> None:
    borrower = Borrower(D(2025, 4, 10))
    borrower.draw(D(2025, 4, 10), 110_000)
    borrower.close_through(D(2025, 5, 1), D(2025, 5, 30))
    assert [each.reason for each in borrower.card.access.suspensions.values()] == ["late"]
    borrower.on(D(2025, 7, 1)).suspend("own-wish")
    borrower.on(D(2025, 7, 1)).close_day(D(2025, 6, 30), TERMS)
    assert [rules for _, _, rules, _, _ in due(borrower)] == [("every-few-months",)]


# End to end -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def service(empty_database_url: str, tmp_path: Path) -> Iterator[Client]:
    with served(empty_database_url, tmp_path, start="2025-04-10T09:00:00+09:00") as client:
        yield client


def listed(service: Client, folder: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    code, said = commanded(service, folder, "credit-checks", "--json", *words)
    return code, json.loads(said)


def test_a_check_is_listed_until_a_report_of_the_bureau_answers_it(service: Client, tmp_path: Path) -> None:
    lent, other = HttpBorrower(service), HttpBorrower(service)
    for each in (lent, other):
        each.draws(150_000)
    service.go_to(D(2025, 5, 1))
    assert service.close_days(D(2025, 4, 30)).status == 200
    (told,) = lent.events("credit-check-due")
    assert (told["rules"], told["advances"], told["balance"], told["ask_by"]) == (
        ["monthly"],
        150_000,
        150_000,
        "2025-05-21",
    )
    code, checks = listed(service, tmp_path)
    assert (code, {each["card_id"] for each in checks}) == (0, {lent.card_id, other.card_id})
    assert {each["state"] for each in checks} == {"open"}

    reports = f"/v1/members/{lent.member_id}/credit-reports"
    service.done(reports, "service", {"others_balance": 0, "reported_on": "2025-04-30"})
    assert len(listed(service, tmp_path)[1]) == 2
    service.done(reports, "service", {"others_balance": 0, "reported_on": "2025-05-01"})
    assert [each["card_id"] for each in listed(service, tmp_path)[1]] == [other.card_id]
    service.go_to(D(2025, 5, 22))
    code, checks = listed(service, tmp_path, "--all")
    assert (code, {each["card_id"]: each["state"] for each in checks}) == (
        1,
        {lent.card_id: "done", other.card_id: "overdue"},
    )
    late = f"/v1/members/{other.member_id}/credit-reports"
    service.done(late, "service", {"others_balance": 0, "reported_on": "2025-05-22"})
    assert listed(service, tmp_path) == (0, [])
    assert {each["state"] for each in listed(service, tmp_path, "--all")[1]} == {"done", "done-late"}
    assert commanded(service, tmp_path, "audit", "verify", "--recompute")[0] == 0
