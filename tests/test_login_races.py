"""Logins that come at one time, from several machines to several server processes on one database."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from conftest import NewDatabase
from guessing import Answered, Asked, Attackers, attackers
from ledgers import assert_dense, rows, topics
from people import (
    NEW_PASSWORD,
    NEW_PIN,
    PASSWORD,
    PIN,
    Person,
    by_card,
    by_web,
    enrolled,
    logged_in,
    new_pin,
    registered,
    reset_token,
    with_card,
    with_web_id,
)
from serving import Client, answering, served

GUESSES = 240
ROUNDS = 20
LONG_ROUNDS = 1000

chance = random.Random(20261124)  # noqa: S311


@contextmanager
def two_servers(dsn: str, folder: Path) -> Iterator[tuple[Client, Client]]:
    """Three processes on one database: a server of one, and one of two."""
    with (
        served(dsn, folder) as one,
        answering("--sandbox", "--processes", "2", dsn=dsn, keys=folder / "keys.json") as other,
    ):
        yield one, other


@pytest.fixture(scope="module")
def servers(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    with new_database("races") as dsn, two_servers(dsn, tmp_path_factory.mktemp("races")) as both:
        yield both


@pytest.fixture(scope="module")
def machines() -> Iterator[Attackers]:
    with attackers(4) as four:
        yield four


def wrong_pins(count: int) -> list[str]:
    drawn = (f"{chance.randrange(10_000):04}" for _ in range(count * 2))
    return [pin for pin in drawn if pin not in (PIN, NEW_PIN)][:count]


def guesses(servers: tuple[Client, Client], person: Person, pins: list[str]) -> list[Asked]:
    """A login for each PIN, by turns to the one server and to the other."""
    return [
        (servers[number // 4 % 2].port, "POST /v1/sessions", {}, by_card(person.number, pin))
        for number, pin in enumerate(pins)
    ]


def codes(answers: list[Answered]) -> Counter[str]:
    return Counter(str(body.get("code", status)) for status, body in answers)


def guess_until_locked(servers: tuple[Client, Client], machines: Attackers) -> None:
    person = with_card(servers[0])

    answers = machines.send(guesses(servers, person, wrong_pins(GUESSES)))

    assert Counter(status for status, _ in answers) == {401: 2, 403: GUESSES - 2}
    assert codes(answers) == {"bad-credentials": 2, "card-locked": GUESSES - 2}
    found = topics(servers[0].dsn, person.card)
    assert found[-4:] == ["card.login-failed"] * 3 + ["card.card-locked"]
    assert Counter(found)["card.login-failed"] == 3
    assert Counter(found)["card.card-locked"] == 1


@pytest.mark.parametrize("number", range(ROUNDS))
def test_of_240_guesses_at_one_time_three_are_counted_and_the_third_locks(
    servers: tuple[Client, Client], machines: Attackers, number: int
) -> None:
    guess_until_locked(servers, machines)


@pytest.mark.campaign
def test_however_often_240_guesses_come_three_are_counted(servers: tuple[Client, Client], machines: Attackers) -> None:
    for _ in range(LONG_ROUNDS):
        guess_until_locked(servers, machines)
    assert_dense(servers[0].dsn)


@pytest.mark.parametrize("place", [0, 3, 17, 120, 239])
def test_the_right_pin_among_the_guesses_opens_one_session_at_most_and_none_after_the_lock(
    servers: tuple[Client, Client], machines: Attackers, place: int
) -> None:
    person = with_card(servers[0])
    pins = wrong_pins(GUESSES - 1)
    pins.insert(place, PIN)

    answers = machines.send(guesses(servers, person, pins))

    opened = [body["token"] for status, body in answers if status == 201]
    found = topics(servers[0].dsn, person.card)
    assert len(opened) <= 1
    assert found.count("card.login-succeeded") == len(opened)
    assert found.count("card.card-locked") == 1
    assert found[-1] == "card.card-locked"
    assert found[-4:-1] == ["card.login-failed"] * 3
    assert found.count("card.login-failed") <= 5
    assert rows(servers[0].dsn, "select count(*) from sessions where card_id = %s", person.card) == [len(opened)]
    for token in opened:  # the lock came after it, and ended it in its own commit
        assert [client.get("/v1/sessions", token).code for client in servers] == ["session-ended"] * 2


def test_right_pins_at_one_time_all_open_a_session(servers: tuple[Client, Client], machines: Attackers) -> None:
    person = with_card(servers[0])

    answers = machines.send(guesses(servers, person, [PIN] * 20))

    assert codes(answers) == {"201": 20}
    assert len({body["token"] for _, body in answers}) == 20


@pytest.mark.parametrize("number", range(4))
def test_an_old_pin_that_races_a_new_one_never_lets_anybody_in_afterwards(
    servers: tuple[Client, Client], machines: Attackers, number: int
) -> None:
    person = with_card(servers[0])
    reset = (
        servers[number % 2].port,
        f"POST /v1/cards/{person.card_id}/pin-resets",
        {"Authorization": f"Bearer {servers[0].token('counter')}", "Idempotency-Key": str(uuid4())},
        new_pin(servers[0], NEW_PIN),
    )
    asked = guesses(servers, person, [PIN] * 39)
    asked.insert(number * 8, reset)

    answers = machines.send(asked)

    found = topics(servers[0].dsn, person.card)
    changed = found.index("card.pin-reset")
    assert answers[number * 8][0] == 201
    assert "card.login-succeeded" not in found[changed:]
    assert found[changed:].count("card.login-failed") <= 3  # the old PIN is a wrong one now
    for token in [body["token"] for status, body in answers if "token" in body]:
        assert servers[0].get("/v1/sessions", token).code == "session-ended"


def test_new_pins_set_at_one_time_are_set_one_after_the_other(
    servers: tuple[Client, Client], machines: Attackers
) -> None:
    person = with_card(servers[0])
    pins = ["5926", "6041", "7318", "8205", "9263", "4817"]
    asked = [
        (
            servers[number % 2].port,
            f"POST /v1/cards/{person.card_id}/pin-resets",
            {"Authorization": f"Bearer {servers[0].token('counter')}", "Idempotency-Key": str(uuid4())},
            new_pin(servers[0], pin),
        )
        for number, pin in enumerate(pins)
    ]

    answers = machines.send(asked)

    assert codes(answers) == {"201": len(pins)}
    assert topics(servers[0].dsn, person.card).count("card.pin-reset") == len(pins)
    assert rows(servers[0].dsn, "select generation from credentials where owner = %s", person.card) == [len(pins) + 1]


def test_a_reset_token_redeemed_fifty_times_at_one_time_works_once(
    servers: tuple[Client, Client], machines: Attackers
) -> None:
    person = with_web_id(servers[0])
    assert servers[0].post(f"/v1/members/{person.member_id}/password-reset-mails", "call-centre").status == 202
    token = reset_token(servers[0], person)
    passwords = [f"{NEW_PASSWORD} {number}" for number in range(50)]
    asked = [
        (servers[number % 2].port, "POST /v1/password-resets/completions", {}, {"token": token, "new_password": new})
        for number, new in enumerate(passwords)
    ]

    answers = machines.send(asked)

    assert codes(answers) == {"204": 1, "reset-token-spent": 49}
    assert topics(servers[0].dsn, person.member).count("member.password-reset") == 1
    won = next(new for new, (status, _) in zip(passwords, answers, strict=True) if status == 204)
    assert logged_in(servers[1], by_web(person.web_id, won))
    assert servers[0].post("/v1/sessions", None, by_web(person.web_id, PASSWORD)).code == "bad-credentials"


def test_a_web_id_that_two_members_want_at_one_time_goes_to_one(
    servers: tuple[Client, Client], machines: Attackers
) -> None:
    wanting = [with_card(servers[0]) for _ in range(6)]
    asked = [
        (
            servers[number % 2].port,
            f"PUT /v1/members/{person.member_id}/web-credentials",
            {"Authorization": f"Bearer {servers[0].token('counter')}"},
            {"web_id": "wanted.by.all", "password": PASSWORD},
        )
        for number, person in enumerate(wanting)
    ]

    answers = machines.send(asked)

    assert codes(answers) == {"200": 1, "web-id-taken": 5}


def test_wrong_passwords_at_one_time_are_counted_up_to_the_wait(
    servers: tuple[Client, Client], machines: Attackers
) -> None:
    person = with_web_id(servers[0])
    asked = [
        (servers[number % 2].port, "POST /v1/sessions", {}, by_web(person.web_id, f"wrong password {number:03}"))
        for number in range(60)
    ]

    answers = machines.send(asked)

    assert codes(answers) == {"bad-credentials": 5, "login-wait": 55}
    assert topics(servers[0].dsn, person.member).count("member.login-failed") == 5


def reset_password(client: Client, person: Person) -> None:
    assert client.post(f"/v1/members/{person.member_id}/password-reset-mails", "counter").status == 202
    body = {"token": reset_token(client, person), "new_password": NEW_PASSWORD}
    assert client.post("/v1/password-resets/completions", None, body).status == 204


ENDINGS = {
    "a lock": lambda one, person: [one.post("/v1/sessions", None, by_card(person.number, "8261")) for _ in range(3)],
    "a stop": lambda one, person: one.done(f"/v1/cards/{person.card_id}/stops", "credit", {"reason": "fraud"}),
    "a new PIN": lambda one, person: one.done(
        f"/v1/cards/{person.card_id}/pin-resets", "counter", new_pin(one, NEW_PIN)
    ),
    "a new password": reset_password,
    "another Web-ID": lambda one, person: registered(one, person.member_id, f"new.{person.web_id}"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_ends_a_session_ends_it_in_every_process_at_once(servers: tuple[Client, Client], ending: str) -> None:
    one, other = servers
    person = with_web_id(one)
    tokens = [logged_in(other, by_card(person.number)), logged_in(other, by_web(person.web_id))]
    drawing = f"/v1/cards/{person.card_id}/advances"
    for token in tokens:
        assert other.post(drawing, token, {"amount": 1000, "purpose": "transfer"}).status == 201

    ENDINGS[ending](one, person)

    for token in tokens:
        assert other.post(drawing, token, {"amount": 1000, "purpose": "transfer"}).code == "session-ended"
        assert other.get(f"/v1/cards/{person.card_id}/balance", token).code == "session-ended"
        assert other.get("/v1/sessions", token).code == "session-ended"


def test_money_drawn_while_the_card_is_being_stopped_is_drawn_before_the_stop(
    servers: tuple[Client, Client], machines: Attackers
) -> None:
    one, other = servers
    person = with_card(one)
    token = logged_in(one, by_card(person.number))
    asked = [
        (
            servers[number % 2].port,
            f"POST /v1/cards/{person.card_id}/advances",
            {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid4())},
            {"amount": 1000, "purpose": "transfer"},
        )
        for number in range(60)
    ]
    stop = (
        other.port,
        f"POST /v1/cards/{person.card_id}/stops",
        {"Authorization": f"Bearer {one.token('credit')}", "Idempotency-Key": str(uuid4())},
        {"reason": "fraud"},
    )
    asked.insert(30, stop)

    answers = machines.send(asked)

    found = topics(one.dsn, person.card)
    assert "card.advance-reserved" not in found[found.index("card.card-stopped") :]
    assert codes(answers)["201"] == found.count("card.advance-reserved") + 1
    assert set(codes(answers)) <= {"201", "session-ended", "card-stopped"}


def test_a_session_from_before_a_card_was_issued_does_not_act_on_it(servers: tuple[Client, Client]) -> None:
    one, other = servers
    without = with_web_id(one, Person(enrolled(one), card_id="", number=""))
    token = logged_in(other, by_web(without.web_id))
    assert other.get("/v1/sessions", token).status == 200

    card = with_card(one, without.member_id)

    for path in ("/v1/sessions", f"/v1/cards/{card.card_id}/balance", f"/v1/members/{card.member_id}"):
        assert other.get(path, token).code == "session-ended"
