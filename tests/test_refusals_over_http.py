"""Every refusal of an act, provoked over HTTP: its status and code, its remedy in both languages, and whether the same
key tells it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from conftest import NewDatabase
from http_borrower import HttpBorrower, enrolled
from ledgers import PIN
from serving import Client, Reply, served

from ledger.terms import SHIPPED

LEFT_OPEN = "pin_lock_blocks_web = false"
BY_POLICY = "cuts_need_no_person = true"


@pytest.fixture(scope="module")
def service(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with new_database("refusals") as dsn, served(dsn, tmp_path_factory.mktemp("refusals")) as client:
        yield client


@dataclass(frozen=True)
class Asked:
    """A request that is going to be refused, as it can be sent again."""

    path: str
    by: str
    body: dict[str, Any]

    def sent(self, service: Client, key: str, language: str = "en") -> Reply:
        return service.post(self.path, self.by, self.body, key=key, language=language)


def over_the_available_credit(service: Client) -> Asked:
    card = HttpBorrower(service)
    return Asked(f"{card.path}/advances", card.session, {"amount": 500_001, "purpose": "transfer"})


def suspended(service: Client) -> Asked:
    card = HttpBorrower(service)
    card.is_suspended()
    return Asked(f"{card.path}/advances", card.session, {"amount": 10_000, "purpose": "transfer"})


def without_a_payout_account(service: Client) -> Asked:
    card = HttpBorrower(service, payout_account=None)
    return Asked(f"{card.path}/advances", card.session, {"amount": 10_000, "purpose": "transfer"})


def cash_that_is_no_note(service: Client) -> Asked:
    card = HttpBorrower(service)
    session = card.log_in(through="atm").body["token"]
    return Asked(f"{card.path}/advances", session, {"amount": 1_500, "purpose": "cash"})


def under_the_minimum(service: Client) -> Asked:
    card = HttpBorrower(service)
    card.draws(10_000)
    return Asked(f"{card.path}/repayments", card.session, {"amount": 199, "method": "internet"})


def with_nothing_owed(service: Client) -> Asked:
    card = HttpBorrower(service)
    return Asked(f"{card.path}/repayments", card.session, {"amount": 1_000, "method": "internet"})


def for_a_future_value_date(service: Client) -> Asked:
    card = HttpBorrower(service)
    tomorrow = (service.now() + timedelta(days=2)).date().isoformat()
    body = {"amount": 1_000, "method": "bank-transfer", "value_date": tomorrow}
    return Asked(f"{card.path}/repayments", "service", body)


def before_the_card_was_issued(service: Client) -> Asked:
    card = HttpBorrower(service)
    before = (service.now() - timedelta(days=2)).date().isoformat()
    body = {"amount": 1_000, "method": "bank-transfer", "value_date": before}
    return Asked(f"{card.path}/repayments", "service", body)


def a_refused_pin(service: Client) -> Asked:
    return Asked(f"/v1/members/{enrolled(service)}/cards", "counter", card_of(pin="0401"))  # the birthday


def card_of(**differs: Any) -> dict[str, Any]:
    return {"pin": PIN, "credit_limit": 500_000, "annual_rate_bps": 1780, "due_day": 5, **differs}


def the_present_pin(service: Client) -> Asked:
    return pin_reset(service, PIN, "driving-licence", minutes_old=1)


def pin_reset(service: Client, pin: str, kind: str, minutes_old: int) -> Asked:
    card = HttpBorrower(service)
    verified_at = (service.now() - timedelta(minutes=minutes_old)).isoformat()
    body = {"new_pin": pin, "identity_document": {"kind": kind, "verified_at": verified_at}}
    return Asked(f"{card.path}/pin-resets", "contract-machine", body)


def an_old_document(service: Client) -> Asked:
    return pin_reset(service, "6194", "driving-licence", minutes_old=16)


def a_document_of_another_kind(service: Client) -> Asked:
    return pin_reset(service, "6194", "library-card", minutes_old=1)


def a_rate_over_the_cap(service: Client) -> Asked:
    return Asked(f"/v1/members/{enrolled(service)}/cards", "counter", card_of(annual_rate_bps=1801))


def a_limit_out_of_range(service: Client) -> Asked:
    return Asked(f"/v1/members/{enrolled(service)}/cards", "counter", card_of(credit_limit=8_010_000))


def a_limit_between_the_steps(service: Client) -> Asked:
    return Asked(f"/v1/members/{enrolled(service)}/cards", "counter", card_of(credit_limit=15_000))


def over_one_third(service: Client) -> Asked:
    member_id = enrolled(service, annual_income=1_499_999)
    return Asked(f"/v1/members/{member_id}/cards", "counter", card_of())


def without_a_proof_of_income(service: Client) -> Asked:
    return Asked(f"/v1/members/{enrolled(service)}/cards", "counter", card_of(credit_limit=510_000))


def a_raise_without_a_proof_of_income(service: Client) -> Asked:
    card = HttpBorrower(service)
    requests = f"/v1/members/{card.member_id}/limit-change-requests"
    request_id = service.done(requests, card.session, {"requested_limit": 600_000})["request_id"]
    return Asked(f"{requests}/{request_id}/decisions", "credit", {"approve": True, "reason": "asked"})


def a_request_decided_twice(service: Client) -> Asked:
    asked = a_raise_without_a_proof_of_income(service)
    service.done(asked.path, "credit", {"approve": False, "reason": "no proof"})
    return Asked(asked.path, "credit", {"approve": False, "reason": "again"})


def a_request_approved_twice(service: Client) -> Asked:
    card = HttpBorrower(service)
    requests = f"/v1/members/{card.member_id}/limit-change-requests"
    request_id = service.done(requests, card.session, {"requested_limit": 300_000})["request_id"]
    body = {"approve": True, "limit": 400_000, "reason": "wish"}
    service.done(f"{requests}/{request_id}/decisions", "credit", body)
    return Asked(f"{requests}/{request_id}/decisions", "credit", {**body, "limit": 300_000})


def a_second_card(service: Client) -> Asked:
    card = HttpBorrower(service)
    return Asked(f"/v1/members/{card.member_id}/cards", "counter", card_of())


def confirmed_twice(service: Client) -> Asked:
    card = HttpBorrower(service)
    return Asked(f"{card.path}/advances/{card.draws(10_000)}/confirmations", "service", {})


def failed_after_it_was_confirmed(service: Client) -> Asked:
    card = HttpBorrower(service)
    return Asked(f"{card.path}/advances/{card.draws(10_000)}/failures", "service", {})


def reversed_before_it_was_confirmed(service: Client) -> Asked:
    card = HttpBorrower(service)
    advance_id = card.asks_advance(10_000).body["advance_id"]
    return Asked(f"{card.path}/advances/{advance_id}/reversals", "service", {})


def an_advance_reversed_twice(service: Client) -> Asked:
    card = HttpBorrower(service)
    path = f"{card.path}/advances/{card.draws(10_000)}/reversals"
    service.done(path, "service")
    return Asked(path, "service", {})


def a_repayment_reversed_twice(service: Client) -> Asked:
    card = HttpBorrower(service)
    path = f"{card.path}/repayments/{card.repays(10_000)['repayment_id']}/reversals"
    service.done(path, "service")
    return Asked(path, "service", {})


def a_lifting_nobody_asked_for(service: Client) -> Asked:
    card = HttpBorrower(service)
    return Asked(f"{card.path}/stops/{card.is_stopped()}/lifting-approvals", "credit", {})


def a_stop_that_ended(service: Client) -> Asked:
    card = HttpBorrower(service)
    path = f"{card.path}/stops/{card.is_stopped()}"
    service.done(f"{path}/lifting-requests", "credit", {"check_ref": "C-1"})
    service.done(f"{path}/lifting-approvals", "credit:second")
    return Asked(f"{path}/lifting-requests", "credit", {"check_ref": "C-2"})


def a_suspension_that_ended(service: Client) -> Asked:
    card = HttpBorrower(service)
    path = f"{card.path}/suspensions/{card.is_suspended()}/resumptions"
    service.done(path, "credit", {"check_ref": "C-1"})
    return Asked(path, "credit", {"check_ref": "C-2"})


ROWS: list[tuple[Callable[[Client], Asked], int, str, str]] = [
    (over_the_available_credit, 409, "credit-limit-exceeded", "lower-amount"),
    (suspended, 409, "borrowing-suspended", "call-centre"),
    (without_a_payout_account, 409, "payout-account-missing", "register-payout-account"),
    (cash_that_is_no_note, 422, "amount-not-in-unit", "choose-valid-amount"),
    (under_the_minimum, 422, "amount-below-minimum", "choose-valid-amount"),
    (a_refused_pin, 422, "pin-refused", "choose-another-pin"),
    (the_present_pin, 422, "pin-refused", "choose-another-pin"),
    (an_old_document, 422, "document-refused", "show-document"),
    (a_document_of_another_kind, 422, "document-refused", "show-document"),
    (a_rate_over_the_cap, 422, "rate-over-cap", "change-terms-asked"),
    (a_limit_out_of_range, 422, "limit-out-of-range", "change-terms-asked"),
    (a_limit_between_the_steps, 422, "limit-out-of-range", "change-terms-asked"),
    (over_one_third, 409, "over-one-third", "reduce-total"),
    (without_a_proof_of_income, 409, "income-proof-required", "submit-income-proof"),
    (a_raise_without_a_proof_of_income, 409, "income-proof-required", "submit-income-proof"),
    (a_request_decided_twice, 409, "request-not-open", "read-state-first"),
    (a_request_approved_twice, 409, "request-not-open", "read-state-first"),
    (a_second_card, 409, "card-exists", "read-state-first"),
    (confirmed_twice, 409, "advance-not-reserved", "read-state-first"),
    (failed_after_it_was_confirmed, 409, "advance-not-reserved", "read-state-first"),
    (reversed_before_it_was_confirmed, 409, "advance-not-confirmed", "read-state-first"),
    (an_advance_reversed_twice, 409, "already-reversed", "read-state-first"),
    (a_repayment_reversed_twice, 409, "already-reversed", "read-state-first"),
    (for_a_future_value_date, 422, "value-date-refused", "correct-value-date"),
    (before_the_card_was_issued, 422, "value-date-refused", "correct-value-date"),
    (with_nothing_owed, 409, "nothing-owed", "nothing-to-do"),
    (a_lifting_nobody_asked_for, 409, "lifting-not-requested", "read-state-first"),
    (a_stop_that_ended, 409, "already-ended", "read-state-first"),
    (a_suspension_that_ended, 409, "already-ended", "read-state-first"),
]


@pytest.mark.parametrize(("provoke", "status", "code", "remedy"), ROWS, ids=[row[0].__name__ for row in ROWS])
def test_a_refused_act_tells_its_code_and_remedy_and_is_told_again_under_its_key(
    service: Client, provoke: Callable[[Client], Asked], status: int, code: str, remedy: str
) -> None:
    asked = provoke(service)
    key = f"{provoke.__name__}-key"
    refused = asked.sent(service, key)
    assert (refused.status, refused.code, refused.body["remedy"]["code"]) == (status, code, remedy), refused.body
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.replayed, refused.position > 0) == (False, True)
    again = asked.sent(service, key, "ja")
    assert (again.status, again.code, again.position, again.replayed) == (status, code, refused.position, True)
    assert again.body["remedy"]["code"] == remedy
    for words in ("title", "detail"):
        assert refused.body[words].isascii()
        assert not again.body[words].isascii()
    assert refused.body["remedy"]["text"] != again.body["remedy"]["text"]
    extra = {name: refused.body[name] for name in ("available_credit", "unit", "minimum") if name in refused.body}
    assert extra == {name: again.body[name] for name in extra}
    if code == "credit-limit-exceeded":
        assert extra == {"available_credit": 500_000}
    other = Asked(asked.path, asked.by, {**asked.body, "unknown": 1})
    assert other.sent(service, key).status == 422
    assert asked.sent(service, key).replayed


def test_the_second_person_rule_is_told_and_not_kept_under_the_key(service: Client) -> None:
    card = HttpBorrower(service)
    path = f"{card.path}/stops/{card.is_stopped()}"
    service.done(f"{path}/lifting-requests", "credit", {"check_ref": "C-1"})
    for _ in "12":
        refused = service.post(f"{path}/lifting-approvals", "credit", key="approval")
        assert (refused.status, refused.code, refused.replayed) == (403, "second-person-required", False)
        assert refused.body["remedy"]["code"] == "second-person"
    assert service.post(f"{path}/lifting-approvals", "credit:second").status == 201
    assert card.log_in().status == 201


# The order of the refusals of an advance ------------------------------------------------------------------------------


def test_an_advance_is_refused_by_the_first_reason_of_the_order(service: Client) -> None:
    """Channel, form and unit, suspended, payout account, limit: each with every later reason standing too."""
    card = HttpBorrower(service, payout_account=None)
    suspension_id = card.is_suspended()
    web, atm = card.session, card.log_in(through="atm").body["token"]
    assert card.asks_advance(500_500, "cash", web).code == "channel-not-permitted"
    assert card.asks_advance(500_500, "cash", atm).code == "amount-not-in-unit"
    assert card.asks_advance(500_001, "transfer", web).code == "borrowing-suspended"
    resumed = f"{card.path}/suspensions/{suspension_id}/resumptions"
    service.done(resumed, "credit", {"check_ref": "C-1"})
    assert card.asks_advance(500_001, "transfer", web).code == "payout-account-missing"
    assert card.asks_advance(501_000, "cash", atm).code == "credit-limit-exceeded"
    assert card.asks_advance(500_000, "cash", atm).status == 201


def test_a_stop_or_a_lock_ends_the_session_before_an_advance_can_be_asked_for(service: Client) -> None:
    for end in (HttpBorrower.is_stopped, HttpBorrower.locks):
        card = HttpBorrower(service)
        session = card.session
        end(card)
        refused = card.asks_advance(10_000, session=session)
        assert (refused.status, refused.code) == (401, "session-ended")


def test_terms_of_ones_own_are_kept(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A PIN lock leaves the web open but bars borrowing, advances rest on Monday mornings, cuts need no person."""
    folder = tmp_path_factory.mktemp("own-terms")
    terms = folder / "terms.toml"
    changed = SHIPPED.read_text().replace("pin_lock_blocks_web = true", LEFT_OPEN)
    changed = changed.replace("cuts_need_no_person = false", BY_POLICY)
    first, second = changed.split("\n[[version]]\neffective_from = 2025-08-25")
    outage = '\n[[version.outages]]\nscope = "advance"\nweekday = "monday"\nbegins = 00:00:00\nends = 07:00:00\n'
    terms.write_text(first + outage + "\n[[version]]\neffective_from = 2025-08-25" + second)
    with (
        new_database("own_terms") as dsn,
        served(dsn, folder, start="2020-01-05T20:00:00+09:00", CARDLEDGER_TERMS=str(terms)) as service,
    ):
        card = HttpBorrower(service)
        credentials = {"web_id": "taro.yamada", "password": "correct horse battery"}
        service.ask("PUT", f"/v1/members/{card.member_id}/web-credentials", "counter", credentials, Idempotency_Key="w")
        assert_cuts_are_given_at_once_and_raises_wait_for_a_person(service)
        card.locks()
        service.go_to(date(2020, 1, 6), 1)
        web = service.done("/v1/sessions", None, {"route": "web", **credentials})["token"]
        closed = card.asks_advance(10_000, session=web)
        assert (closed.status, closed.code) == (503, "maintenance")
        assert int(closed.headers["retry-after"]) > 5 * 3600
        service.go_to(date(2020, 1, 6), 8)
        web = service.done("/v1/sessions", None, {"route": "web", **credentials})["token"]
        assert card.asks_advance(10_000, session=web).code == "card-locked"
        assert card.asks_advance(500_001, session=web).status == 409


def assert_cuts_are_given_at_once_and_raises_wait_for_a_person(service: Client) -> None:
    card = HttpBorrower(service)
    requests = f"/v1/members/{card.member_id}/limit-change-requests"
    raised = service.done(requests, card.session, {"requested_limit": 600_000})
    assert (raised["state"], card.balance()["credit_limit"]) == ("requested", 500_000)
    cut = service.done(requests, card.session, {"requested_limit": 300_000})
    assert (cut["state"], card.balance()["credit_limit"]) == ("approved", 300_000)
    (approved,) = service.read(f"/v1/members/{card.member_id}/events?type=cardledger.member.limit-change-approved.v1")[
        "data"
    ]
    assert approved["data"]["policy"] == {
        "rule": "cut-on-wish",
        "present_limit": 500_000,
        "requested_limit": 300_000,
        "terms_version": "1990-01-01",
    }


# The day close of the sandbox -----------------------------------------------------------------------------------------


def test_days_are_closed_by_the_operator_of_a_sandbox_up_to_one_that_is_over(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with new_database("closing") as dsn, served(dsn, tmp_path_factory.mktemp("closing")) as service:
        today = service.now().date()
        nothing = service.close_days(today - timedelta(days=1))
        assert (nothing.status, nothing.body) == (200, {"closed_through": None})
        HttpBorrower(service)
        refused = service.close_days(today, key="today")
        assert (refused.status, refused.code) == (409, "day-not-over")
        assert service.close_days(today, key="today").replayed
        assert service.post("/v1/sandbox/day-closes", "auditor", {"through": "2020-01-01"}).status == 403
        service.go_to(today + timedelta(days=3), 0)
        closed = service.close_days(today + timedelta(days=2), key="night")
        assert (closed.status, closed.body) == (200, {"closed_through": (today + timedelta(days=2)).isoformat()})
        again = service.close_days(today + timedelta(days=2), key="night")
        assert (again.replayed, again.position) == (True, closed.position)
        assert service.close_days(today + timedelta(days=1), key="night").code == "idempotency-key-reused"
        told = service.read("/v1/events?type=cardledger.calendar.day-closed.v1")["data"]
        assert [event["data"]["day"] for event in told] == [str(today + timedelta(days=n)) for n in range(3)]
        assert int(told[-1]["sequence"]) == closed.position
