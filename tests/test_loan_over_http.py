"""The loan as its clients see it: the published examples to the yen, against a real server with the sandbox clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from conftest import NewDatabase
from http_borrower import HttpBorrower, card_asked, enrolled, parts
from serving import Client, served

FIFTH_OF_MAY = date(2025, 5, 5)


START = "2025-04-01T09:00:00+09:00"


@pytest.fixture
def service(empty_database_url: str, tmp_path: Path) -> Iterator[Client]:
    """A server whose clock stands at the first of April 2025."""
    with served(empty_database_url, tmp_path, start=START) as client:
        yield client


@pytest.fixture(scope="module")
def same_day(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server on which it stays the first of April 2025: for rules that need no time to pass."""
    with new_database("same_day") as dsn, served(dsn, tmp_path_factory.mktemp("same-day"), start=START) as client:
        yield client


# Interest and late damages --------------------------------------------------------------------------------------------


def test_thirty_one_days_of_100_000_yen_cost_1_511_and_the_quote_of_a_day_settles_on_that_day(service: Client) -> None:
    """W1 of the rules, and what a settlement quote promises."""
    service.go_to(FIFTH_OF_MAY)
    lent, short = HttpBorrower(service), HttpBorrower(service)
    lent.draws(100_000)
    short.draws(100_000)
    due = date(2025, 6, 5)
    quote = lent.quote(due)
    assert (quote["principal"], quote["interest"], quote["late_damages"], quote["total"]) == (
        100_000,
        1_511,
        0,
        101_511,
    )
    assert lent.balance(f"?value_date={due}")["interest"] == 1_511
    service.go_to(due)
    assert lent.quote(due) == quote | {"position": lent.quote(due)["position"]}
    almost = short.repays(101_510)
    assert (almost["instalment"], almost["principal_after"]) == ("satisfied", 1)
    settled = lent.repays(101_511)
    assert settled["allocation"] == parts(interest=1_511, principal=100_000)
    assert (settled["instalment"], settled["principal_after"], settled["next_due"]) == ("settled", 0, None)
    assert lent.balance()["total"] == 0


def test_late_damages_replace_interest_and_a_payment_covers_them_first(service: Client) -> None:
    """W7 and W8: ten days late, then 4,000 or 1,000 yen."""
    service.go_to(FIFTH_OF_MAY)
    some, little = HttpBorrower(service), HttpBorrower(service)
    some.draws(100_000)
    little.draws(100_000)
    service.go_to(date(2025, 6, 6), 1)
    assert service.close_days(date(2025, 6, 5)).status == 200
    service.go_to(date(2025, 6, 15))
    late = some.balance()
    assert (late["late_damages"], late["interest"], late["total"], late["days_late"]) == (547, 1_511, 102_058, 10)
    assert (late["available_credit"], late["minimum_instalment"]) == (0, 4_000)
    paid = some.repays(4_000)
    assert paid["allocation"] == parts(late_damages=547, interest=1_511, principal=1_942)
    assert (paid["principal_after"], paid["instalment"], paid["next_due"]) == (98_058, "cured", "2025-07-07")
    partly = little.repays(1_000)
    assert partly["allocation"] == parts(late_damages=547, interest=453)
    assert (partly["principal_after"], partly["instalment"]) == (100_000, "partial")
    assert little.balance()["interest"] == 1_058
    assert [lock["code"] for lock in little.lockout()["locks"]] == ["late"]
    assert some.lockout()["locks"] == []
    assert some.balance()["available_credit"] == 401_942


def test_thirty_days_are_free_of_interest_from_the_day_after_the_first_advance(service: Client) -> None:
    service.go_to(date(2025, 4, 10))
    free = HttpBorrower(service, web_statements=True, card={"due_day": 15})
    free.draws(80_000)
    assert free.balance()["interest_free_until"] == "2025-05-10"
    assert [free.balance(f"?value_date=2025-05-{day}")["interest"] for day in (10, 11, 15)] == [0, 39, 195]
    service.go_to(date(2025, 5, 15))
    assert service.close_days(date(2025, 5, 14)).status == 200
    assert free.events("interest-free-ended") == [{"last_day": "2025-05-10", "reason": "expired"}]
    assert free.balance()["interest_free_until"] is None
    assert free.repays(80_195)["allocation"] == parts(interest=195, principal=80_000)


def test_lateness_ends_the_free_days_from_the_day_after_the_missed_due_date(service: Client) -> None:
    service.go_to(date(2025, 4, 19))
    free = HttpBorrower(service, web_statements=True)
    free.draws(80_000)
    assert (free.balance()["next_due"], free.balance()["interest_free_until"]) == ("2025-05-07", "2025-05-19")
    service.go_to(date(2025, 5, 8), 0)
    service.close_days(date(2025, 5, 7))
    assert free.events("interest-free-ended") == [{"last_day": "2025-05-07", "reason": "late"}]
    assert free.balance()["late_damages"] == 80_000 * 2000 // (10_000 * 365)


def test_the_due_date_moves_to_the_next_business_day_and_late_begins_at_its_close(service: Client) -> None:
    service.go_to(date(2025, 4, 19))
    card = HttpBorrower(service)
    card.draws(100_000)
    assert card.balance()["next_due"] == "2025-05-07"
    service.go_to(date(2025, 5, 7), 23)
    service.close_days(date(2025, 5, 6))
    assert (card.lockout()["locks"], card.balance()["days_late"]) == ([], 0)
    service.go_to(date(2025, 5, 8), 9)
    assert (card.lockout()["locks"], card.balance()["days_late"]) == ([], 1)  # moving the clock closes no day
    service.close_days(date(2025, 5, 7))
    (lock,) = card.lockout()["locks"]
    assert (lock["code"], lock["id"]) == ("late", card.events("borrowing-suspended")[0]["suspension_id"])
    assert card.asks_advance(10_000).code == "borrowing-suspended"
    assert card.events("instalment-missed") == [{"due": "2025-05-07", "minimum": 4000, "paid": 0, "restated": False}]


def test_three_missed_instalments_within_twelve_months_stop_the_card(service: Client) -> None:
    card = HttpBorrower(service)
    card.draws(100_000)
    for _ in "123":
        due = date.fromisoformat(card.balance()["next_due"])
        assert not card.events("card-stopped")
        service.go_to(due + timedelta(days=1), 1)
        service.close_days(due)
    assert [stop["reason"] for stop in card.events("card-stopped")] == ["repeated-lateness"]
    assert card.log_in().code == "card-stopped"
    assert card.repays(12_000)["instalment"] == "cured"
    assert [lock["code"] for lock in card.lockout()["locks"]] == ["repeated-lateness"]


# Receipts that come late or do not stay -------------------------------------------------------------------------------


def test_a_receipt_of_an_earlier_value_date_is_restated_by_one_revision(service: Client) -> None:
    card = HttpBorrower(service)
    card.draws(100_000)
    service.go_to(date(2025, 4, 21))
    first = card.repays(10_000)
    assert first["allocation"] == parts(interest=975, principal=9_025)
    known_then = card.balance()["position"]
    service.go_to(date(2025, 4, 25))
    late = card.repays(50_000, value_date=date(2025, 4, 11))
    assert late["allocation"] == parts(interest=487, principal=49_513)
    (revised,) = card.events("allocation-revised")
    assert revised["caused_by"] == late["repayment_id"]
    (row, *_) = service.read(f"{card.path}/transactions?kind=revision")["data"]
    assert (row["kind"], row["revises"], row["caused_by"]) == (
        "revision",
        [first["repayment_id"]],
        late["repayment_id"],
    )
    new_interest = 50_487 * 1780 * 10 // (10_000 * 365)
    new_principal = 50_487 - (10_000 - new_interest)
    assert (row["amount"], row["direction"]) == (975 - new_interest, "credit")
    assert card.balance()["principal"] == new_principal
    kinds = [each["kind"] for each in service.read(f"{card.path}/transactions")["data"]]
    assert kinds == ["revision", "repayment", "repayment", "advance"]
    assert card.balance("?value_date=2025-04-12")["principal"] == 50_487
    assert card.balance("?value_date=2025-04-10")["principal"] == 100_000
    then = card.balance(f"?value_date=2025-04-12&as_of={known_then}")
    assert (then["principal"], then["interest"]) == (100_000, 536)


def test_a_receipt_that_removes_the_ground_of_a_missed_instalment_ends_the_suspension(service: Client) -> None:
    card = HttpBorrower(service)
    card.draws(100_000)
    due = date.fromisoformat(card.balance()["next_due"])
    service.go_to(due + timedelta(days=2))
    service.close_days(due)
    assert [lock["code"] for lock in card.lockout()["locks"]] == ["late"]
    assert card.repays(4_000, "direct-debit", value_date=due)["instalment"] == "satisfied"
    assert card.events("instalment-missed-withdrawn") == [{"due": due.isoformat()}]
    assert card.lockout()["locks"] == []
    assert (card.balance()["days_late"], card.balance()["late_damages"]) == (0, 0)


def test_a_repayment_that_did_not_stay_is_undone_by_a_fact_of_its_own(service: Client) -> None:
    card = HttpBorrower(service)
    card.draws(100_000)
    service.go_to(date(2025, 4, 21))
    before = card.balance()
    taken = card.repays(10_000)
    path = f"{card.path}/repayments/{taken['repayment_id']}/reversals"
    assert service.post(path, "service").status == 201
    assert service.post(path, "service").code == "already-reversed"
    after = card.balance()
    assert {**after, "position": 0} == {**before, "position": 0}
    rows = service.read(f"{card.path}/transactions")["data"]
    assert [(row["kind"], row["direction"]) for row in rows[:2]] == [
        ("repayment-reversal", "debit"),
        ("repayment", "credit"),
    ]
    assert rows[0]["reverses"] == taken["repayment_id"] == rows[1]["transaction_id"]


def test_what_is_not_owed_is_kept_for_the_member(same_day: Client) -> None:
    card = HttpBorrower(same_day)
    card.draws(30_000)
    taken = card.repays(31_000, "counter", "counter")
    assert taken["allocation"] == parts(principal=30_000, overpayment=1_000)
    assert (taken["instalment"], card.balance()["customer_credit"]) == ("settled", 1_000)
    again = card.repays(5_000)
    assert (again["allocation"], again["instalment"]) == (parts(overpayment=5_000), "none")
    assert (card.balance()["customer_credit"], card.balance()["principal"]) == (6_000, 0)


def test_a_remainder_too_small_for_notes_bears_nothing_and_joins_the_next_advance(service: Client) -> None:
    service.go_to(FIFTH_OF_MAY)
    card = HttpBorrower(service)
    card.draws(100_000)
    service.go_to(date(2025, 6, 5))
    left = card.repays(101_000, "atm", "atm")
    assert (left["principal_after"], left["instalment"], left["next_due"]) == (511, "satisfied", None)
    service.go_to(date(2025, 7, 20))
    service.close_days(date(2025, 7, 19))
    balance = card.balance()
    assert (balance["total"], balance["minimum_instalment"], balance["next_due"]) == (511, 0, None)
    card.draws(9_489)
    assert (card.balance()["principal"], card.balance()["next_due"]) == (10_000, "2025-09-05")
    assert card.balance("?value_date=2025-07-30")["interest"] == 10_000 * 1780 * 10 // (10_000 * 365)


def test_an_advance_that_came_back_is_as_if_it_had_never_been_lent(service: Client) -> None:
    card = HttpBorrower(service)
    card.draws(100_000)
    before = card.balance("?value_date=2025-04-11")
    service.go_to(date(2025, 4, 11))
    second = card.draws(300_000)
    assert (card.balance()["principal"], card.balance()["minimum_instalment"]) == (400_000, 11_000)
    service.done(f"{card.path}/advances/{second}/reversals", "service")
    assert {**card.balance(), "position": 0} == {**before, "position": 0}


def test_money_that_has_arrived_is_taken_whatever_became_of_the_card(same_day: Client) -> None:
    settled, locked, stopped, suspended = (HttpBorrower(same_day) for _ in range(4))
    for card in (settled, locked, stopped, suspended):
        card.draws(10_000)
    settled.repays(10_000)
    locked.locks()
    stopped.is_stopped()
    suspended.is_suspended()
    taken_by = {"bank-transfer": "service", "direct-debit": "service", "counter": "counter", "atm": "atm"}
    all_of_it = [(4_000, 0), (4_000, 0), (2_000, 2_000), (0, 4_000)]
    for card, expected in ((settled, [(0, 4_000)] * 4), (locked, all_of_it), (stopped, all_of_it)):
        taken = [card.repays(4_000, method, by)["allocation"] for method, by in taken_by.items()]
        assert taken == [parts(principal=principal, overpayment=rest) for principal, rest in expected]
    assert suspended.repays(4_000, "internet", suspended.session)["allocation"] == parts(principal=4_000)


# Limits ---------------------------------------------------------------------------------------------------------------


def test_a_limit_below_the_balance_makes_nothing_due_and_bars_new_advances(same_day: Client) -> None:
    """W11 of the rules."""
    card = HttpBorrower(same_day)
    card.draws(420_000)
    instalment = card.balance()["minimum_instalment"]
    requests = f"/v1/members/{card.member_id}/limit-change-requests"
    asked = same_day.done(requests, card.session, {"requested_limit": 300_000})
    same_day.done(f"{requests}/{asked['request_id']}/decisions", "credit", {"approve": True, "reason": "wish"})
    balance = card.balance()
    assert (balance["credit_limit"], balance["available_credit"], balance["principal"]) == (300_000, 0, 420_000)
    assert balance["minimum_instalment"] == instalment
    refused = card.asks_advance(1)
    assert (refused.code, refused.body["available_credit"]) == ("credit-limit-exceeded", 0)
    card.repays(130_000)
    assert (card.balance()["principal"], card.balance()["available_credit"]) == (290_000, 10_000)
    assert card.asks_advance(10_001).body["available_credit"] == 10_000
    assert card.asks_advance(10_000).status == 201


def test_a_proof_of_income_is_needed_above_the_thresholds_and_until_a_change_of_workplace(same_day: Client) -> None:
    """W9 and W10 of the rules, and how long a proof is good."""
    others = enrolled(same_day)
    report(same_day, others, 600_000)
    assert card_asked(same_day, others).code == "income-proof-required"
    prove(same_day, others, "2022-03-31")  # older than three years
    assert card_asked(same_day, others).code == "income-proof-required"
    prove(same_day, others, "2022-04-01")
    changed = same_day.ask("PATCH", f"/v1/members/{others}/profile", "counter", {"workplace": "別の会社"})
    assert changed.status == 200
    assert card_asked(same_day, others).code == "income-proof-required"
    prove(same_day, others, "2025-03-31")  # shows the means before the change
    assert card_asked(same_day, others).code == "income-proof-required"
    prove(same_day, others, "2025-04-01")
    assert card_asked(same_day, others).status == 201

    third = enrolled(same_day, annual_income=2_000_000)
    report(same_day, third, 656_667)
    assert card_asked(same_day, third, credit_limit=10_000).code == "over-one-third"
    report(same_day, third, 656_666)
    assert card_asked(same_day, third, credit_limit=10_000).status == 201

    exactly = enrolled(same_day)
    report(same_day, exactly, 500_000)
    assert card_asked(same_day, exactly, credit_limit=500_000).status == 201

    young = enrolled(same_day, birth_date="2006-01-01")
    assert card_asked(same_day, young, credit_limit=10_000).code == "income-proof-required"
    prove(same_day, young, "2025-03-01")
    assert card_asked(same_day, young, credit_limit=10_000).status == 201


def prove(service: Client, member_id: str, issued_on: str, annual_income: int = 3_600_000) -> None:
    body = {"annual_income": annual_income, "issued_on": issued_on}
    assert service.post(f"/v1/members/{member_id}/income-proofs", "counter", body).status == 201


def report(service: Client, member_id: str, others_balance: int) -> None:
    body = {"others_balance": others_balance, "reported_on": "2025-04-01"}
    assert service.post(f"/v1/members/{member_id}/credit-reports", "service", body).status == 201


def test_a_credit_report_over_the_base_suspends_by_rule(same_day: Client) -> None:
    card = HttpBorrower(same_day)
    report(same_day, card.member_id, 700_000)
    assert card.lockout()["locks"] == []
    report(same_day, card.member_id, 700_001)
    report(same_day, card.member_id, 800_000)
    assert [lock["code"] for lock in card.lockout()["locks"]] == ["over-one-third"]
    assert card.events("borrowing-suspended")[0]["by_rule"] is True
    assert card.log_in().body["outcome"] == "ok-restricted"
    assert card.asks_advance(10_000).code == "borrowing-suspended"
    raised = f"/v1/members/{card.member_id}/limit-change-requests"
    asked = same_day.done(raised, card.session, {"requested_limit": 600_000})
    decision = {"approve": True, "reason": "asked"}
    assert same_day.post(f"{raised}/{asked['request_id']}/decisions", "credit", decision).code == "over-one-third"


# The simulator --------------------------------------------------------------------------------------------------------


def test_the_simulator_finds_the_third_of_payment_term_and_amount_and_is_not_the_ledger(same_day: Client) -> None:
    rate = {"annual_rate_bps": 1780}
    by_payment = same_day.done("/v1/simulations", None, {"mode": "payment", "principal": 100_000, "months": 12, **rate})
    assert (by_payment["principal"], by_payment["months"], len(by_payment["schedule"])) == (100_000, 12, 12)
    assert by_payment["total"] == sum(line["payment"] for line in by_payment["schedule"])
    assert by_payment["interest"] == by_payment["total"] - 100_000
    assert by_payment["schedule"][0]["interest"] == 1_483
    assert by_payment["schedule"][-1]["balance"] == 0
    payment = by_payment["payment"]
    by_term = same_day.done("/v1/simulations", None, {"mode": "term", "principal": 100_000, "payment": payment, **rate})
    assert by_term["months"] in (12, 13)
    by_amount = same_day.done("/v1/simulations", "atm", {"mode": "amount", "payment": payment, "months": 12, **rate})
    assert 99_900 < by_amount["principal"] <= 100_000
    in_japanese = same_day.post("/v1/simulations", None, {"mode": "term", "principal": 1, "payment": 1, **rate},
                               language="ja")  # fmt: skip
    assert "日割り" in in_japanese.body["note"]
    assert "counts days" in by_term["note"]
    endless = {"mode": "term", "principal": 100_000, "payment": 1_483, **rate}
    assert same_day.post("/v1/simulations", None, endless).code == "simulation-impossible"
