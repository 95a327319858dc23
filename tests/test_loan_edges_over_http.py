"""Amounts, days and methods of the loan at their edges, as clients meet them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from conftest import NewDatabase
from http_borrower import HttpBorrower
from serving import Client, served

from ledger.calendar import JST


@pytest.fixture(scope="module")
def service(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with new_database("edges") as dsn, served(dsn, tmp_path_factory.mktemp("edges")) as client:
        yield client


def test_an_internet_repayment_under_its_minimum_is_taken_if_it_settles(service: Client) -> None:
    card = HttpBorrower(service)
    card.draws(150)
    session = card.session
    assert card.asks_repayment(149, "internet", session).code == "amount-below-minimum"
    assert card.repays(150, "internet", session)["instalment"] == "settled"
    assert card.asks_repayment(1_000, "internet", session).code == "nothing-owed"
    assert card.repays(1_000, "internet", "service")["allocation"]["overpayment"] == 1_000  # it has arrived


def test_a_value_date_may_lie_92_days_back_and_not_before_the_card(service: Client) -> None:
    card = HttpBorrower(service)
    today = service.now().astimezone(JST).date()
    card.draws(100_000)
    service.go_to(today + timedelta(days=92))
    assert card.asks_repayment(1_000, value_date=today).status == 201
    service.go_to(today + timedelta(days=93))
    assert card.asks_repayment(1_000, value_date=today).code == "value-date-refused"
    assert card.asks_repayment(1_000, value_date=today + timedelta(days=1)).status == 201


def test_nobody_brings_money_by_a_method_of_another(service: Client) -> None:
    card = HttpBorrower(service)
    card.draws(10_000)
    session = card.session
    for method in ("atm", "direct-debit", "bank-transfer", "counter"):
        assert card.asks_repayment(1_000, method, session).code == "channel-not-permitted"
    assert card.asks_repayment(1_000, "internet", "atm").code == "channel-not-permitted"
    assert card.asks_repayment(1_000, "counter", "service").code == "channel-not-permitted"
