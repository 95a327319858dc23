"""The log over HTTP: pages that never disagree, exports that show when they were cut, streams that resume, and a record
of every read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import date
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import psycopg
import pytest
from jsonschema_rs import Draft202012Validator
from ledgers import rows
from people import Person, with_card, with_web_id
from serving import Client, served

from ledger.audit.schemas import published


@pytest.fixture(scope="module")
def service(new_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with a log of one borrower, one who repaid, and days between."""
    with (
        new_database("streams") as dsn,
        served(dsn, tmp_path_factory.mktemp("streams"), start="2025-04-01T10:00:00+09:00") as client,
    ):
        yield client


@pytest.fixture(scope="module")
def borrower(service: Client) -> Person:
    person = with_web_id(service)
    token = service.done("/v1/sessions", None, {"route": "card", "card_number": person.number, "pin": "3749"})["token"]
    drawn = service.done(f"/v1/cards/{person.card_id}/advances", token, {"amount": 50_000, "purpose": "transfer"})
    service.done(f"/v1/cards/{person.card_id}/advances/{drawn['advance_id']}/confirmations", "service")
    service.go_to(date(2025, 4, 20))
    repaid = {"amount": 8_000, "method": "bank-transfer"}
    service.done(f"/v1/cards/{person.card_id}/repayments", "service", repaid)
    with_card(service)
    return person


@contextmanager
def raw(service: Client, path: str, accept: str, **headers: str) -> Iterator[HTTPResponse]:
    """The answer as it comes; the connection is closed at the end."""
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
        sent = {"Accept": accept, "Authorization": f"Bearer {service.token('auditor')}"}
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=sent | more)
        with closing(connection.getresponse()) as answer:
            yield answer


def exported(service: Client, path: str) -> tuple[list[bytes], dict[str, Any]]:
    """The lines of an NDJSON export, and its trailer."""
    with raw(service, path, "application/x-ndjson") as answer:
        *lines, trailer = answer.read().splitlines(keepends=True)
    return lines, json.loads(trailer)


def all_pages(service: Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = service.read(f"{path}{cursor}")
        found += page["data"]
        if "next_cursor" not in page:
            return found
        cursor = f"&cursor={page['next_cursor']}"


# Pages ----------------------------------------------------------------------------------------------------------------


def test_every_event_fits_the_schema_that_it_names(service: Client, borrower: Person) -> None:
    events = all_pages(service, "/v1/events?limit=7")

    assert [int(event["sequence"]) for event in events] == list(range(1, len(events) + 1))
    for event in events:
        schema = service.read(event["dataschema"])
        assert schema == published()[event["type"]]
        Draft202012Validator(schema).validate(event["data"])
        assert {"specversion", "id", "source", "subject", "time", "recordedtime", "actor", "commandid"} <= event.keys()


def test_pages_of_one_listing_end_where_the_first_one_stood(service: Client, borrower: Person) -> None:
    first = service.get("/v1/events?limit=3", "auditor")
    with_card(service)  # the log grows while somebody turns the pages

    found, cursor = list(first.body["data"]), first.body["next_cursor"]
    while cursor is not None:
        page = service.get(f"/v1/events?limit=3&cursor={cursor}", "auditor")
        assert page.position == first.position
        found += page.body["data"]
        cursor = page.body.get("next_cursor")

    assert [int(event["sequence"]) for event in found] == list(range(1, first.position + 1))


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("type=cardledger.card.repayment-made.v1", lambda event: event["type"] == "cardledger.card.repayment-made.v1"),
        ("actor=service", lambda event: event["actor"] == "service"),
        ("value_from=2025-04-02&value_to=2025-04-30", lambda event: event["data"].get("value_date") == "2025-04-20"),
        ("recorded_from=2025-04-19T00:00:00Z", lambda event: event["recordedtime"] >= "2025-04-19"),
        ("recorded_to=2025-04-19T00:00:00Z", lambda event: event["recordedtime"] <= "2025-04-19"),
        ("after=5", lambda event: int(event["sequence"]) > 5),
    ],
)
def test_a_filter_lets_through_what_fits_and_nothing_else(
    service: Client, borrower: Person, query: str, fits: Any
) -> None:
    everything = all_pages(service, "/v1/events?limit=200")
    wanted = [event["sequence"] for event in everything if fits(event)]

    found = [event["sequence"] for event in all_pages(service, f"/v1/events?limit=2&{query}")]

    assert found == wanted
    assert 0 < len(wanted) < len(everything)


def test_the_story_of_one_command_is_found_by_its_correlation(service: Client, borrower: Person) -> None:
    event = all_pages(service, f"/v1/cards/{borrower.card_id}/events?limit=200")[-1]

    same = all_pages(service, f"/v1/events?correlation={event['correlationid']}")

    assert event in same
    assert {each["correlationid"] for each in same} == {event["correlationid"]}


@pytest.mark.parametrize(
    "query",
    [
        "/v1/events?value_from=2025-04-02&value_to=2025-04-01",
        "/v1/events?recorded_from=2025-04-02T00:00:00Z&recorded_to=2025-04-01T00:00:00Z",
        "/v1/cards/{card}/transactions?from=2025-04-02&to=2025-04-01",
        "/v1/cards/{card}/refusals?from=2025-04-02&to=2025-04-01",
    ],
)
def test_a_range_that_ends_before_it_begins_is_refused(service: Client, borrower: Person, query: str) -> None:
    reply = service.get(query.format(card=borrower.card_id), "auditor")

    assert (reply.status, reply.code) == (422, "input-format")
    assert reply.body["errors"][0]["code"] == "range"


@pytest.mark.parametrize("read", ["events", "refusals"])
def test_a_card_is_no_member_and_a_member_no_card(service: Client, borrower: Person, read: str) -> None:
    paths = (f"/v1/cards/{borrower.member_id}/{read}", f"/v1/members/{borrower.card_id}/{read}")

    assert [service.get(path, "auditor").status for path in paths] == [404, 404]


@pytest.mark.parametrize(("query", "found"), [("recorded_from=0001-01-01T00:00:00Z", True),
                                              ("recorded_to=0001-01-01T00:00:00Z", False),
                                              ("recorded_from=9999-12-31T23:59:59Z", False)])  # fmt: skip
def test_the_ends_of_time_are_instants_like_others(service: Client, borrower: Person, query: str, found: bool) -> None:
    assert bool(service.read(f"/v1/events?{query}")["data"]) is found


def test_a_stream_is_that_of_its_card_or_member_alone(service: Client, borrower: Person) -> None:
    of_card = all_pages(service, f"/v1/cards/{borrower.card_id}/events?limit=2")
    of_member = all_pages(service, f"/v1/members/{borrower.member_id}/events?limit=2")

    assert {event["subject"] for event in of_card} == {borrower.card_id}
    assert {event["subject"] for event in of_member} == {borrower.member_id}
    assert of_card[0]["type"] == "cardledger.card.card-issued.v1"
    assert [event["streamversion"] for event in of_card] == list(range(1, len(of_card) + 1))


# Exports --------------------------------------------------------------------------------------------------------------


def test_an_export_ends_with_a_trailer_that_counts_and_sums_it(service: Client, borrower: Person) -> None:
    lines, trailer = exported(service, "/v1/events")

    assert trailer["kind"] == "trailer"
    assert trailer["count"] == len(lines) == trailer["head"] == trailer["last"]
    assert trailer["sha256"] == hashlib.sha256(b"".join(lines)).hexdigest()
    books = service.read(f"/v1/trial-balance?as_of={trailer['head']}")
    assert (trailer["debits"], trailer["credits"]) == (books["debits"], books["credits"])
    assert trailer["debits"] == trailer["credits"] > 50_000


def test_an_export_of_a_range_tells_the_positions_it_holds(service: Client, borrower: Person) -> None:
    lines, trailer = exported(service, "/v1/events?type=cardledger.card.repayment-made.v1")

    (event,) = map(json.loads, lines)
    assert trailer["first"] == trailer["last"] == int(event["sequence"])
    assert trailer["count"] == 1


def test_an_export_of_nothing_is_a_trailer(service: Client, borrower: Person) -> None:
    lines, trailer = exported(service, "/v1/events?actor=nobody")

    assert (lines, trailer["count"], trailer["first"]) == ([], 0, None)


# Streams --------------------------------------------------------------------------------------------------------------


def messages(stream: HTTPResponse, wanted: int) -> list[dict[str, str]]:
    """So many messages of an event stream."""
    found: list[dict[str, str]] = []
    message: dict[str, str] = {}
    while len(found) < wanted:
        line = stream.readline().decode().rstrip("\n")
        if not line:
            found += [message] if "data" in message else []
            message = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            message[name] = value
    return found


def test_a_stream_goes_on_after_the_event_named_and_stays_for_what_comes(service: Client, borrower: Person) -> None:
    with raw(service, "/v1/events", "text/event-stream", Last_Event_ID="3") as stream:
        assert stream.getheader("content-type", "").startswith("text/event-stream")
        assert [message["id"] for message in messages(stream, 2)] == ["4", "5"]

    head = service.get("/v1/events?limit=1", "auditor").position
    with raw(service, f"/v1/events?after={head}", "text/event-stream") as stream:
        with_card(service)
        (message,) = messages(stream, 1)
    assert int(message["id"]) == head + 1
    assert json.loads(message["data"])["type"] == message["event"]


def test_a_stream_is_resumed_without_a_gap_and_without_an_event_twice(service: Client, borrower: Person) -> None:
    with raw(service, "/v1/events", "text/event-stream") as stream:
        seen = [message["id"] for message in messages(stream, 3)]  # and the connection is lost
    with_card(service)
    head = service.get("/v1/events?limit=1", "auditor").position
    assert head is not None
    with raw(service, "/v1/events", "text/event-stream", Last_Event_ID=seen[-1]) as stream:
        seen += [message["id"] for message in messages(stream, head - 3)]
    assert seen == [str(position) for position in range(1, head + 1)]


@pytest.mark.parametrize("asked", [{"Last_Event_ID": "999999999"}, {}])
def test_a_stream_cannot_be_resumed_where_the_log_has_not_come(service: Client, asked: dict[str, str]) -> None:
    with raw(service, "/v1/events?after=999999998", "text/event-stream", **asked) as answer:
        assert (answer.status, json.loads(answer.read())["code"]) == (404, "position-unknown")


def test_a_stream_on_which_nothing_happens_says_that_it_is_still_there(empty_database_url: str, tmp_path: Path) -> None:
    with (
        served(empty_database_url, tmp_path, CARDLEDGER_HEARTBEAT_SECONDS="1") as client,
        raw(client, "/v1/events?type=cardledger.card.card-closed.v1", "text/event-stream") as stream,
    ):
        assert [stream.readline() for _ in range(2)] == [b"retry: 2000\n", b"\n"]
        assert [stream.readline() for _ in range(4)] == [b": still here\n", b"\n"] * 2


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson", "application/json"])
def test_a_stream_of_a_card_that_does_not_exist_is_not_begun(service: Client, accept: str) -> None:
    with raw(service, "/v1/cards/11111111-2222-4333-8444-555555555555/events", accept) as answer:
        assert answer.status == 404
        answer.read()


def test_a_stream_ends_when_the_service_is_told_to_stop(empty_database_url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with served(empty_database_url, tmp_path) as client:
            stream = stack.enter_context(raw(client, "/v1/events", "text/event-stream"))
            assert stream.readline() == b"retry: 2000\n"
        assert stream.read().replace(b": still here\n\n", b"").strip() == b""


# As of ----------------------------------------------------------------------------------------------------------------


def test_transactions_as_of_a_position_are_those_that_were_there(service: Client, borrower: Person) -> None:
    path = f"/v1/cards/{borrower.card_id}/transactions"
    everything = service.read(path)["data"]
    drawn = everything[-1]["position"]

    assert service.read(f"{path}?as_of={drawn}")["data"] == everything[-1:]
    assert service.read(f"{path}?as_of={drawn - 1}")["data"] == []
    assert service.read(f"{path}?as_of=2025-04-10T00:00:00Z")["data"] == everything[-1:]


@pytest.mark.parametrize(
    "read", ["balance", "transactions", "lockout", "explanation?of=principal", "explanation?of=lockout"]
)
@pytest.mark.parametrize(
    ("as_of", "code"), [("999999999", "position-unknown"), ("2001-01-01T00:00:00Z", "before-first-event")]
)
def test_a_time_that_the_log_does_not_have_is_refused(
    service: Client, borrower: Person, read: str, as_of: str, code: str
) -> None:
    mark = "&" if "?" in read else "?"
    reply = service.get(f"/v1/cards/{borrower.card_id}/{read}{mark}as_of={as_of}", "auditor")

    assert (reply.status, reply.code) == (404, code)


def test_what_is_known_now_of_a_day_and_what_was_known_then(service: Client, borrower: Person) -> None:
    path = f"/v1/cards/{borrower.card_id}"
    before = service.read(f"{path}/transactions")["data"][0]["position"] - 1
    late = {"amount": 1_000, "method": "bank-transfer", "value_date": "2025-04-10"}
    service.done(f"{path}/repayments", "service", late)

    then = service.read(f"{path}/balance?value_date=2025-04-15&as_of={before}")
    now = service.read(f"{path}/balance?value_date=2025-04-15")

    assert then["principal"] == 50_000
    assert now["principal"] < 50_000


@pytest.mark.parametrize("of", ["principal", "interest", "late_damages", "fees", "available_credit", "next_due"])
def test_the_figure_explained_is_the_figure_of_the_balance(service: Client, borrower: Person, of: str) -> None:
    balance = service.read(f"/v1/cards/{borrower.card_id}/balance")
    found = service.read(f"/v1/cards/{borrower.card_id}/explanation?of={of}")

    signs = {"debit": 1, "credit": -1}
    figure = balance["minimum_instalment" if of == "next_due" else of]
    assert found["figure"] == figure == sum(signs[line["direction"]] * line["amount"] for line in found["lines"])
    assert "yen" in found["spoken"]


def test_the_explanation_of_a_lockout_is_for_those_who_may_read_the_lockout(service: Client, borrower: Person) -> None:
    path = f"/v1/cards/{borrower.card_id}"
    stopped = service.done(f"{path}/stops", "credit:officer", {"reason": "others-loans"})

    told = {by: service.get(f"{path}/explanation?of=lockout", by) for by in ("auditor", "call-centre", "service")}

    (line,) = told["auditor"].body["lines"]
    assert told["auditor"].body["figure"] == 1
    assert (line["calculation"]["bar"], line["calculation"]["actor"]) == ("others-loans", "officer")
    assert line["calculation"]["id"] == stopped["stop_id"]
    assert "officer" not in json.dumps(told["call-centre"].body)
    assert told["service"].code == "role-not-permitted"


# On record ------------------------------------------------------------------------------------------------------------


def test_every_read_of_an_auditor_is_on_record_and_nobody_elses(service: Client, borrower: Person) -> None:
    path = f"/v1/cards/{borrower.card_id}/balance"
    service.read(path, "call-centre")
    before = service.read("/v1/access-log?limit=1")["data"][0]["read_id"]
    service.read(f"{path}?value_date=2025-04-15")
    exported(service, "/v1/events?after=3")

    reads = [read for read in service.read("/v1/access-log")["data"] if read["read_id"] > before]

    assert [(read["operation"], read["query"]) for read in reads] == [
        ("readAccessLog", ""), ("readEvents", "after=3"), ("readBalance", "value_date=2025-04-15")
    ]  # fmt: skip
    assert {read["subject"] for read in reads} == {"auditor"}
    assert reads[2]["path"] == path
    assert service.get("/v1/access-log", "operator").code == "role-not-permitted"


def test_what_is_on_record_cannot_be_changed_or_removed(service: Client, borrower: Person) -> None:
    service.read("/v1/events?limit=1")
    for change in (
        "delete from reads_on_record",
        "update reads_on_record set subject = 'x'",
        "truncate reads_on_record",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(service.dsn, change)


def test_the_journal_and_its_trial_balance_are_read_page_by_page(service: Client, borrower: Person) -> None:
    lines = all_pages(service, "/v1/journal?limit=2")
    position = lines[-1]["position"]

    books = service.read(f"/v1/trial-balance?as_of={position}")

    assert books["debits"] == books["credits"] == sum(each["amount"] for each in lines if each["direction"] == "debit")
    assert [(each["position"], each["line"]) for each in lines] == sorted(
        (each["position"], each["line"]) for each in lines
    )
    assert {"Assets:Loans:Principal", "Assets:Clearing:Advances"} <= {each["account"] for each in books["accounts"]}
