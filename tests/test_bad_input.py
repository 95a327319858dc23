"""The bad-input catalogue: what is no login and moves no money, row by row, as bytes on a socket of a real server.

What must stay true: each row stands around a card, a PIN and a session that are right, so that anything the server put
right by itself would let somebody in; and after each, no row of any table is more than before.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from conftest import NewDatabase
from ledgers import topics
from people import PASSWORD, PIN, Person, by_card, by_web, logged_in, with_web_id
from serving import Client, served
from wire import JSON, LOGIN, TYPED, parsed, received, refused, request, send, state

STRANGE_HEADERS = (
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-User-Id", "1"),
    ("X-Role", "operator"),
    ("X-HTTP-Method-Override", "DELETE"),
)


@pytest.fixture(scope="module")
def server(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with new_database("input") as dsn, served(dsn, tmp_path_factory.mktemp("input")) as client:
        yield client


@pytest.fixture(scope="module")
def person(server: Client) -> Person:
    return with_web_id(server)


@pytest.fixture(scope="module")
def session(server: Client, person: Person) -> str:
    return logged_in(server, by_card(person.number))


# The form of a login --------------------------------------------------------------------------------------------------

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


WEB_IDS = (
    "short",
    "x" * 33,
    "İstanbul",
    "ﬁnanzen",
    "раураl",
    "ｍｅｍｂｅｒ．１",
    "mem ber",
    "member\n",
    "member\u0000",
)


@pytest.mark.parametrize("web_id", WEB_IDS)
def test_a_web_id_is_plain_ascii(server: Client, web_id: str) -> None:
    body = json.dumps({"route": "web", "web_id": web_id, "password": PASSWORD}, ensure_ascii=False).encode()

    told = refused(server, request(LOGIN, body), web_id if len(web_id) > 5 else TYPED)

    assert told is not None
    assert told.status == 422


@pytest.mark.parametrize(
    "password", ["ｃorrect horse battery", "correct\thorse battery", "e\u0301" * 20, "x" * 129, "x" * 11]
)
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


# The form of a request ------------------------------------------------------------------------------------------------

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
    assert told is None or told.headers["content-type"] == "application/problem+json"


def test_what_the_server_cannot_read_is_a_problem_that_says_nothing_of_it(server: Client) -> None:
    told = send(server.port, b"FOO /v1/kanaria HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert told is not None
    assert (told.status, told.code) == (400, "request-refused")
    assert json.loads(told.body)["remedy"]["code"] == "correct-request"
    assert json.loads(told.body)["instance"] == f"/requests/{told.headers['x-request-id']}"
    assert told.headers["connection"] == "close"
    assert b"kanaria" not in told.body


HUNG_UP = (BrokenPipeError, ConnectionResetError)


def everything_from(server: Client, *pieces: bytes) -> bytes:
    """All that is answered to bytes that arrive in these pieces, until the server hangs up."""
    answered = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection, suppress(*HUNG_UP):
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05)
        while more := connection.recv(65536):
            answered += more
    return answered


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_behind_the_wish_for_another_protocol_nothing_is_read_as_a_request(server: Client, protocol: str) -> None:
    inside = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    wish = (("Upgrade", protocol), ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="), ("Sec-WebSocket-Version", "13"))
    raw = request(LOGIN, inside, (JSON, *wish)).replace(b"Connection: close", b"Connection: Upgrade")
    assert raw.endswith(inside)

    answered = everything_from(server, raw.removesuffix(inside), inside)

    assert answered.count(b"HTTP/1.1 ") == 1
    told = parsed(answered)
    assert told is not None
    assert told.code == "malformed-json"


def test_what_cannot_be_read_is_not_answered_in_the_place_of_the_request_before_it(
    server: Client, person: Person
) -> None:
    login = request(LOGIN, json.dumps(by_card(person.number)).encode()).replace(b"Connection: close\r\n", b"")

    assert b"request-refused" not in everything_from(server, login + b"\x16\x03\x01\r\n\r\n")


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
