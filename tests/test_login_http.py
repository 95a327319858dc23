"""The login as strangers and members meet it: unknown numbers, other people's objects, requests sent again, a crowd."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from conftest import NewDatabase
from guessing import attackers
from ledgers import PROFILE, rows, topics
from people import (
    NEW_PASSWORD,
    PASSWORD,
    PIN,
    WRONG_PASSWORD,
    WRONG_PIN,
    by_card,
    by_web,
    logged_in,
    new_pin,
    registered,
    with_card,
    with_web_id,
)
from serving import Client, served
from wire import LOGIN, Told, keyed, request, send

EVENTS = "select count(*) from ledger_events"


@pytest.fixture(scope="module")
def server(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with new_database("http") as dsn, served(dsn, tmp_path_factory.mktemp("http")) as client:
        yield client


@pytest.fixture(scope="module")
def session(server: Client) -> str:
    return logged_in(server, by_card(with_card(server).number))


# Strangers ------------------------------------------------------------------------------------------------------------


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
        number: [
            server.post("/v1/sessions", "atm", by_card(number, WRONG_PIN)).body.get("tries_left") for _ in range(3)
        ]
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


# Sessions -------------------------------------------------------------------------------------------------------------


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


def test_only_a_fresh_session_of_the_card_sets_web_credentials_without_the_present_password(server: Client) -> None:
    person = with_card(server)
    token, path = logged_in(server, by_card(person.number)), f"/v1/members/{person.member_id}/web-credentials"
    wanted = {"web_id": f"fresh.{uuid4().hex[:8]}", "password": "kasumi-no-mori-27"}

    fresh = server.ask("PUT", path, token, wanted)
    later = server.now() + timedelta(minutes=5)
    server.ask("PUT", "/v1/sandbox/clock", "operator", {"now": later.isoformat()})
    stale = server.ask("PUT", path, token, wanted)
    proven = server.ask("PUT", path, token, {**wanted, "present_password": wanted["password"]})

    assert (fresh.status, proven.status) == (200, 200)
    assert (stale.code, stale.body["remedy"]["code"]) == ("channel-not-permitted", "prove-identity-again")


def test_a_session_of_the_web_is_no_session_of_an_atm(server: Client) -> None:
    person = with_card(server)
    cash = {"amount": 1000, "purpose": "cash"}
    path = f"/v1/cards/{person.card_id}/advances"

    elsewhere = server.post(path, logged_in(server, by_card(person.number)), cash)

    assert (elsewhere.code, elsewhere.body["remedy"]["code"]) == ("channel-not-permitted", "use-an-atm")
    assert server.post(path, logged_in(server, by_card(person.number), "atm"), cash).status == 201


# The role matrix, where it touches data -------------------------------------------------------------------------------

READERS = {"counter", "service", "call-centre", "credit", "auditor"}
STAFF = ("counter", "contract-machine", "atm", "app", "service", "call-centre", "credit", "auditor", "operator")


@pytest.mark.parametrize("role", STAFF)
def test_a_role_reads_and_does_what_its_row_says_and_nothing_else(server: Client, role: str) -> None:
    person = with_web_id(server)
    card, member = f"/v1/cards/{person.card_id}", f"/v1/members/{person.member_id}"
    before = rows(server.dsn, EVENTS)
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
    assert rows(server.dsn, EVENTS) == before

    acts = {
        "draw": (f"{card}/advances", {"amount": 1000, "purpose": "transfer"}, set()),
        "new PIN": (f"{card}/pin-resets", new_pin(server, "5926"), {"counter", "contract-machine"}),
        "fraud": (f"{card}/stops", {"reason": "fraud"}, {"credit"}),
        "suspend": (f"{card}/suspensions", {"reason": "own-wish"}, {"credit"}),
        "clock": ("/v1/sandbox/day-closes", {"through": date(2019, 12, 31).isoformat()}, {"operator"}),
    }
    for name, (path, body, permitted) in acts.items():
        before = rows(server.dsn, EVENTS)
        answer = server.post(path, role, body)
        assert (answer.status < 300) == (role in permitted), (name, answer.body)
        if role not in permitted:
            assert answer.code == refusal
            assert rows(server.dsn, EVENTS) == before


def test_another_members_objects_are_as_unknown_as_a_random_id(server: Client, session: str) -> None:
    other = with_card(server)
    unlike = set()
    for card_id in (other.card_id, str(uuid4())):
        for path in (
            f"/v1/cards/{card_id}/balance",
            f"/v1/cards/{card_id}/lockout",
            f"/v1/cards/{card_id}/transactions",
        ):
            told = send(server.port, request(f"GET {path}", b"", (("Authorization", f"Bearer {session}"),)))
            unlike |= told_apart([told])
        told = send(server.port, request(f"POST /v1/cards/{card_id}/stops", b'{"reason": "lost"}', keyed(session)))
        unlike |= told_apart([told])
    assert [status for status, *_ in unlike] == [404]


# A request that is sent again -----------------------------------------------------------------------------------------


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


def test_what_was_answered_is_answered_again_even_to_whom_no_password_may_be_tried_now(server: Client) -> None:
    person = with_web_id(server)
    new = {"web_id": f"x{person.web_id}", "password": NEW_PASSWORD, "present_password": PASSWORD}
    registered(server, person.member_id, by=logged_in(server, by_web(person.web_id)), Idempotency_Key="two", **new)
    token = logged_in(server, by_web(new["web_id"], NEW_PASSWORD))
    for _ in range(5):
        server.post("/v1/sessions", None, by_web(new["web_id"], WRONG_PASSWORD))

    again = registered(server, person.member_id, by=token, Idempotency_Key="two", **new)
    other = registered(server, person.member_id, by=token, Idempotency_Key="three", **new)

    assert (again.status, again.replayed) == (200, True)
    assert other.code == "login-wait"


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
    member_id = server.done("/v1/members", "counter", PROFILE)["member_id"]
    body = {"pin": PIN, "credit_limit": 500_000, "annual_rate_bps": 1780, "due_day": 5}
    first, again = [
        server.post(f"/v1/members/{member_id}/cards", "counter", body, key=f"issue-{member_id}") for _ in range(2)
    ]

    assert (first.status, again.status, again.replayed) == (201, 201, True)
    assert first.body == again.body


# A crowd --------------------------------------------------------------------------------------------------------------


def test_a_crowd_at_the_door_does_not_keep_members_from_reading(new_database: NewDatabase, tmp_path: Path) -> None:
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


def test_of_guesses_at_the_real_cost_of_hashing_three_are_counted(new_database: NewDatabase, tmp_path: Path) -> None:
    with (
        new_database("cost") as dsn,
        served(dsn, tmp_path, CARDLEDGER_TEST_HASH_COST="false") as server,
        attackers(2) as two,
    ):
        person = with_card(server)

        answers = two.send([(server.port, LOGIN, {}, by_card(person.number, f"8{n:03}")) for n in range(60)])

        assert Counter(status for status, _ in answers) == {401: 2, 403: 58}
        assert topics(dsn, person.card)[-4:] == ["card.login-failed"] * 3 + ["card.card-locked"]
