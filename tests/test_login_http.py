"""The login as strangers meet it: malformed bytes, unknown numbers, other people's sessions, and a crowd at the door.

What must stay true: every row here goes through a real socket to a real server, around a card and a PIN that are right,
so that anything the server put right by itself would let somebody in.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from conftest import NewDatabase
from guessing import attackers
from ledgers import rows, topics
from people import (
    NEW_PASSWORD,
    PASSWORD,
    PIN,
    WRONG_PASSWORD,
    WRONG_PIN,
    Person,
    by_card,
    by_web,
    logged_in,
    new_pin,
    registered,
    with_card,
    with_web_id,
)
from serving import Client, served
from wire import JSON, LOGIN, Told, parsed, received, request, send

TYPED = "zq83kv19"
"""What a caller typed and must not get back."""
STRANGE_HEADERS = (
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-User-Id", "1"),
    ("X-Role", "operator"),
    ("X-HTTP-Method-Override", "DELETE"),
)

STATE = """
select json_build_array(
    (select count(*) from ledger_events), (select count(*) from sessions), (select count(*) from idempotency),
    (select count(*) from unknown_numbers), (select count(*) from login_sources), (select count(*) from outbox),
    (select count(*) from reset_tokens), (select count(*) from credentials), (select count(*) from web_ids))::text
"""


@pytest.fixture(scope="module")
def server(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with new_database("http") as dsn, served(dsn, tmp_path_factory.mktemp("http")) as client:
        yield client


@pytest.fixture(scope="module")
def person(server: Client) -> Person:
    return with_web_id(server)


@pytest.fixture(scope="module")
def session(server: Client, person: Person) -> str:
    return logged_in(server, by_card(person.number))


def state(server: Client) -> str:
    """What a refused request must not change: the number of rows of every table that acts write."""
    return str(rows(server.dsn, STATE)[0])


def refused(server: Client, raw: bytes, *typed: str) -> Told | None:
    """The answer to a request that changes nothing and hears nothing of what it said."""
    before = state(server)
    told = send(server.port, raw)
    assert state(server) == before
    if told is not None:
        for text in (TYPED, *typed):
            assert text.encode() not in told.body
            assert text not in str(told.headers)
    return told


# The form of a login ---------------------------------------------------------------------------------------------------

PINS = {
    "full-width": ("３７４９", "input-not-half-width"),
    "one full-width digit": ("37４9", "input-not-half-width"),
    "Arabic-Indic": ("٣٧٤٩", "input-format"),
    "extended Arabic-Indic": ("۳۷۴۹", "input-format"),
    "Devanagari": ("३७४९", "input-format"),
    "mathematical": ("𝟑𝟕𝟒𝟗", "input-format"),
    "superscript": ("³⁷⁴⁹", "input-format"),
    "circled": ("③⑦④⑨", "input-format"),
    "with a newline": ("3749\n", "input-format"),
    "with a space before": (" 3749", "input-format"),
    "with a space behind": ("3749 ", "input-format"),
    "with a no-break space": ("3749\u00a0", "input-format"),
    "with a full-width space": ("3749\u3000", "input-not-half-width"),
    "with a zero-width space": ("37\u200b49", "input-format"),
    "right to left": ("\u202e9473", "input-format"),
    "keycaps": ("3\ufe0f\u20e37\ufe0f\u20e3", "input-format"),
    "with a NUL": ("37\u000049", "input-format"),
    "signed": ("+374", "input-format"),
    "negative": ("-374", "input-format"),
    "underscored": ("3_749", "input-format"),
    "hexadecimal": ("0xEA5", "input-format"),
    "exponential": ("37e2", "input-format"),
    "short": ("374", "input-format"),
    "long": ("37490", "input-format"),
    "empty": ("", "input-format"),
    "a number": (3749, "input-format"),
    "true": (True, "input-format"),
    "null": (None, "input-format"),
    "an array": (["3", "7", "4", "9"], "input-format"),
    "an empty array": ([], "input-format"),
    "an object": ({}, "input-format"),
}


@pytest.mark.parametrize("kind", PINS)
def test_a_pin_that_is_not_four_half_width_digits_is_no_attempt(server: Client, person: Person, kind: str) -> None:
    pin, code = PINS[kind]
    body = json.dumps({"route": "card", "card_number": person.number, "pin": pin}, ensure_ascii=False).encode()

    told = refused(server, request(LOGIN, body), person.number)

    assert told is not None
    assert (told.status, told.code) == (422, code)
    assert told.headers["cache-control"] == "no-store"
    assert [error["pointer"] for error in told.problem["errors"]] == ["/pin"]


NUMBERS = {
    "full-width": (lambda n: n.translate({ord(str(d)): chr(0xFF10 + d) for d in range(10)}), "input-not-half-width"),
    "with spaces": (lambda n: f"{n[:4]} {n[4:]}", "input-format"),
    "with hyphens": (lambda n: f"{n[:4]}-{n[4:8]}-{n[8:12]}-{n[12:]}", "input-format"),
    "too short": (lambda n: n[:15], "input-format"),
    "too long": (lambda n: n + "0", "input-format"),
    "with a letter": (lambda n: n[:15] + "O", "input-format"),
    "a number": (int, "input-format"),
    "null": (lambda _: None, "input-format"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_card_number_has_one_spelling(server: Client, person: Person, kind: str) -> None:
    spell, code = NUMBERS[kind]
    body = json.dumps({"route": "card", "card_number": spell(person.number), "pin": PIN}, ensure_ascii=False).encode()

    told = refused(server, request(LOGIN, body), person.number[:15], person.number[4:])

    assert told is not None
    assert (told.status, told.code) == (422, code)


def bodies(number: str) -> dict[str, tuple[bytes, int, str]]:
    """Whole bodies: what is sent, and the status and code that answer it."""
    whole = json.dumps({"route": "card", "card_number": number, "pin": PIN}).encode()
    card = f'"route": "card", "card_number": "{number}"'
    return {
        "no PIN": (b"{%s}" % card.encode(), 422, "input-format"),
        "no card number": (b'{"route": "card", "pin": "3749"}', 422, "input-format"),
        "no route": (f'{{"card_number": "{number}", "pin": "3749"}}'.encode(), 422, "input-format"),
        "a PIN twice": (f'{{{card}, "pin": "0000", "pin": "3749"}}'.encode(), 400, "duplicate-key"),
        "a stranger's field": (f'{{{card}, "pin": "3749", "is_admin": true}}'.encode(), 422, "input-format"),
        "a role": (f'{{{card}, "pin": "3749", "role": "{TYPED}"}}'.encode(), 422, "input-format"),
        "a name in capitals": (f'{{{card}, "PIN": "3749"}}'.encode(), 422, "input-format"),
        "a name with a space": (f'{{{card}, "pin ": "3749"}}'.encode(), 422, "input-format"),
        "a full-width name": (f'{{{card}, "pｉn": "3749"}}'.encode(), 422, "input-format"),
        "both secrets": (f'{{{card}, "pin": "3749", "password": "{PASSWORD}"}}'.encode(), 401, "bad-credentials"),
        "both names": (f'{{{card}, "web_id": "some.body", "pin": "3749"}}'.encode(), 401, "bad-credentials"),
        "a lone surrogate": (f'{{{card}, "pin": "37\\ud800"}}'.encode(), 400, "malformed-json"),
        "no UTF-8": (whole.replace(b"3749", b"37\xff9"), 400, "malformed-json"),
        "UTF-16": (whole.decode().encode("utf-16"), 400, "malformed-json"),
        "UTF-32": (whole.decode().encode("utf-32-le"), 400, "malformed-json"),
        "a byte order mark": (b"\xef\xbb\xbf" + whole, 400, "malformed-json"),
        "nothing": (b"", 400, "malformed-json"),
        "null": (b"null", 422, "input-format"),
        "an array": (b"[]", 422, "input-format"),
        "a string": (f'"{TYPED}"'.encode(), 422, "input-format"),
        "two documents": (whole + whole, 400, "malformed-json"),
        "something behind": (whole + b" x", 400, "malformed-json"),
        "a comment": (b"/* */" + whole, 400, "malformed-json"),
        "single quotes": (whole.replace(b'"', b"'"), 400, "malformed-json"),
        "a comma too many": (whole[:-1] + b",}", 400, "malformed-json"),
        "NaN": (f'{{{card}, "pin": NaN}}'.encode(), 400, "malformed-json"),
        "seventeen levels": (f'{{{card}, "pin": {"[" * 16}{"]" * 16}}}'.encode(), 400, "malformed-json"),
        "open brackets": (b"[" * 16_000, 400, "malformed-json"),
        "over 16 KiB": (whole[:-1] + b" " * 16_384 + b"}", 413, "body-too-large"),
        "200,000 open brackets": (b"[" * 200_000, 413, "body-too-large"),
        "5,000 digits": (f'{{{card}, "pin": {"3" * 5000}}}'.encode(), 400, "malformed-json"),
    }


@pytest.mark.parametrize("kind", bodies("0"))
def test_a_body_that_two_readers_could_understand_differently_is_no_attempt(
    server: Client, person: Person, kind: str
) -> None:
    body, status, code = bodies(person.number)[kind]

    told = refused(server, request(LOGIN, body), person.number, PASSWORD)

    assert told is not None
    assert (told.status, told.code) == (status, code)


WEB_IDS = ("short", "x" * 33, "İstanbul", "ﬁnanzen", "раураl", "ｍｅｍｂｅｒ．１", "mem ber", "member\n", "member\u0000")


@pytest.mark.parametrize("web_id", WEB_IDS)
def test_a_web_id_is_plain_ascii(server: Client, web_id: str) -> None:
    body = json.dumps({"route": "web", "web_id": web_id, "password": PASSWORD}, ensure_ascii=False).encode()

    told = refused(server, request(LOGIN, body), web_id if len(web_id) > 5 else TYPED)

    assert told is not None
    assert told.status == 422


@pytest.mark.parametrize("password", ["ｃorrect horse battery", "correct\thorse battery", "e\u0301" * 20, "x" * 129, "x" * 11])
def test_a_password_is_printable_ascii(server: Client, person: Person, password: str) -> None:
    body = json.dumps(by_web(person.web_id, password), ensure_ascii=False).encode()

    told = refused(server, request(LOGIN, body), password)

    assert told is not None
    assert told.status == 422


def test_a_space_behind_a_password_belongs_to_it(server: Client) -> None:
    person = with_web_id(server)

    told = send(server.port, request(LOGIN, json.dumps(by_web(person.web_id, PASSWORD + " ")).encode()))

    assert told is not None
    assert told.code == "bad-credentials"
    assert topics(server.dsn, person.member)[-1] == "member.login-failed"


def test_a_web_id_is_the_same_in_capitals(server: Client, person: Person) -> None:
    assert logged_in(server, by_web(person.web_id.upper()))


# The form of a request -------------------------------------------------------------------------------------------------

MEDIA = {
    "none": (),
    "text": (("Content-Type", "text/plain"),),
    "a form": (("Content-Type", "application/x-www-form-urlencoded"),),
    "parts": (("Content-Type", "multipart/form-data; boundary=x"),),
    "something like JSON": (("Content-Type", "application/evil+json"),),
    "UTF-7": (("Content-Type", "application/json; charset=utf-7"),),
    "Shift JIS": (("Content-Type", "application/json; charset=shift_jis"),),
    "compressed": (JSON, ("Content-Encoding", "gzip")),
}


@pytest.mark.parametrize("kind", MEDIA)
def test_a_login_in_another_form_is_no_attempt(server: Client, person: Person, kind: str) -> None:
    body = json.dumps(by_card(person.number)).encode()

    told = refused(server, request(LOGIN, body, MEDIA[kind]), person.number)

    assert told is not None
    assert (told.status, told.code) == (415, "media-type")


@pytest.mark.parametrize("accept", ["text/html", "application/xml"])
def test_an_answer_in_another_form_is_not_given(server: Client, person: Person, accept: str) -> None:
    body = json.dumps(by_card(person.number)).encode()

    told = refused(server, request(LOGIN, body, (JSON, ("Accept", accept))))

    assert told is not None
    assert (told.status, told.headers["content-type"]) == (406, "application/problem+json")


def framings(number: str) -> dict[str, tuple[bytes, set[int | None]]]:
    """Requests whose frame is wrong, and the statuses that may answer; None: the server hangs up without a word."""
    body = json.dumps(by_card(number)).encode()
    head = b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    length = b"Content-Length: %d\r\n" % len(body)
    chunked = b"Transfer-Encoding: chunked\r\n"
    in_chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    close = b"Connection: close\r\n\r\n"
    refusal: set[int | None] = {400, None}
    return {
        "a length too short": (head + b"Content-Length: 20\r\n" + close + body, refusal),
        "a negative length": (head + b"Content-Length: -1\r\n" + close + body, refusal),
        "two lengths": (head + length + b"Content-Length: 5\r\n" + close + body, refusal),
        "a length in words": (head + b"Content-Length: many\r\n" + close + body, refusal),
        "length and chunks": (head + length + chunked + close + in_chunks, refusal),
        "chunked, identity": (head + b"Transfer-Encoding: chunked, identity\r\n" + close + in_chunks, refusal),
        "a chunk without a length": (head + chunked + close + b"zz\r\n" + body, refusal),
        "too much in chunks": (head + chunked + close + b"8000\r\n" + b" " * 0x8000 + b"\r\n0\r\n\r\n", {413}),
        "a header with a NUL": (head + b"X-Note: a\x00b\r\n" + length + close + body, refusal),
        "a folded header": (head + b"X-Note: a\r\n b\r\n" + length + close + body, refusal),
        "a space before a colon": (head + b"X-Note : a\r\n" + length + close + body, refusal),
        "two hosts": (head + b"Host: evil\r\n" + length + close + body, refusal),
        "a header of 70 KiB": (head + b"X-Note: " + b"x" * 70_000 + b"\r\n" + length + close + body, {431}),
        "no version": (b"POST /v1/sessions\r\n\r\n" + body, {400, 415, None}),
        "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00" + body, refusal),
        "an unknown method": (b"LOGIN /v1/sessions HTTP/1.1\r\nHost: localhost\r\n" + close, {400, 405, None}),
        "TRACE": (b"TRACE /v1/sessions HTTP/1.1\r\nHost: localhost\r\n" + close, {405}),
        "CONNECT": (b"CONNECT /v1/sessions HTTP/1.1\r\nHost: localhost\r\n" + close, {400, 404, 405, None}),
    }


@pytest.mark.parametrize("kind", framings("0"))
def test_a_request_in_a_wrong_frame_is_no_attempt(server: Client, person: Person, kind: str) -> None:
    raw, statuses = framings(person.number)[kind]

    told = refused(server, raw, person.number)

    assert (None if told is None else told.status) in statuses


def test_half_a_login_is_no_attempt(server: Client, person: Person) -> None:
    body = json.dumps(by_card(person.number)).encode()
    raw = request(LOGIN, body)
    before = state(server)

    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(raw[:-5])
        connection.shutdown(socket.SHUT_WR)
        told = parsed(received(connection))

    assert told is None or told.status == 400
    assert state(server) == before


def test_what_a_stranger_says_of_himself_in_a_header_is_not_believed(server: Client, person: Person) -> None:
    told = send(server.port, request(LOGIN, json.dumps(by_card(person.number)).encode(), (JSON, *STRANGE_HEADERS)))
    assert told is not None
    assert told.status == 201
    token = json.loads(told.body)["token"]
    sessions = server.read("/v1/sessions", token)["data"]
    assert [row["channel"] for row in sessions if row["current"]] == ["web"]

    for header in STRANGE_HEADERS:
        answer = refused(server, request("GET /metrics", b"", (header, ("Authorization", f"Bearer {token}"))))
        assert answer is not None
        assert answer.code == "role-not-permitted"


# Money -----------------------------------------------------------------------------------------------------------------

AMOUNTS = {
    "negative": b"-1", "zero": b"0", "minus zero": b"-0", "1.0": b"1000.0", "1.5": b"1000.5", "1e3": b"1e3",
    "a fraction": b"0.1", "a string": b'"1000"', "a string with signs": b'" 1_000 "', "true": b"true", "null": b"null",
    "a full-width string": '"１０００"'.encode(), "over the bound": b"100000000", "2^53+1": b"9007199254740993",
    "2^63": b"9223372036854775808", "2^64": b"18446744073709551616", "an array": b"[1000]", "an object": b"{}",
    "NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity", "4,000 digits": b"9" * 4000, "a hexadecimal": b"0x3e8",
    "1e309": b"1e309", "a leading zero": b"01000", "a plus": b"+1000",
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

    told = refused(server, request(f"POST {path}", body, _keyed(by)))

    assert told is not None
    assert (told.status, told.code) == ((400, "malformed-json") if kind in NO_JSON else (422, "input-format"))


DAYS = ("2020-02-30", "0000-01-01", "２０２０-01-01", "20200101", "2020-1-1", "2020-01-01T00:00:00Z", 18262, "", "today")


@pytest.mark.parametrize("day", DAYS)
def test_a_day_has_one_spelling(server: Client, person: Person, day: object) -> None:
    body = json.dumps({"amount": 1000, "method": "atm", "value_date": day}, ensure_ascii=False).encode()

    told = refused(server, request(f"POST /v1/cards/{person.card_id}/repayments", body, _keyed(server.token("atm"))))

    assert told is not None
    assert (told.status, told.code) == (422, "input-format")


@pytest.mark.parametrize("currency", ["JPY ", "jpy", "USD", "JPY"])
def test_there_is_one_currency_and_nobody_says_so(server: Client, person: Person, session: str, currency: str) -> None:
    body = json.dumps({"amount": 1000, "purpose": "transfer", "currency": currency}).encode()

    told = refused(server, request(f"POST /v1/cards/{person.card_id}/advances", body, _keyed(session)))

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
    headers = (*_keyed(session), ("Authorization", f"Bearer {server.token('operator')}"))

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
    told = refused(server, request(f"GET /v1/cards/{person.card_id}/balance", b"", (("Authorization", f"Bearer {TOKENS[kind]}"),)))

    assert told is not None
    assert (told.status, told.code) == (401, "unauthenticated")


def _keyed(token: str) -> tuple[tuple[str, str], ...]:
    return (JSON, ("Authorization", f"Bearer {token}"), ("Idempotency-Key", str(uuid4())))


# Strangers -------------------------------------------------------------------------------------------------------------


def told_apart(answers: list[Told | None]) -> set[tuple[int, bytes, tuple[str, ...]]]:
    """What differs between answers: status, body without the number of the request, names of the headers."""
    different = set()
    for told in answers:
        assert told is not None
        body = {**told.problem, "instance": ""}
        different.add((told.status, json.dumps(body).encode(), tuple(sorted(told.headers))))
    return different


def test_an_unknown_card_number_answers_like_a_known_one(server: Client) -> None:
    person = with_card(server)
    unknown = "9" + person.number[:0:-1]

    answers = {
        number: [send(server.port, request(LOGIN, json.dumps(by_card(number, WRONG_PIN)).encode())) for _ in range(4)]
        for number in (person.number, unknown)
    }

    for known, nobody in zip(answers[person.number], answers[unknown], strict=True):
        assert len(told_apart([known, nobody])) == 1
    assert [told.code for told in answers[unknown] if told] == ["bad-credentials"] * 2 + ["card-locked"] * 2


def test_an_unknown_card_number_at_an_atm_has_as_many_tries_left(server: Client) -> None:
    person = with_card(server)
    left = {
        number: [server.post("/v1/sessions", "atm", by_card(number, WRONG_PIN)).body.get("tries_left") for _ in range(3)]
        for number in (person.number, "9" + person.number[:0:-1])
    }

    assert set(map(tuple, left.values())) == {(2, 1, None)}


def test_an_unknown_web_id_answers_like_a_known_one(server: Client) -> None:
    person = with_web_id(server)

    answers = [
        send(server.port, request(LOGIN, json.dumps(by_web(web_id, WRONG_PASSWORD)).encode()))
        for web_id in (person.web_id, "nobody.at.all")
    ]

    assert len(told_apart(answers)) == 1


def test_unknown_identifiers_leave_no_event_and_fill_no_table(server: Client) -> None:
    before = rows(server.dsn, "select count(*) from ledger_events")

    for number in range(30):
        server.post("/v1/sessions", None, by_card(f"8{number:015}", PIN))
        server.post("/v1/sessions", None, by_web(f"nobody.{number}"))

    assert rows(server.dsn, "select count(*) from ledger_events") == before
    assert rows(server.dsn, "select max(failures) < 4 from unknown_numbers") == [True]
    assert rows(server.dsn, "select count(*) from login_sources") == [0]


def test_what_a_stop_is_for_is_told_to_nobody_and_the_stop_only_to_the_right_secret(server: Client) -> None:
    person = with_web_id(server)
    server.done(f"/v1/cards/{person.card_id}/stops", "credit", {"reason": "others-loans"})

    answers = [
        server.post("/v1/sessions", None, body)
        for body in (by_card(person.number, WRONG_PIN), by_web(person.web_id, WRONG_PASSWORD),
                     by_card(person.number), by_web(person.web_id))
    ]  # fmt: skip

    assert [answer.code for answer in answers] == ["bad-credentials"] * 2 + ["card-stopped"] * 2
    assert all("others-loans" not in json.dumps(answer.body) for answer in answers)


# Sessions --------------------------------------------------------------------------------------------------------------


def test_a_member_lists_and_ends_the_own_sessions_alone(server: Client) -> None:
    mine, others = with_card(server), with_card(server)
    tokens = [logged_in(server, by_card(mine.number)) for _ in range(3)]
    theirs = logged_in(server, by_card(others.number))

    listed = server.read("/v1/sessions", tokens[0])["data"]
    foreign = server.read("/v1/sessions", theirs)["data"][0]["session_id"]

    assert [row["current"] for row in listed] == [False, False, True]
    assert "token" not in json.dumps(listed)
    assert server.ask("DELETE", f"/v1/sessions/{foreign}", tokens[0]).code == "not-found"
    assert server.ask("DELETE", f"/v1/sessions/{uuid4()}", tokens[0]).code == "not-found"
    assert server.get("/v1/sessions", theirs).status == 200

    assert server.ask("DELETE", f"/v1/sessions/{listed[0]['session_id']}", tokens[0]).status == 204
    assert server.ask("DELETE", "/v1/sessions/current", tokens[0]).status == 204

    assert [server.get("/v1/sessions", token).code for token in tokens] == ["session-ended", "200", "session-ended"]
    assert len(server.read("/v1/sessions", tokens[1])["data"]) == 1


def test_a_session_of_the_web_is_no_session_of_an_atm(server: Client) -> None:
    person = with_card(server)
    cash = {"amount": 1000, "purpose": "cash"}
    path = f"/v1/cards/{person.card_id}/advances"

    assert server.post(path, logged_in(server, by_card(person.number)), cash).code == "channel-not-permitted"
    assert server.post(path, logged_in(server, by_card(person.number), "atm"), cash).status == 201


# The role matrix, where it touches data --------------------------------------------------------------------------------

READERS = {"counter", "service", "call-centre", "credit", "auditor"}
STAFF = ("counter", "contract-machine", "atm", "app", "service", "call-centre", "credit", "auditor", "operator")


@pytest.mark.parametrize("role", STAFF)
def test_a_role_reads_and_does_what_its_row_says_and_nothing_else(server: Client, role: str) -> None:
    person = with_web_id(server)
    card, member = f"/v1/cards/{person.card_id}", f"/v1/members/{person.member_id}"
    before = state(server)
    done = {
        f"{card}/balance": server.get(f"{card}/balance", role).code,
        f"{card}/events": server.get(f"{card}/events", role).code,
        f"{card}/lockout": server.get(f"{card}/lockout", role).code,
        member: server.get(member, role).code,
    }
    refusal = "role-not-permitted"
    assert done == {
        f"{card}/balance": "200" if role in READERS else refusal,
        f"{card}/events": "200" if role == "auditor" else refusal,
        f"{card}/lockout": "200" if role in READERS - {"service"} | {"contract-machine", "atm"} else refusal,
        member: "200" if role in READERS else refusal,
    }
    assert state(server) == before

    acts = {
        "draw": (f"{card}/advances", {"amount": 1000, "purpose": "transfer"}, set()),
        "new PIN": (f"{card}/pin-resets", new_pin(server, "5926"), {"counter", "contract-machine"}),
        "fraud": (f"{card}/stops", {"reason": "fraud"}, {"credit"}),
        "suspend": (f"{card}/suspensions", {"reason": "own-wish"}, {"credit"}),
        "clock": ("/v1/sandbox/day-closes", {"through": date(2019, 12, 31).isoformat()}, {"operator"}),
    }
    for name, (path, body, permitted) in acts.items():
        before = state(server)
        answer = server.post(path, role, body)
        assert (answer.status < 300) == (role in permitted), (name, answer.body)
        if role not in permitted:
            assert answer.code == refusal
            assert state(server) == before


def test_another_members_objects_are_as_unknown_as_a_random_id(server: Client, session: str) -> None:
    other = with_card(server)
    unlike = set()
    for card_id in (other.card_id, str(uuid4())):
        for path in (f"/v1/cards/{card_id}/balance", f"/v1/cards/{card_id}/lockout", f"/v1/cards/{card_id}/transactions"):
            told = send(server.port, request(f"GET {path}", b"", (("Authorization", f"Bearer {session}"),)))
            unlike |= told_apart([told])
        told = send(server.port, request(f"POST /v1/cards/{card_id}/stops", b'{"reason": "lost"}', _keyed(session)))
        unlike |= told_apart([told])
    assert [status for status, *_ in unlike] == [404]


# A request that is sent again ------------------------------------------------------------------------------------------


def test_web_credentials_sent_again_under_their_key_change_and_count_nothing(server: Client) -> None:
    person = with_web_id(server)
    new = {"web_id": f"x{person.web_id}", "password": NEW_PASSWORD, "present_password": PASSWORD}
    old = logged_in(server, by_web(person.web_id))
    first = registered(server, person.member_id, by=old, Idempotency_Key="one", **new)
    before = topics(server.dsn, person.member)

    again = registered(server, person.member_id, by=logged_in(server, by_web(new["web_id"], NEW_PASSWORD)),
                       Idempotency_Key="one", **new)  # fmt: skip

    assert (first.status, again.status, again.body, again.replayed) == (200, 200, first.body, True)
    assert topics(server.dsn, person.member) == [*before, "member.login-succeeded"]


def test_a_wrong_present_password_counts_as_at_the_login(server: Client) -> None:
    person = with_web_id(server)
    token = logged_in(server, by_web(person.web_id))
    codes = [
        registered(server, person.member_id, "some.body.else", by=token, present_password=WRONG_PASSWORD).code
        for _ in range(6)
    ]

    assert codes == ["bad-credentials"] * 5 + ["login-wait"]
    assert server.post("/v1/sessions", None, by_web(person.web_id)).code == "login-wait"


def test_a_new_pin_sent_again_under_its_key_is_set_once(server: Client) -> None:
    person = with_card(server)
    body = new_pin(server, "5926")
    answers = [server.post(f"/v1/cards/{person.card_id}/pin-resets", "counter", body, key="pin-1") for _ in range(3)]

    assert [answer.status for answer in answers] == [201] * 3
    assert [answer.replayed for answer in answers] == [False, True, True]
    assert topics(server.dsn, person.card).count("card.pin-reset") == 1


def test_an_issue_sent_again_under_its_key_tells_the_same_card(server: Client) -> None:
    member_id = server.done("/v1/members", "counter", _profile())["member_id"]
    body = {"pin": PIN, "credit_limit": 500_000, "annual_rate_bps": 1780, "due_day": 5}
    first, again = [
        server.post(f"/v1/members/{member_id}/cards", "counter", body, key=f"issue-{member_id}") for _ in range(2)
    ]

    assert (first.status, again.status, again.replayed) == (201, 201, True)
    assert first.body == again.body


def _profile() -> dict[str, Any]:
    from ledgers import PROFILE

    return PROFILE


# A crowd ---------------------------------------------------------------------------------------------------------------


def test_a_crowd_at_the_door_does_not_keep_members_from_reading(new_database: NewDatabase, tmp_path: Any) -> None:
    """Hashing at its real cost: most of the crowd is told that the house is busy, and nothing of theirs is counted."""
    with new_database("crowd") as dsn, served(dsn, tmp_path, CARDLEDGER_TEST_HASH_COST="false") as server:
        person = with_web_id(server)
        token = logged_in(server, by_card(person.number))
        unlucky = with_card(server)
        crowd = [
            by_web("nobody.at.all") if number % 3 == 0 else by_card(f"8{number:015}") if number % 3 == 1
            else by_web(person.web_id, f"wrong password {number}")
            for number in range(120)
        ]  # fmt: skip
        reads: list[str] = []
        over = threading.Event()

        def read_on() -> None:
            while not over.is_set():
                reads.append(server.get(f"/v1/cards/{person.card_id}/balance", token).code)

        with ThreadPoolExecutor(33) as callers:
            reader = callers.submit(read_on)
            told = list(callers.map(lambda body: server.post("/v1/sessions", None, body).code, crowd))
            over.set()
            reader.result()

        counted = Counter(told)
        failures = topics(dsn, person.member).count("member.login-failed")
        assert set(counted) <= {"bad-credentials", "busy", "login-wait"}
        assert counted["busy"] > 0
        assert failures <= 5
        assert set(reads) == {"200"}
        assert logged_in(server, by_card(unlucky.number))


def test_of_guesses_at_the_real_cost_of_hashing_three_are_counted(new_database: NewDatabase, tmp_path: Any) -> None:
    with new_database("cost") as dsn, served(dsn, tmp_path, CARDLEDGER_TEST_HASH_COST="false") as server, attackers(2) as two:
        person = with_card(server)

        answers = two.send([(server.port, LOGIN, {}, by_card(person.number, f"8{n:03}")) for n in range(60)])

        assert Counter(status for status, _ in answers) == {401: 2, 403: 58}
        assert topics(dsn, person.card)[-4:] == ["card.login-failed"] * 3 + ["card.card-locked"]
