"""The refund of an overpayment: what may be sent back and when, and what every reader of it sees."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from borrowing import Borrower
from http_borrower import HttpBorrower
from serving import Client, commanded, served

from ledger import refusals
from ledger.aggregates.repayments import RefundSent
from ledger.money import Yen

D = date


def overpaid() -> Borrower:
    """3,000 yen are kept for the member from 5 May on."""
    borrower = Borrower(D(2025, 4, 1))
    borrower.draw(D(2025, 4, 5), 100_000)
    borrower.repay(D(2025, 5, 5), 100_000 + 1_463 + 3_000)
    assert borrower.figures(D(2025, 5, 5)).customer_credit == 3_000
    return borrower


def refund(borrower: Borrower, day: date, amount: int, value_date: date | None = None) -> RefundSent:
    return borrower.on(day).send_refund(Yen(amount), value_date=value_date, terms=borrower.book.at(day))


def test_a_refund_leaves_on_its_value_date_and_nothing_else_of_the_account_moves() -> None:
    borrower = overpaid()
    borrower.draw(D(2025, 5, 10), 50_000)
    before = borrower.figures(D(2025, 6, 1))
    assert refund(borrower, D(2025, 5, 20), 2_000, D(2025, 5, 7)).value_date == D(2025, 5, 7)
    after = borrower.figures(D(2025, 6, 1))
    assert (before.customer_credit, after.customer_credit) == (3_000, 1_000)
    assert (after.principal, after.interest, after.next_due) == (before.principal, before.interest, before.next_due)
    known = borrower.card.account_on(D(2025, 5, 6), borrower.terms).standing.customer_credit
    assert (known, borrower.card.account_on(D(2025, 5, 7), borrower.terms).standing.customer_credit) == (3_000, 1_000)
    assert borrower.fold().account == borrower.card.account


@pytest.mark.parametrize("amount", [3_001, 99_999_999])
def test_more_than_is_kept_is_not_refunded(amount: int) -> None:
    with pytest.raises(refusals.RefundOverCredit) as refused:
        refund(overpaid(), D(2025, 5, 6), amount)
    assert refused.value.details == {"customer_credit": 3_000}


def test_where_nothing_is_kept_nothing_is_refunded() -> None:
    borrower = overpaid()
    refund(borrower, D(2025, 5, 6), 3_000)
    with pytest.raises(refusals.RefundOverCredit):
        refund(borrower, D(2025, 5, 6), 1)


def test_a_refund_cannot_have_left_before_the_money_was_there() -> None:
    borrower = overpaid()
    for day in (D(2025, 4, 4), D(2025, 5, 4)):
        with pytest.raises(refusals.RefundOverCredit):
            refund(borrower, D(2025, 5, 6), 1, day)
    assert refund(borrower, D(2025, 5, 6), 1, D(2025, 5, 5)).customer_credit == 2_999


def test_an_earlier_refund_cannot_take_what_a_later_one_has_sent_already() -> None:
    borrower = overpaid()
    refund(borrower, D(2025, 5, 10), 3_000)
    borrower.repay(D(2025, 5, 12), 500)
    with pytest.raises(refusals.RefundOverCredit):
        refund(borrower, D(2025, 5, 13), 500, D(2025, 5, 8))
    assert refund(borrower, D(2025, 5, 13), 500, D(2025, 5, 12)).customer_credit == 0


@pytest.mark.parametrize(("today", "value_date"), [(D(2025, 5, 6), D(2025, 5, 7)), (D(2025, 8, 6), D(2025, 5, 5))])
def test_the_value_date_of_a_refund_is_refused_like_any_other(today: date, value_date: date) -> None:
    with pytest.raises(refusals.ValueDateRefused):
        refund(overpaid(), today, 1, value_date)


def test_a_stopped_or_closed_card_keeps_no_money_back() -> None:
    borrower = overpaid()
    borrower.on(D(2025, 5, 6)).stop("fraud")
    borrower.on(D(2025, 5, 6)).close()
    assert refund(borrower, D(2025, 5, 6), 3_000).customer_credit == 0


# End to end -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def service(empty_database_url: str, tmp_path: Path) -> Iterator[Client]:
    with served(empty_database_url, tmp_path, start="2025-04-05T09:00:00+09:00") as client:
        yield client


def test_a_refund_by_the_operator_is_seen_by_every_reader(service: Client, tmp_path: Path) -> None:
    lent = HttpBorrower(service)
    lent.draws(100_000)
    service.go_to(D(2025, 5, 5))
    lent.repays(104_463)
    service.go_to(D(2025, 5, 20))
    words = ("refund", lent.card_id, "2000", "--value-date", "2025-05-07", "--key", "2025-05-20/1")
    code, said = commanded(service, tmp_path, *words)
    told = r"2000 yen are refunded with value date 2025-05-07, at position (\d+); 1000 yen are kept\n"
    assert code == 0, said
    position = re.fullmatch(told, said)
    assert position, said
    assert commanded(service, tmp_path, *words) == (0, said.replace("are refunded", "were refunded"))

    balance = lent.balance(f"?value_date={D(2025, 5, 20)}")
    assert (balance["customer_credit"], balance["total"], balance["position"]) == (1_000, 0, int(position[1]))
    assert lent.balance("?value_date=2025-05-06")["customer_credit"] == 3_000
    for of in ("principal", "interest", "late_damages", "fees", "available_credit"):
        assert service.read(f"{lent.path}/explanation?of={of}")["figure"] == balance[of]
    (row,) = service.read(f"{lent.path}/transactions?kind=refund")["data"]
    assert (row["amount"], row["direction"], row["value_date"]) == (2_000, "debit", "2025-05-07")
    (sent,) = lent.events("refund-sent")
    assert sent | {"refund_id": row["transaction_id"]} == sent
    lines = service.read("/v1/journal?limit=200")["data"]
    booked = {
        (line["account"], line["direction"], line["amount"]) for line in lines if line["value_date"] == "2025-05-07"
    }
    assert booked == {("Liabilities:MemberCredit", "debit", 2_000), ("Assets:Clearing:Refunds", "credit", 2_000)}
    trial = {row["account"]: row for row in service.read("/v1/trial-balance")["accounts"]}
    assert trial["Liabilities:MemberCredit"]["balance"] == 1_000, trial
    assert commanded(service, tmp_path, "audit", "verify", "--recompute")[0] == 0
    code, books = commanded(service, tmp_path, "journal", "export", "--format", "hledger")
    assert code == 0
    assert "Assets:Clearing:Refunds" in books
    if shutil.which("hledger"):
        (tmp_path / "books").write_text(books)
        subprocess.run(["hledger", "check", "--strict", "-f", str(tmp_path / "books")], check=True, timeout=60)


def test_the_command_says_why_a_refund_is_refused_and_the_refusal_is_on_record(service: Client, tmp_path: Path) -> None:
    lent = HttpBorrower(service)
    lent.repays(500)
    code, said = commanded(service, tmp_path, "refund", lent.card_id, "501")
    assert (code, said) == (
        1,
        "The refund is over what is kept for the member. "
        "Refund no more than was kept for the member on that day and still is.\n",
    )
    code, said = commanded(service, tmp_path, "refund", lent.card_id, "500", "--value-date", "2025-04-04")
    assert (code, said.partition(".")[0]) == (1, "The value date is in the future, before the card, or too far back")
    assert commanded(service, tmp_path, "refund", "00000000-0000-4000-8000-000000000000", "1")[0] == 1
    for wrong in (
        *((lent.card_id, amount) for amount in ("0", "-1", "1_0", "+10", "10.0", "１０", "100000000")),
        ("x", "1"),
        *((lent.card_id, "1", "--value-date", day) for day in ("5", "20250405", "2025-W14-6", "２０２５-04-05")),
        (lent.card_id, "1", "--key", ""),
    ):
        assert commanded(service, tmp_path, "refund", *wrong)[0] == 2
    assert lent.events("refund-sent") == []
