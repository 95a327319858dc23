"""Problems: every refusal in both languages, with its status and a remedy, and never a word of what was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from stand_in import CARD_ID, ENDED, MEMBER, POSITION, StandIn, bearer, serving
from starlette.testclient import TestClient

from api.login_bodies import CardLogin
from api.problems import STATUS_OF, language_of
from ledger.refusals import (
    REFUSALS,
    CardLocked,
    CardStopped,
    CreditLimitExceeded,
    IdempotencyKeyInUse,
    LoginWait,
    Maintenance,
    Refusal,
)

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "remedy"}
REPAYMENTS = f"/v1/cards/{CARD_ID}/repayments"
SECRET = "canary-7719"


@pytest.fixture
def served() -> Iterator[tuple[TestClient, StandIn]]:
    with serving() as both:
        yield both


def repay(client: TestClient, **headers: str) -> tuple[int, dict[str, str], dict[str, object]]:
    sent = {**bearer("member"), "Idempotency-Key": "k-1", **headers}
    answer = client.post(REPAYMENTS, json={"amount": 1, "method": "internet"}, headers=sent)
    return answer.status_code, dict(answer.headers), answer.json()


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_every_refusal_has_a_status_and_speaks_both_languages(code: str) -> None:
    refusal = REFUSALS[code]

    assert 400 <= STATUS_OF[code] <= 599
    assert (refusal.__doc__ or "").endswith(".")
    assert "\n" not in (refusal.__doc__ or "")
    assert refusal.ja.endswith("。")
    assert refusal.remedy.en
    assert refusal.remedy.ja.endswith("。")


def test_the_table_of_statuses_names_no_code_twice_and_none_that_is_no_refusal() -> None:
    assert set(STATUS_OF) == set(REFUSALS)


def test_a_refusal_is_told_with_its_details_and_position(served: tuple[TestClient, StandIn]) -> None:
    client, ledger = served
    ledger.refusal = CreditLimitExceeded(available_credit=470_000)
    ledger.refusal.position, ledger.refusal.replayed = POSITION, True

    status, headers, told = repay(client)

    assert status == told["status"] == 409
    assert told.keys() == MEMBERS | {"available_credit"}
    assert told["available_credit"] == 470_000
    assert headers["content-type"] == "application/problem+json"
    assert headers["ledger-position"] == str(POSITION)
    assert headers["idempotent-replayed"] == "true"
    assert told["instance"] == f"/requests/{headers['x-request-id']}"


def test_the_words_follow_the_language_and_the_code_does_not(served: tuple[TestClient, StandIn]) -> None:
    client, ledger = served
    ledger.refusal = CardLocked()

    _, english, in_english = repay(client)
    _, japanese, in_japanese = repay(client, **{"Accept-Language": "fr, ja;q=0.9, en;q=0.1"})

    assert (english["content-language"], japanese["content-language"]) == ("en", "ja")
    assert english["vary"] == "Accept-Language"
    assert in_japanese["title"] == CardLocked.ja
    assert in_english["code"] == in_japanese["code"] == "card-locked"


@pytest.mark.parametrize(
    ("header", "language"),
    [("", "en"), ("ja", "ja"), ("ja-JP,en;q=0.5", "ja"), ("en,ja", "en"), ("ja;q=0.2,en;q=0.3", "en"), ("de", "en"),
     ("ja;q=x", "en"), ("*", "en"), ("JA", "ja")],
)  # fmt: skip
def test_the_language_is_the_one_ranked_higher(header: str, language: str) -> None:
    assert language_of(header) == language


@pytest.mark.parametrize("refusal", [Maintenance(retry_after=600), LoginWait(retry_after=600)])
def test_who_must_wait_is_told_how_long(served: tuple[TestClient, StandIn], refusal: Refusal) -> None:
    served[1].refusal = refusal

    assert repay(served[0])[1]["retry-after"] == "600"


def test_a_key_in_use_is_to_be_tried_again(served: tuple[TestClient, StandIn]) -> None:
    served[1].refusal = IdempotencyKeyInUse()

    status, headers, _ = repay(served[0])

    assert (status, headers["retry-after"]) == (409, "1")


def test_a_replayed_answer_says_so(served: tuple[TestClient, StandIn]) -> None:
    served[1].replayed = True

    status, headers, _ = repay(served[0])

    assert (status, headers["idempotent-replayed"]) == (201, "true")


@pytest.mark.parametrize("refusal", [CardLocked(), CardStopped()])
def test_a_locked_card_may_not_enter_but_inside_it_is_a_conflict(
    served: tuple[TestClient, StandIn], refusal: Refusal
) -> None:
    client, ledger = served
    ledger.refusal = refusal

    assert client.post("/v1/sessions", json=dict(CardLogin.example)).status_code == 403
    assert repay(client)[0] == 409


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [({}, 'Bearer realm="cardledger"'),
     ({"Authorization": f"Bearer {ENDED}"}, 'Bearer realm="cardledger", error="invalid_token"')],
)  # fmt: skip
def test_who_is_not_let_in_is_told_the_scheme(
    served: tuple[TestClient, StandIn], headers: dict[str, str], challenge: str
) -> None:
    answer = served[0].get("/v1/sessions", headers=headers)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [(RuntimeError(SECRET), 500, "system-error"), (psycopg.OperationalError(SECRET), 503, "database-unavailable")],
)
def test_a_fault_of_ours_is_told_without_a_word_of_it(
    capsys: pytest.CaptureFixture[str], fault: Exception, status: int, code: str
) -> None:
    with serving(log_level="info") as (client, ledger):
        ledger.refusal = fault  # type: ignore[assignment]  # the stand-in raises whatever it is given
        answered, headers, told = repay(client)
    log = capsys.readouterr().err

    assert (answered, told["code"]) == (status, code)
    assert told.keys() == MEMBERS
    assert type(fault).__name__ in log
    assert SECRET not in str(told) + str(headers) + log


def test_a_request_is_one_line_of_the_log_that_tells_nothing_of_the_body(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(log_level="info") as (client, _):
        client.post("/v1/sessions?pin=8352", json=dict(CardLogin.example), headers={"User-Agent": SECRET})
    lines = capsys.readouterr().err.splitlines()

    told = json.loads(lines[0])
    assert len(lines) == 1
    assert (told["event"], told["operation"], told["status"], told["code"]) == (
        "request", "openSession", 422, "input-format",
    )  # fmt: skip
    assert not any(secret in lines[0] for secret in (SECRET, *list(CardLogin.example.values())[1:]))


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nothing", 404, "not-found"), ("GET", "/v1/sessions/", 404, "not-found"),
     ("DELETE", "/v1/members", 405, "method-not-allowed"), ("TRACE", "/v1/sessions", 405, "method-not-allowed"),
     ("BREW", "/v1/sessions", 405, "method-not-allowed"), ("POST", "/static/docs.js", 405, "method-not-allowed"),
     ("GET", "/static/../app.py", 404, "not-found"), ("GET", "/problems/none", 404, "not-found")],
)  # fmt: skip
def test_what_the_framework_refuses_is_a_problem_too(
    served: tuple[TestClient, StandIn], method: str, path: str, status: int, code: str
) -> None:
    answer = served[0].request(method, path)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["code"] == code


def test_a_refused_method_is_told_which_ones_there_are(served: tuple[TestClient, StandIn]) -> None:
    assert served[0].put("/v1/sessions").headers["allow"] == "GET, HEAD, POST"


def test_an_answer_that_is_not_wanted_as_json_is_not_given(served: tuple[TestClient, StandIn]) -> None:
    statuses = [
        served[0].get("/v1/login-help", headers={"Accept": wanted}).status_code
        for wanted in ("text/html", "application/xml", "application/json;q=0", "application/*", "text/html, */*;q=0.1")
    ]

    assert statuses == [406, 406, 406, 200, 200]


def test_the_type_of_a_problem_leads_to_its_page(served: tuple[TestClient, StandIn]) -> None:
    client, ledger = served
    ledger.refusal = CardLocked()
    _, _, told = repay(client)

    page = client.get(str(told["type"])).json()

    assert page["code"] == "card-locked"
    assert page["ja"]["title"] == CardLocked.ja


def test_a_request_id_is_taken_over_and_given_back(served: tuple[TestClient, StandIn]) -> None:
    client, ledger = served

    _, headers, _ = repay(client, **{"X-Request-Id": "site-42"})

    assert headers["x-request-id"] == "site-42"
    assert ledger.asked[-1][1][0].cause.correlation_id == "site-42"


def test_a_request_id_that_is_none_is_replaced(served: tuple[TestClient, StandIn]) -> None:
    _, headers, _ = repay(served[0], **{"X-Request-Id": "a b\tINFO login ok"})

    assert "INFO" not in headers["x-request-id"]


def test_a_trace_is_the_story_that_an_act_belongs_to(served: tuple[TestClient, StandIn]) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"

    repay(served[0], traceparent=f"00-{trace}-b7ad6b7169203331-01")

    assert served[1].asked[-1][1][0].cause.correlation_id == trace


def test_a_login_is_never_stored_on_the_way(served: tuple[TestClient, StandIn]) -> None:
    answer = served[0].post("/v1/sessions", json=dict(CardLogin.example))

    assert answer.headers["cache-control"] == "no-store"
    assert MEMBER not in answer.text
