"""The bad-input catalogue for who is let in already: what moves no money and reads no data, as bytes on a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from conftest import NewDatabase
from people import Person, by_card, logged_in, with_card, with_web_id
from serving import Client, served
from wire import JSON, keyed, refused, request


@pytest.fixture(scope="module")
def server(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with new_database("acts") as dsn, served(dsn, tmp_path_factory.mktemp("acts")) as client:
        yield client


@pytest.fixture(scope="module")
def person(server: Client) -> Person:
    return with_web_id(server)


@pytest.fixture(scope="module")
def session(server: Client, person: Person) -> str:
    return logged_in(server, by_card(person.number))


# Money ----------------------------------------------------------------------------------------------------------------

AMOUNTS = {
    "negative": b"-1", "zero": b"0", "minus zero": b"-0", "1.0": b"1000.0", "1.5": b"1000.5", "1e3": b"1e3",
    "a fraction": b"0.1", "a string": b'"1000"', "a string with signs": b'" 1_000 "', "true": b"true", "null": b"null",
    "a full-width string": '"１０００"'.encode(), "over the bound": b"100000000", "2^53+1": b"9007199254740993",
    "2^63": b"9223372036854775808", "2^64": b"18446744073709551616", "an array": b"[1000]", "an object": b"{}",
    "NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity", "4,000 digits": b"9" * 4000,
    "a hexadecimal": b"0x3e8",    "1e309": b"1e309", "a leading zero": b"01000", "a plus": b"+1000",
}  # fmt: skip
NO_JSON = {"NaN", "Infinity", "-Infinity", "4,000 digits", "a hexadecimal", "a leading zero", "a plus"}


@pytest.mark.parametrize("act", ["an advance", "a repayment", "a limit change"])
@pytest.mark.parametrize("kind", AMOUNTS)
def test_an_amount_is_a_json_integer_in_its_bounds(
    server: Client, person: Person, session: str, act: str, kind: str
) -> None:
    if act == "a limit change" and kind in ("zero", "minus zero"):
        pytest.skip("0 is an integer in its bounds; that it is no limit is a refusal of the business")
    path, by, field, rest = {
        "an advance": (f"/v1/cards/{person.card_id}/advances", session, "amount", b', "purpose": "transfer"'),
        "a repayment": (f"/v1/cards/{person.card_id}/repayments", server.token("atm"), "amount", b', "method": "atm"'),
        "a limit change": (f"/v1/members/{person.member_id}/limit-change-requests", session, "requested_limit", b""),
    }[act]
    body = b'{"%s": %s%s}' % (field.encode(), AMOUNTS[kind], rest)

    told = refused(server, request(f"POST {path}", body, keyed(by)))

    assert told is not None
    assert (told.status, told.code) == ((400, "malformed-json") if kind in NO_JSON else (422, "input-format"))


DAYS = (
    "2020-02-30",
    "0000-01-01",
    "２０２０-01-01",
    "20200101",
    "2020-1-1",
    "2020-01-01T00:00:00Z",
    18262,
    "",
    "today",
)


@pytest.mark.parametrize("day", DAYS)
def test_a_day_has_one_spelling(server: Client, person: Person, day: object) -> None:
    body = json.dumps({"amount": 1000, "method": "atm", "value_date": day}, ensure_ascii=False).encode()

    told = refused(server, request(f"POST /v1/cards/{person.card_id}/repayments", body, keyed(server.token("atm"))))

    assert told is not None
    assert (told.status, told.code) == (422, "input-format")


@pytest.mark.parametrize("currency", ["JPY ", "jpy", "USD", "JPY"])
def test_there_is_one_currency_and_nobody_says_so(server: Client, person: Person, session: str, currency: str) -> None:
    body = json.dumps({"amount": 1000, "purpose": "transfer", "currency": currency}).encode()

    told = refused(server, request(f"POST /v1/cards/{person.card_id}/advances", body, keyed(session)))

    assert told is not None
    assert (told.status, told.code) == (422, "input-format")


KEYS = {
    "none": ((), "idempotency-key-missing"),
    "empty": ((("Idempotency-Key", ""),), "idempotency-key-missing"),
    "256 characters": ((("Idempotency-Key", "k" * 256),), "idempotency-key-missing"),
    "a space": ((("Idempotency-Key", "a b"),), "idempotency-key-missing"),
    "no ASCII": ((("Idempotency-Key", "k\xe9y"),), "idempotency-key-missing"),
    "two": ((("Idempotency-Key", "a"), ("Idempotency-Key", "b")), "header-repeated"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_money_does_not_move_without_one_proper_key(server: Client, person: Person, session: str, kind: str) -> None:
    keys, code = KEYS[kind]
    body = json.dumps({"amount": 1000, "purpose": "transfer"}).encode()
    headers = (JSON, ("Authorization", f"Bearer {session}"), *keys)

    told = refused(server, request(f"POST /v1/cards/{person.card_id}/advances", body, headers))

    assert told is not None
    assert (told.status, told.code) == (400, code)


def test_two_callers_in_one_request_are_nobody(server: Client, person: Person, session: str) -> None:
    headers = (*keyed(session), ("Authorization", f"Bearer {server.token('operator')}"))

    told = refused(server, request(f"POST /v1/cards/{person.card_id}/advances", b"{}", headers))

    assert told is not None
    assert (told.status, told.code) == (400, "header-repeated")


def test_the_key_of_one_member_says_nothing_to_another(server: Client) -> None:
    bodies_of = {"amount": 1000, "purpose": "transfer"}
    drawn = []
    for _ in range(2):
        someone = with_card(server)
        path = f"/v1/cards/{someone.card_id}/advances"
        drawn.append(server.done(path, logged_in(server, by_card(someone.number)), bodies_of, key="the-same-key"))

    assert drawn[0]["advance_id"] != drawn[1]["advance_id"]


IDS = (
    "../../etc/passwd", "%2e%2e%2fetc", "..%5c", "{%s}", "urn:uuid:%s", "UPPER", "NOHYPHENS", "%s%%00", "' OR 1=1 --",
    "1;DROP TABLE", "$1", "%25", "_", "x" * 2000, "%s.", "%s/", "00000000-0000-0000-0000-000000000000",
)  # fmt: skip


@pytest.mark.parametrize("text", IDS)
def test_an_id_has_one_spelling_and_any_other_names_nothing(server: Client, person: Person, text: str) -> None:
    special = {"UPPER": person.card_id.upper(), "NOHYPHENS": person.card_id.replace("-", "")}
    spelt = special.get(text) or (text.replace("%s", person.card_id).replace("%%", "%"))
    if spelt == person.card_id.upper() == person.card_id:
        pytest.skip("an id of digits alone has one spelling")
    headers = (("Authorization", f"Bearer {server.token('auditor')}"),)

    told = refused(server, request(f"GET /v1/cards/{spelt.replace(' ', '%20')}/balance", b"", headers))

    assert told is not None
    assert told.status == 404


@pytest.mark.parametrize("query", ["limit=-1", "limit=0", "limit=1e3", "limit=", "limit=%EF%BC%91", "limit=1%00",
                                   "limit=1&limit=9", "limit=1000000000", "stranger=1", "as_of=1700000000.5",
                                   "as_of=2020-01-01T00:00:00", "as_of=2020-01-01T00:00:00%2B99:00"])  # fmt: skip
def test_a_query_is_as_strict_as_a_body(server: Client, person: Person, session: str, query: str) -> None:
    headers = (("Authorization", f"Bearer {session}"),)

    told = refused(server, request(f"GET /v1/cards/{person.card_id}/transactions?{query}", b"", headers))

    assert told is not None
    assert (told.status, told.code) == (422, "input-format")


@pytest.mark.parametrize("cursor", ["x", "MQ", "MTAwMDAw", "e30", "A" * 400])
def test_a_cursor_that_was_not_given_out_is_refused(server: Client, person: Person, session: str, cursor: str) -> None:
    headers = (("Authorization", f"Bearer {session}"), ("Range", "bytes=" + ",".join(["0-1"] * 10_000)[:4000]))

    told = refused(server, request(f"GET /v1/cards/{person.card_id}/transactions?cursor={cursor}", b"", headers))

    assert told is not None
    assert (told.status, told.code) == (400, "cursor-invalid")


TOKENS = {
    "none of ours": "st_" + "x" * 43,
    "a session of nobody": "ms_" + "x" * 43,
    "no signature": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcGVyYXRvciJ9.",
    "4,000 characters": "st_" + "x" * 4000,
    "a quote": "st_' or '1'='1",
}


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_that_was_not_given_out_is_nobodys(server: Client, person: Person, kind: str) -> None:
    told = refused(
        server, request(f"GET /v1/cards/{person.card_id}/balance", b"", (("Authorization", f"Bearer {TOKENS[kind]}"),))
    )

    assert told is not None
    assert (told.status, told.code) == (401, "unauthenticated")


@pytest.mark.parametrize("now", ["9999-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "2101-01-01T00:00:00+09:00"])
def test_a_clock_that_cannot_be_put_back_is_not_put_where_no_calendar_reaches(server: Client, now: str) -> None:
    headers = (JSON, ("Authorization", f"Bearer {server.token('operator')}"))

    told = refused(server, request("PUT /v1/sandbox/clock", json.dumps({"now": now}).encode(), headers))

    assert told is not None
    assert (told.status, told.code) == (422, "input-format")
    assert server.get("/v1/sandbox/clock", "operator").status == 200
