"""The mails: which fact sends one and to whom, the mailed password reset, and the way out over SMTP."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import NewDatabase
from ledgers import PROFILE, enrolled, opened, order, rows, until
from mail_server import mail_server
from people import (
    NEW_PASSWORD,
    NEW_PIN,
    WRONG_PASSWORD,
    WRONG_PIN,
    Person,
    by_card,
    by_web,
    logged_in,
    new_pin,
    registered,
    reset_token,
    with_card,
    with_web_id,
)
from serving import Client, answering, free_port, served

from ledger.application import Ledger
from ledger.application.outbox import smtp
from ledger.store import schema
from ledger.store.keys import Keyring

UNSENT = "select count(*) from outbox where sent_at is null"
BIRTH_DATE = PROFILE["birth_date"]


@pytest.fixture(scope="module")
def server(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with new_database("mail") as dsn, served(dsn, tmp_path_factory.mktemp("mail")) as client:
        yield client


def mails(server: Client, person: Person) -> list[tuple[str, str]]:
    """Kind and address of the person's mails, the oldest first."""
    found = server.read("/v1/sandbox/outbox", "operator")["data"]
    return [(mail["kind"], mail["to"]) for mail in reversed(found) if mail["member_id"] == person.member_id]


def address(server: Client, person: Person) -> str:
    told: str = server.read(f"/v1/members/{person.member_id}", "counter")["email"]
    return told


# Notices --------------------------------------------------------------------------------------------------------------


def fail_at_the_pin(server: Client, person: Person) -> None:
    for _ in range(3):
        server.post("/v1/sessions", None, by_card(person.number, WRONG_PIN))


def fail_at_the_password(server: Client, person: Person) -> None:
    for number in range(10):
        if number >= 4:  # each wait of the last ones runs out first
            server.ask(
                "PUT", "/v1/sandbox/clock", "operator", {"now": (server.now() + timedelta(minutes=9)).isoformat()}
            )
        server.post("/v1/sessions", None, by_web(person.web_id, WRONG_PASSWORD))


def reset_by_mail(server: Client, person: Person) -> None:
    assert server.post(f"/v1/members/{person.member_id}/password-reset-mails", "counter").status == 202
    assert redeemed(server, reset_token(server, person)) == "204"


def redeemed(server: Client, token: str, password: str = NEW_PASSWORD) -> str:
    return server.post("/v1/password-resets/completions", None, {"token": token, "new_password": password}).code


CHANGES: dict[str, tuple[Callable[[Client, Person], object], list[str]]] = {
    "a lock": (fail_at_the_pin, ["card-locked"]),
    "a web lock": (fail_at_the_password, ["web-login-locked"]),
    "a new PIN": (
        lambda server, who: server.done(f"/v1/cards/{who.card_id}/pin-resets", "counter", new_pin(server, NEW_PIN)),
        ["pin-reset"],
    ),
    "another Web-ID": (
        lambda server, who: registered(server, who.member_id, f"x{who.web_id}"),
        ["web-id-registered"],
    ),
    "a new password": (reset_by_mail, ["password-reset", "password-changed"]),
    "a stop": (
        lambda server, who: server.done(f"/v1/cards/{who.card_id}/stops", "credit", {"reason": "fraud"}),
        [],
    ),
    "a suspension": (
        lambda server, who: server.done(f"/v1/cards/{who.card_id}/suspensions", "credit", {"reason": "late"}),
        [],
    ),
    "another workplace": (
        lambda server, who: server.ask("PATCH", f"/v1/members/{who.member_id}/profile", "counter", {"workplace": "別"}),
        [],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_member_is_told_of_a_lock_and_of_every_new_secret_and_of_no_stop(server: Client, change: str) -> None:
    person = with_web_id(server)
    act, kinds = CHANGES[change]

    act(server, person)

    assert mails(server, person)[1:] == [(kind, address(server, person)) for kind in kinds]


def test_the_old_address_and_the_new_one_are_told_that_it_changed(server: Client) -> None:
    person = with_web_id(server)
    before = address(server, person)
    changed = server.ask("PATCH", f"/v1/members/{person.member_id}/profile", "counter", {"email": "new@example.com"})

    assert changed.status == 200
    assert set(mails(server, person)[1:]) == {("email-changed", before), ("email-changed", "new@example.com")}


def test_of_addresses_that_change_at_one_time_none_is_left_untold(database_url: str) -> None:
    async def story() -> None:
        async with opened(database_url) as ledger:
            member_id = await enrolled(ledger, email="first@example.com")
            new = [f"address{number}@example.com" for number in range(4)]
            await asyncio.gather(*(ledger.change_profile(order(), member_id, {"email": each}) for each in new))
            told = Counter(mail["to"] for mail in await ledger.outbox.newest())
            personal = await ledger.directory.personal(member_id)
            assert personal is not None
            last = personal.facts["email"]
            # Each address hears of its coming and, but for the last, of its going.
            assert told == {"first@example.com": 1, **{each: 1 if each == last else 2 for each in new}}

    asyncio.run(story())


# The mailed password reset --------------------------------------------------------------------------------------------


def test_who_asks_for_a_mail_learns_nothing(server: Client) -> None:
    person = with_web_id(server)
    email = address(server, person)
    answers = [
        server.post("/v1/password-resets", None, {"email": email.upper() if number == 1 else email, "birth_date": day})
        for number, day in enumerate((BIRTH_DATE, BIRTH_DATE, "1980-04-02"))
    ]
    answers += [
        server.post("/v1/password-resets", None, {"email": "nobody@example.com", "birth_date": BIRTH_DATE}),
        server.post(
            "/v1/password-resets", None, {"email": address(server, with_card(server)), "birth_date": BIRTH_DATE}
        ),
    ]  # the last one has no Web-ID

    assert {(answer.status, str(answer.body), *sorted(answer.headers)) for answer in answers} == {
        (202, str(answers[0].body), *sorted(answers[0].headers))
    }
    assert [kind for kind, _ in mails(server, person)[1:]] == ["password-reset"] * 2


def test_a_token_works_once_and_an_older_one_not_at_all(server: Client) -> None:
    person = with_web_id(server)
    tokens = []
    for _ in range(2):
        server.post("/v1/password-resets", None, {"email": address(server, person), "birth_date": BIRTH_DATE})
        tokens.append(reset_token(server, person))
    older, newest = tokens

    codes = [redeemed(server, each) for each in (older, newest[:-1], newest + "A", newest.swapcase(), newest, newest)]

    assert codes == [*["reset-token-spent"] * 4, "204", "reset-token-spent"]
    assert logged_in(server, by_web(person.web_id, NEW_PASSWORD))


def test_a_password_that_is_refused_leaves_the_token(server: Client) -> None:
    person = with_web_id(server)
    server.post(f"/v1/members/{person.member_id}/password-reset-mails", "call-centre")
    token = reset_token(server, person)

    assert redeemed(server, token, f"{person.web_id}{person.web_id}") in ("password-refused", "input-format")
    assert redeemed(server, token) == "204"


@pytest.mark.parametrize(("minutes", "code"), [(9.9, "204"), (10.1, "reset-token-spent")])
def test_a_token_lives_ten_minutes_of_the_business_clock(server: Client, minutes: float, code: str) -> None:
    person = with_web_id(server)
    server.post(f"/v1/members/{person.member_id}/password-reset-mails", "counter")
    token = reset_token(server, person)
    later = server.now() + timedelta(minutes=minutes)
    assert server.ask("PUT", "/v1/sandbox/clock", "operator", {"now": later.isoformat()}).status == 200

    assert redeemed(server, token) == code


def test_three_mails_go_out_in_an_hour_whoever_asks(server: Client) -> None:
    person = with_web_id(server)
    by_mail = {"email": address(server, person), "birth_date": BIRTH_DATE}
    answers = [server.post("/v1/password-resets", None, by_mail).status for _ in range(3)]
    answers += [
        server.post(f"/v1/members/{person.member_id}/password-reset-mails", "call-centre").status for _ in range(2)
    ]
    assert answers == [202] * 5
    assert len(mails(server, person)[1:]) == 3
    assert redeemed(server, reset_token(server, person)) == "204"

    later = server.now() + timedelta(minutes=61)
    assert server.ask("PUT", "/v1/sandbox/clock", "operator", {"now": later.isoformat()}).status == 200
    server.post("/v1/password-resets", None, by_mail)

    assert [kind for kind, _ in mails(server, person)].count("password-reset") == 4


def test_the_call_centre_hears_no_address_and_no_token(server: Client) -> None:
    person = with_web_id(server)

    told = server.post(f"/v1/members/{person.member_id}/password-reset-mails", "call-centre")

    assert (told.status, told.body) == (202, {})
    assert mails(server, person)[1:] == [("password-reset", address(server, person))]


def test_a_token_in_a_mailbox_that_was_given_up_opens_nothing(server: Client) -> None:
    person = with_web_id(server)
    server.post(f"/v1/members/{person.member_id}/password-reset-mails", "counter")
    token = reset_token(server, person)

    server.ask("PATCH", f"/v1/members/{person.member_id}/profile", "counter", {"email": "other@example.com"})

    assert redeemed(server, token) == "reset-token-spent"


def test_a_password_reset_opens_no_card(server: Client) -> None:
    person = with_web_id(server)
    fail_at_the_pin(server, person)

    reset_by_mail(server, person)

    assert server.post("/v1/sessions", None, by_web(person.web_id, NEW_PASSWORD)).code == "card-locked"
    assert server.post("/v1/sessions", None, by_card(person.number)).code == "card-locked"


# The way out ----------------------------------------------------------------------------------------------------------


async def with_mails(ledger: Ledger, *addresses: str) -> None:
    """A mail to each address, written in this order."""
    for number, each in enumerate(addresses):
        member_id = await enrolled(ledger, email=each)
        await ledger.set_web_credentials(order(), member_id, f"member.{number}", "correct horse battery", None)


def transport(port: int) -> Callable[[dict[str, str]], None]:
    return smtp("127.0.0.1", port, "ledger@example.com", starttls=False, user=None, password=None)


def test_a_mail_waits_for_a_server_and_is_dropped_when_it_was_taken(database_url: str) -> None:
    port = free_port()

    async def story() -> None:
        async with opened(database_url) as ledger:
            await with_mails(ledger, "a@example.com")
            sending = asyncio.create_task(ledger.outbox.send_on(transport(port)))
            await asyncio.sleep(1.2)  # it was refused at least once
            assert rows(database_url, UNSENT) == [1]
            with mail_server(port) as box:
                await until(lambda: rows(database_url, UNSENT) == [0])
                ledger.outbox.stop()
                await sending
                assert len(box.to("a@example.com")) == 1
                assert "Web-ID" in box.to("a@example.com")[0]

    asyncio.run(story())
    assert rows(database_url, "select count(*) from outbox where box is not null") == [0]


def test_a_mail_that_is_refused_holds_up_no_other_and_repeats_none(database_url: str) -> None:
    async def story() -> None:
        async with opened(database_url) as ledger:
            await with_mails(ledger, "a@example.com", "gone@example.com", "c@example.com")
            with mail_server() as box:
                box.refuses.add("gone@example.com")
                for _ in range(4):
                    await ledger.outbox.send_some(transport(box.port))
                assert [len(box.to(f"{name}@example.com")) for name in ("a", "gone", "c")] == [1, 0, 1]
                assert rows(database_url, UNSENT) == [1]
                box.refuses.clear()
                async with asyncio.timeout(20):
                    while not await ledger.outbox.send_some(transport(box.port)):
                        await asyncio.sleep(0.1)
                assert [len(box.to(f"{name}@example.com")) for name in ("a", "gone", "c")] == [1, 1, 1]

    asyncio.run(story())


def test_two_processes_send_each_mail_once_and_wait_in_no_transaction(database_url: str) -> None:
    waiting = (
        "select count(*) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'"
    )
    arrived: list[str] = []
    open_transactions: list[int] = []

    def slow(mail: dict[str, str]) -> None:
        arrived.append(mail["to"])
        open_transactions.extend(rows(database_url, waiting))
        time.sleep(0.05)

    async def story() -> None:
        async with opened(database_url) as one, opened(database_url) as other:
            await with_mails(one, *(f"m{number}@example.com" for number in range(10)))
            await asyncio.gather(*(ledger.outbox.send_some(slow) for ledger in (one, other, one, other)))
            await other.outbox.send_some(slow)

    asyncio.run(story())
    assert sorted(arrived) == sorted(f"m{number}@example.com" for number in range(10))
    assert set(open_transactions) == {0}


def test_a_mail_whose_fate_is_unknown_goes_out_again(database_url: str) -> None:
    arrived: list[str] = []

    def cut_off_once(mail: dict[str, str]) -> None:
        arrived.append(mail["to"])
        if len(arrived) == 1:
            raise ConnectionResetError

    async def story() -> None:
        async with opened(database_url) as ledger:
            await with_mails(ledger, "a@example.com")
            with pytest.raises(ConnectionResetError):
                await ledger.outbox.send_some(cut_off_once)
            assert rows(database_url, UNSENT) == [1]
            assert await ledger.outbox.send_some(cut_off_once) == 1

    asyncio.run(story())
    assert arrived == ["a@example.com"] * 2


def test_a_real_server_sends_what_it_wrote(empty_database_url: str, tmp_path: Path) -> None:
    schema.migrate(empty_database_url, sandbox=False)
    Keyring.create(tmp_path / "keys.json")
    with mail_server() as box:
        mail_settings = {
            "CARDLEDGER_SMTP_HOST": "127.0.0.1",
            "CARDLEDGER_SMTP_PORT": str(box.port),
            "CARDLEDGER_SMTP_STARTTLS": "false",
            "CARDLEDGER_TEST_HASH_COST": "false",
        }
        with answering(dsn=empty_database_url, keys=tmp_path / "keys.json", **mail_settings) as server:
            member_id = server.done("/v1/members", "counter", {**PROFILE, "email": "real@example.com"})["member_id"]
            assert registered(server, member_id, "real.member").status == 200
            server.done("/v1/password-resets", None, {"email": "real@example.com", "birth_date": BIRTH_DATE})
            asyncio.run(until(lambda: len(box.to("real@example.com")) == 2))
            notice, reset = box.to("real@example.com")
            assert "real.member" not in notice
            assert "Web-ID: real.member" in reset
            token = reset.strip().splitlines()[-1]
            assert redeemed(server, token) == "204"
            assert logged_in(server, by_web("real.member", NEW_PASSWORD))
    assert token not in str(rows(empty_database_url, "select * from outbox"))
    assert token not in (tmp_path / "output.log").read_text()
