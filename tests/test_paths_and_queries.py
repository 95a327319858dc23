"""Paths, queries, cursors and waiting: strict like bodies, and checked in one order."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from stand_in import CARD_ID, ENDED, MEMBER_ID, OTHER_ID, StandIn, bearer, serving
from starlette.testclient import TestClient

from api.operation import Operation
from api.routes import books, events, reads

Served = tuple[TestClient, StandIn]
REPAYMENTS = f"/v1/cards/{CARD_ID}/repayments"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as both:
        yield both


def test_the_checks_come_in_their_order(served: Served) -> None:
    client, _ = served
    ended = {"Authorization": f"Bearer {ENDED}"}
    bad, good = b'{"amount":0}', b'{"amount":1,"method":"internet"}'
    asked: list[tuple[str, bytes, dict[str, str]]] = [
        ("/v1/cards/X/repayments", b" " * 20_000, {}),
        ("/v1/cards/X/repayments", b"{", {}),
        ("/v1/cards/X/repayments", b"{", JSON),
        ("/v1/cards/X/repayments", bad, JSON),
        (REPAYMENTS, bad, JSON),
        (REPAYMENTS, bad, {**JSON, **ended}),
        (REPAYMENTS, bad, {**JSON, **bearer("auditor")}),
        (REPAYMENTS, bad, {**JSON, **bearer("member")}),
        (REPAYMENTS, good, {**JSON, **bearer("member")}),
    ]

    codes = [client.post(path, content=raw, headers=headers).json()["code"] for path, raw, headers in asked]

    assert codes == [
        "body-too-large", "media-type", "malformed-json", "not-found", "unauthenticated", "session-ended",
        "role-not-permitted", "input-format", "idempotency-key-missing",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "card_id",
    [CARD_ID.upper(), CARD_ID.replace("-", ""), "{" + CARD_ID + "}", f"urn:uuid:{CARD_ID}", CARD_ID + "\n",
     "５" + CARD_ID[1:], "..%2f..%2fetc%2fpasswd", "%2e%2e", "' OR 1=1 --", "$1", "%", "_", "%00" + CARD_ID,
     "x" * 10_000, CARD_ID + ".", "00000000-0000-0000-0000-000000000000", OTHER_ID],
)  # fmt: skip
def test_an_id_has_one_spelling_and_any_other_names_nothing(served: Served, card_id: str) -> None:
    url = f"/v1/cards/{card_id}/balance".replace("\n", "%0A")

    answer = served[0].get(url, headers=bearer("member"))

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("limit=0", [("/limit", "range")]), ("limit=-1", [("/limit", "range")]), ("limit=201", [("/limit", "range")]),
        ("limit=1000000000", [("/limit", "range")]), ("limit=1e3", [("/limit", "format")]),
        ("limit=", [("/limit", "format")]), ("limit=%EF%BC%91", [("/limit", "not-half-width")]),
        ("limit=1%00", [("/limit", "format")]), ("limit=1&limit=1", [("/limit", "format")]),
        ("limit=%FF", [("", "format")]), ("colour=red", [("", "unknown-field")]), ("kind=all", [("/kind", "format")]),
        ("from=2024-02-30", [("/from", "format")]), ("limit=%2B1", [("/limit", "format")]),
    ],
)  # fmt: skip
def test_a_query_is_as_strict_as_a_body(served: Served, query: str, errors: list[tuple[str, str]]) -> None:
    answer = served[0].get(f"/v1/cards/{CARD_ID}/transactions?{query}", headers=bearer("member"))

    assert answer.status_code == 422
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == errors


def test_a_token_in_the_query_is_no_token(served: Served) -> None:
    answer = served[0].get(f"/v1/cards/{CARD_ID}/balance?access_token=x")

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("as_of", "meant"),
    [("48213", "48213"), ("2020-01-06T10:05:00%2B09:00", "01:05"), ("2020-01-06T10:05:00+09:00", "01:05")],
)
def test_a_moment_is_a_position_or_an_instant(served: Served, as_of: str, meant: str) -> None:
    answer = served[0].get(f"/v1/cards/{CARD_ID}/balance?as_of={as_of}", headers=bearer("member"))

    assert answer.status_code == 200
    assert meant in str(served[1].asked[-1][1][2])


@pytest.mark.parametrize("as_of", ["0", "-1", "yesterday", "2020-01-06", "2020-01-06T10:05:00", "9" * 16])
def test_a_moment_that_is_neither_is_refused(served: Served, as_of: str) -> None:
    answer = served[0].get(f"/v1/cards/{CARD_ID}/balance?as_of={as_of}", headers=bearer("member"))

    assert answer.status_code == 422


def test_a_cursor_continues_its_own_query_alone(served: Served) -> None:
    client, _ = served
    path = f"/v1/cards/{CARD_ID}/transactions"
    cursor = client.get(path + "?kind=fee", headers=bearer("member")).json()["next_cursor"]
    flipped = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    bad = (flipped, cursor[:-1], cursor + "A", "x", "")
    asked = [
        (f"{path}?kind=fee&cursor={cursor}", "member", 200),
        (f"{path}?kind=fee&limit=7&cursor={cursor}", "member", 200),
        (f"{path}?cursor={cursor}", "member", 400),
        (f"{path}?kind=fee&cursor={cursor}", "auditor", 400),
        (f"/v1/members/{MEMBER_ID}/cards?cursor={cursor}", "member", 400),
        *[(f"{path}?kind=fee&cursor={each}", "member", 400) for each in bad],
    ]

    statuses = [client.get(url, headers=bearer(role)).status_code for url, role, _ in asked]

    assert statuses == [status for _, _, status in asked]


def test_a_read_waits_for_the_position_asked_for_or_says_that_it_is_behind() -> None:
    with serving() as (client, ledger):
        ledger.reachable = False
        url = f"/v1/cards/{CARD_ID}/balance"
        behind = client.get(url, headers={**bearer("member"), "Ledger-Min-Position": "9"})
        as_it_is = client.get(url, headers={**bearer("member"), "Prefer": "wait=0"})
        no_position = client.get(url, headers={**bearer("member"), "Ledger-Min-Position": "nine"})

    assert (behind.status_code, behind.json()["code"], behind.headers["retry-after"]) == (503, "projection-behind", "1")
    assert as_it_is.status_code == 200
    assert no_position.status_code == 422


READS_OF_A_POSITION = (*books.OPERATIONS, *events.OPERATIONS, *reads.OPERATIONS)
ASKED_OF = {"card_id": CARD_ID, "member_id": MEMBER_ID}


@pytest.mark.parametrize("row", READS_OF_A_POSITION, ids=lambda row: row.operation_id)
def test_every_read_that_tells_a_position_waits_for_the_one_asked_for(row: Operation) -> None:
    with serving() as (client, ledger):
        ledger.reachable = False
        url = row.path.format(**ASKED_OF) + ("?of=principal" if row.operation_id == "explainFigure" else "")
        behind = client.get(url, headers={**bearer("auditor"), "Ledger-Min-Position": "9"})

    assert (behind.status_code, behind.json()["code"], behind.headers["retry-after"]) == (503, "projection-behind", "1")


def test_the_log_is_told_in_the_form_that_is_accepted(served: Served) -> None:
    client, ledger = served
    page = client.get("/v1/events?after=1", headers=bearer("auditor"))
    lines = client.get("/v1/events?after=1", headers={**bearer("auditor"), "Accept": "application/x-ndjson"})

    assert [event["sequence"] for event in page.json()["data"]] == ["2"]
    assert "next_cursor" in page.json()
    *told, trailer = map(json.loads, lines.text.splitlines())
    assert [event["sequence"] for event in told] == ["2", "3"]
    assert (trailer["kind"], trailer["count"]) == ("trailer", 2)
    assert lines.headers["ledger-position"] == "3"
    assert ledger.asked[-1][1][0].stream is None


def test_the_metrics_count_the_requests(served: Served) -> None:
    served[0].get("/v1/login-help")

    told = served[0].get("/metrics", headers=bearer("operator")).text

    assert 'cardledger_http_requests_total{operation="readLoginHelp",status="200"}' in told
