"""How long records are kept: each clock from its own day, and what the operator is told of a card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from borrowing import BOOK
from http_borrower import HttpBorrower
from serving import Client, commanded, served

from ledger.calendar import end_of_years
from ledger.retention import Agreement, clocks, keep_until

D = date
TERMS = BOOK.at(D(2025, 6, 30))
CLOSED = Agreement(ended_on=D(2025, 6, 30), claims_gone_on=D(2025, 6, 30), last_transaction_on=D(2025, 6, 12))


def ends(agreement: Agreement) -> dict[str, date | None]:
    return {clock.record: clock.keep_until for clock in clocks(agreement, TERMS)}


def test_w13_every_clock_of_an_agreement_that_was_closed_runs_from_its_own_day() -> None:
    assert ends(CLOSED) == {
        "books": D(2035, 6, 30),
        "ability-surveys": D(2025, 6, 30),
        "identity": D(2032, 6, 30),
        "last-transaction": D(2032, 6, 12),
    }
    assert keep_until(clocks(CLOSED, TERMS)) == D(2035, 6, 30)


@pytest.mark.parametrize(
    ("ended_on", "gone_on", "books"),
    [
        (D(2025, 6, 30), D(2025, 3, 1), D(2035, 6, 30)),
        (D(2025, 6, 30), D(2025, 9, 1), D(2035, 9, 1)),
        (D(2025, 6, 30), None, None),
        (None, D(2025, 3, 1), None),
    ],
)
def test_books_are_kept_from_the_later_of_the_end_and_the_day_nothing_was_owed_any_more(
    ended_on: date | None, gone_on: date | None, books: date | None
) -> None:
    agreement = Agreement(ended_on=ended_on, claims_gone_on=gone_on, last_transaction_on=None)
    assert ends(agreement)["books"] == books
    assert (keep_until(clocks(agreement, TERMS)) is None) is (books is None)


def test_a_credit_check_is_kept_three_years_from_the_last_one() -> None:
    checked = Agreement(
        ended_on=D(2025, 6, 30),
        claims_gone_on=D(2025, 6, 30),
        last_transaction_on=None,
        checked_on=(D(2025, 5, 1), D(2025, 2, 1)),
    )
    assert ends(checked)["last-credit-check"] == D(2028, 5, 1)


@pytest.mark.parametrize(
    ("day", "years", "end"),
    [
        (D(2025, 6, 30), 10, D(2035, 6, 30)),
        (D(2024, 2, 29), 7, D(2031, 2, 28)),
        (D(2021, 2, 28), 3, D(2024, 2, 29)),
        (D(2024, 2, 28), 1, D(2025, 2, 28)),
        (D(2024, 12, 31), 1, D(2025, 12, 31)),
    ],
)
def test_years_begin_with_the_day_after_and_end_before_that_day_comes_again(day: date, years: int, end: date) -> None:
    assert end_of_years(day, years) == end


# End to end -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def service(empty_database_url: str, tmp_path: Path) -> Iterator[Client]:
    with served(empty_database_url, tmp_path, start="2025-04-10T09:00:00+09:00") as client:
        yield client


def told(service: Client, folder: Path, card_id: str) -> Any:
    code, said = commanded(service, folder, "retention", card_id, "--json")
    assert code == 0, said
    found = json.loads(said)
    return found["keep_until"], {each["record"]: each["keep_until"] for each in found["clocks"]}


def test_the_clocks_of_a_card_begin_when_it_is_settled_and_closed(service: Client, tmp_path: Path) -> None:
    lent = HttpBorrower(service)
    lent.draws(110_000)
    never = {"books": None, "ability-surveys": None, "identity": None, "last-transaction": "2032-04-10"}
    assert told(service, tmp_path, lent.card_id) == (None, never)
    service.go_to(D(2025, 5, 1))
    assert service.close_days(D(2025, 4, 30)).status == 200  # books the interest of April, and asks for a check
    assert told(service, tmp_path, lent.card_id) == (None, {**never, "last-credit-check": "2028-05-01"})
    service.go_to(D(2025, 5, 20))
    reported = {"others_balance": 0, "reported_on": "2025-05-19"}
    service.done(f"/v1/members/{lent.member_id}/credit-reports", "service", reported)
    assert told(service, tmp_path, lent.card_id) == (None, {**never, "last-credit-check": "2028-05-20"})
    service.go_to(D(2025, 6, 12))
    paid = lent.repays(200_000)
    assert paid["instalment"] == "settled"
    service.go_to(D(2025, 6, 30))
    assert commanded(service, tmp_path, "close-card", lent.card_id)[0] == 0
    closed = {"books": "2035-06-30", "ability-surveys": "2025-06-30", "identity": "2032-06-30"}
    closed |= {"last-transaction": "2032-06-12", "last-credit-check": "2028-05-20"}
    assert told(service, tmp_path, lent.card_id) == ("2035-06-30", closed)
    code, said = commanded(service, tmp_path, "retention", lent.card_id)
    assert (code, said.splitlines()[-1]) == (0, "Keep all until 2035-06-30.")
    assert commanded(service, tmp_path, "retention", lent.member_id)[0] == 1
