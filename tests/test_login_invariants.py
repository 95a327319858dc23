"""What holds of logins whatever comes between them; the table in docs/security.md names these tests by invariant.

What must stay true: each runs on the real store, where two ledgers on one database stand for two processes. The only
thing that is not the program's own is `Watched`, which counts the hashes and lets something happen after one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from ledgers import (
    ATM,
    COUNTER,
    PASSWORD,
    PIN,
    PROFILE,
    WRONG_PIN,
    Holder,
    caller_of,
    enrolled,
    holder,
    order,
    rows,
    session,
    told,
    topics,
    with_ledgers,
)
from test_logins import move, new_pins, reset_pin, try_password, try_pin, with_web_id

from ledger.aggregates.access import Access
from ledger.aggregates.card import Card
from ledger.aggregates.member import Member
from ledger.aggregates.web_login import WebLogin
from ledger.application import Ledger
from ledger.instruction import ANONYMOUS, Caller
from ledger.store.hashing import HashRoom

T = TypeVar("T")
WRONG_PASSWORD = "wrong horse battery"
CREDIT = Caller(subject="desk", role="credit", channel="credit")

chance = random.Random(4)  # noqa: S311


class Watched(HashRoom):
    """The room of a ledger, which also counts its hashes and lets one thing happen right after the next of them."""

    hashes = 0
    meanwhile: Callable[[], Awaitable[object]] | None = None

    @classmethod
    def of(cls, ledger: Ledger) -> Watched:
        ledger.room.close()
        ledger.room = room = cls(ledger.room.vault)
        room.calibrate()
        return room

    async def run(self, work: Callable[[], T]) -> T:
        def counted() -> T:
            self.hashes += 1
            return work()

        result = await super().run(counted)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return result


def access_of(ledger: Ledger, card: Holder) -> Access:
    folded: Card = ledger.repository.get(card.card_id)
    return folded.access


def web_login_of(ledger: Ledger, card: Holder) -> WebLogin:
    folded: Member = ledger.repository.get(card.member_id)
    return folded.web


async def lock(ledger: Ledger, card: Holder) -> None:
    while await try_pin(ledger, card, WRONG_PIN) != "card-locked":
        pass


async def stop(ledger: Ledger, card: Holder) -> UUID:
    return UUID((await ledger.stop(order(CREDIT), card.card_id, "fraud")).body["stop_id"])


async def lift(ledger: Ledger, card: Holder, stop_id: UUID) -> None:
    other = Caller(subject="another desk", role="credit", channel="credit")
    await ledger.request_lifting(order(CREDIT), card.card_id, stop_id, "checked")
    await ledger.approve_lifting(order(other), card.card_id, stop_id)


async def suspend(ledger: Ledger, card: Holder) -> None:
    await ledger.suspend(order(CREDIT), card.card_id, "own-wish")


# One attempt, one fact ------------------------------------------------------------------------------------------------


def test_every_verdict_that_is_told_has_a_fact_of_its_own(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> tuple[Holder, list[str]]:
        card = await holder(one)
        answers = []
        for _ in range(6):  # sometimes a new PIN, so that there is more than one lock
            pins = [chance.choice([PIN, WRONG_PIN]) for _ in range(8)]
            asked = zip(itertools.cycle((one, other)), pins, strict=False)
            answers += await asyncio.gather(*(try_pin(each, card, pin) for each, pin in asked))
            if access_of(one, card).locked:
                assert await reset_pin(one, card, new_pins(card)[0]) == "ok"
                assert await reset_pin(other, card, PIN) == "ok"
        return card, answers

    card, answers = with_ledgers(database_url, story, processes=2)
    attempts = "select state from ledger_events where originator_id = %s and topic like 'card.login-%%'"
    ids = [json.loads(bytes(state))["data"]["attempt_id"] for state in rows(database_url, attempts, card.card_id)]
    recorded = Counter(topics(database_url, card.card_id))
    assert len(ids) == len(set(ids))
    assert answers.count("ok") == recorded["card.login-succeeded"]
    # The failure that locks is told as the lock, as is everything behind it.
    assert answers.count("bad-credentials") == recorded["card.login-failed"] - recorded["card.card-locked"]
    assert recorded["card.card-locked"] > 0


MEANWHILE: dict[str, tuple[Callable[[Ledger, Holder], Awaitable[object]], str, dict[str, str], dict[str, int]]] = {
    "a lock": (lock, "card.card-locked", {PIN: "card-locked", WRONG_PIN: "card-locked"}, {PIN: 0, WRONG_PIN: 0}),
    "a stop": (stop, "card.card-stopped", {PIN: "card-stopped", WRONG_PIN: "bad-credentials"}, {PIN: 0, WRONG_PIN: 1}),
    "a new PIN": (
        reset_pin, "card.pin-reset", {PIN: "bad-credentials", WRONG_PIN: "bad-credentials"}, {PIN: 1, WRONG_PIN: 1}
    ),
}  # fmt: skip
"""What comes while a secret is tested, its fact, how the attempt is answered, and the failures counted for it."""


@pytest.mark.parametrize("typed", [PIN, WRONG_PIN], ids=["right", "wrong"])
@pytest.mark.parametrize("event", MEANWHILE)
def test_what_came_while_the_pin_was_tested_decides(database_url: str, event: str, typed: str) -> None:
    happens, topic, answers, counted = MEANWHILE[event]

    async def story(one: Ledger, other: Ledger) -> None:
        card = await holder(one)
        Watched.of(one).meanwhile = lambda: happens(other, card)

        assert await try_pin(one, card, typed) == answers[typed]

        recorded = topics(database_url, card.card_id)
        assert recorded[recorded.index(topic) :].count("card.login-failed") == counted[typed]
        assert "card.login-succeeded" not in recorded
        assert rows(database_url, "select count(*) from sessions") == [0]

    with_ledgers(database_url, story, processes=2)


# What is not tested ---------------------------------------------------------------------------------------------------


def test_on_a_locked_card_no_pin_is_tested_and_nothing_is_recorded(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        await lock(ledger, card)
        room, before = Watched.of(ledger), topics(database_url, card.card_id)
        assert {await try_pin(ledger, card, pin) for pin in (PIN, WRONG_PIN, "0000")} == {"card-locked"}
        assert room.hashes == 0
        assert topics(database_url, card.card_id) == before

    with_ledgers(database_url, story)


def test_who_is_told_to_wait_or_that_there_is_no_room_has_no_secret_tested_and_leaves_nothing(
    database_url: str,
) -> None:
    async def story(ledger: Ledger) -> None:
        card = await with_web_id(ledger)
        for _ in range(5):
            await try_password(ledger, WRONG_PASSWORD)
        room = Watched.of(ledger)
        before = rows(database_url, "select count(*) from ledger_events")
        waiting = [await try_password(ledger, password) for password in (PASSWORD, WRONG_PASSWORD)]
        room.seconds_per_hash, room._inside = 10, 1  # a machine that cannot keep up
        full = [await told(ledger.log_in_by_card(order(ATM), number, PIN)) for number in (card.number, "9" * 16)]
        assert (waiting, full) == (["login-wait"] * 2, ["busy"] * 2)
        assert room.hashes == 0
        assert rows(database_url, "select count(*) from ledger_events") == before
        assert rows(database_url, "select count(*) from unknown_numbers") == [0]

    with_ledgers(database_url, story)


# Counters that are each for one secret --------------------------------------------------------------------------------


def test_three_wrong_pins_lock_the_card_in_every_order_of_the_surfaces(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        for surfaces in itertools.product(("web", "app", "atm"), repeat=3):
            card = await holder(ledger)
            callers = [Caller(subject="machine", role=each, channel=each) for each in surfaces]
            answers = [await told(ledger.log_in_by_card(order(each), card.number, WRONG_PIN)) for each in callers]
            assert answers == ["bad-credentials", "bad-credentials", "card-locked"], surfaces

    with_ledgers(database_url, story)


@pytest.mark.parametrize("days", [1, 31, 3_653])
def test_three_wrong_pins_in_a_row_are_in_a_row_however_long_it_takes(database_url: str, days: int) -> None:
    async def story(ledger: Ledger) -> list[str]:
        card, answers = await holder(ledger), []
        for _ in range(3):
            answers.append(await try_pin(ledger, card, WRONG_PIN))
            await move(ledger, days=days)
        return [*answers, await try_pin(ledger, card, PIN)]

    assert with_ledgers(database_url, story) == ["bad-credentials", "bad-credentials", "card-locked", "card-locked"]


def test_wrong_right_and_new_passwords_leave_every_pin_counter_as_it_is(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await with_web_id(ledger)
        assert [await try_pin(ledger, card, pin) for pin in (WRONG_PIN, PIN, WRONG_PIN, WRONG_PIN)][1] == "ok"
        before = access_of(ledger, card)
        assert (before.consecutive, len(before.recent), before.in_generation) == (2, 3, 3)

        answers = [await try_password(ledger, each) for each in (WRONG_PASSWORD, PASSWORD, *[WRONG_PASSWORD] * 4)]
        assert answers == ["bad-credentials", "ok", *["bad-credentials"] * 4]
        assert access_of(ledger, card) == before
        await ledger.send_password_reset_mail(order(), card.member_id)
        mail = next(each for each in await ledger.sandbox.outbox() if each["kind"] == "password-reset")
        await ledger.complete_password_reset(order(ANONYMOUS), mail["token"], "another horse battery")
        assert await try_password(ledger, "another horse battery") == "ok"
        assert access_of(ledger, card) == before

        assert await try_pin(ledger, card, WRONG_PIN) == "card-locked"  # the third in a row all the same

    with_ledgers(database_url, story)


def test_wrong_right_and_new_pins_leave_every_password_counter_as_it_is(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await with_web_id(ledger)
        for _ in range(4):
            await try_password(ledger, WRONG_PASSWORD)
        before = web_login_of(ledger, card)
        assert before.failures == 4

        answers = [await try_pin(ledger, card, pin) for pin in (WRONG_PIN, PIN, *[WRONG_PIN] * 3)]
        assert answers == ["bad-credentials", "ok", "bad-credentials", "bad-credentials", "card-locked"]
        assert web_login_of(ledger, card) == before
        assert await reset_pin(ledger, card) == "ok"
        assert web_login_of(ledger, card) == before

        assert await try_password(ledger, WRONG_PASSWORD) == "bad-credentials"  # the fifth in a row all the same
        assert await try_password(ledger, PASSWORD) == "login-wait"

    with_ledgers(database_url, story)


def test_a_locked_web_login_and_a_locked_card_are_each_released_by_their_own_secret_alone(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await with_web_id(ledger)
        while await try_password(ledger, WRONG_PASSWORD) != "web-login-locked":
            await move(ledger, minutes=9)
        await lock(ledger, card)

        assert await reset_pin(ledger, card, new_pins(card)[0]) == "ok"
        assert await try_pin(ledger, card, new_pins(card)[0]) == "ok"
        assert await try_password(ledger, PASSWORD) == "web-login-locked"

        await lock(ledger, card)
        await ledger.send_password_reset_mail(order(), card.member_id)
        mail = next(each for each in await ledger.sandbox.outbox() if each["kind"] == "password-reset")
        await ledger.complete_password_reset(order(ANONYMOUS), mail["token"], "another horse battery")
        assert not web_login_of(ledger, card).locked
        assert await try_pin(ledger, card, new_pins(card)[0]) == "card-locked"

    with_ledgers(database_url, story)


# A new PIN ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locked", [False, True], ids=["in use", "locked"])
def test_the_present_pin_and_near_ones_are_refused_and_the_document_stays_good(database_url: str, locked: bool) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        await try_pin(ledger, card, WRONG_PIN)
        if locked:
            await lock(ledger, card)
        before = (topics(database_url, card.card_id), access_of(ledger, card))
        seen = await ledger.sandbox.now() - timedelta(minutes=1)

        async def sets(pin: str) -> str:
            return await told(ledger.reset_pin(order(COUNTER), card.card_id, pin, "passport", seen))

        birthday, phone = PROFILE["birth_date"][5:].replace("-", ""), PROFILE["phone"][-4:]
        assert {await sets(pin) for pin in (PIN, "1234", birthday, phone, card.number[:4])} == {"pin-refused"}
        assert (topics(database_url, card.card_id), access_of(ledger, card)) == before
        assert rows(database_url, "select generation from credentials where kind = 'pin'") == [1]

        assert await sets(new_pins(card)[0]) == "ok"  # on the same look at the same document
        assert await try_pin(ledger, card, new_pins(card)[0]) == "ok"

    with_ledgers(database_url, story)


@pytest.mark.parametrize("locked", [False, True], ids=["in use", "locked"])
def test_a_new_pin_and_the_end_of_a_stop_leave_the_same_in_either_order(database_url: str, locked: bool) -> None:
    async def story(ledger: Ledger) -> None:
        left: list[tuple[Any, ...]] = []
        for new_pin_first in (True, False):
            card = await holder(ledger)
            if locked:
                await lock(ledger, card)
            await suspend(ledger, card)
            stop_id = await stop(ledger, card)
            if new_pin_first:
                assert await reset_pin(ledger, card) == "ok"
                assert access_of(ledger, card).stops
            await lift(ledger, card, stop_id)
            if not new_pin_first:
                assert access_of(ledger, card).locked == locked
                assert await reset_pin(ledger, card) == "ok"
            access = access_of(ledger, card)
            reasons = [each.reason for each in access.suspensions.values()]
            counters = (access.consecutive, access.recent, access.in_generation)
            left.append((access.locked, access.stops, reasons, counters, access.generation, access.closed))
        assert left == [(False, {}, ["own-wish"], (0, (), 0), 2, False)] * 2

    with_ledgers(database_url, story)


# Money in the order of the log ----------------------------------------------------------------------------------------

BARRING = {"a lock": (lock, "card.card-locked"), "a stop": (stop, "card.card-stopped"),
           "a suspension": (suspend, "card.borrowing-suspended")}  # fmt: skip


@pytest.mark.parametrize("bar", BARRING)
def test_no_advance_stands_behind_what_bars_it_in_the_log(database_url: str, bar: str) -> None:
    bars, topic = BARRING[bar]

    async def story(one: Ledger, other: Ledger) -> None:
        for delay in (0.0, 0.004, 0.012):
            card = await holder(one)
            caller = await caller_of(one, await session(one, card))

            async def later(card: Holder, delay: float) -> None:
                await asyncio.sleep(delay)
                await bars(other, card)

            draws = [
                told(each.draw_advance(order(caller), card.card_id, 1_000, "transfer")) for each in [one, other] * 8
            ]
            _, *answers = await asyncio.gather(later(card, delay), *draws)
            answers.append(await told(one.draw_advance(order(caller), card.card_id, 1_000, "transfer")))
            recorded = topics(database_url, card.card_id)
            assert "card.advance-reserved" not in recorded[recorded.index(topic) :]
            assert answers.count("ok") == recorded.count("card.advance-reserved")
            assert answers[-1] in ("session-ended", "borrowing-suspended")

    with_ledgers(database_url, story, processes=2)


def test_the_log_is_in_one_order_without_a_gap_after_all_of_it(database_url: str) -> None:
    """Versions of a stream are 1, 2, 3…; positions are dense in the order of commits, from both processes at once."""

    async def story(one: Ledger, other: Ledger) -> None:
        cards = [await holder(each, email=f"{n}@example.com") for n, each in enumerate((one, other))]
        pins = [chance.choice([PIN, WRONG_PIN, WRONG_PIN]) for _ in range(40)]
        tries = zip(itertools.cycle(itertools.product((one, other), cards)), pins, strict=False)
        await asyncio.gather(*(try_pin(each, card, pin) for (each, card), pin in tries))
        await enrolled(one)

    with_ledgers(database_url, story, processes=2)
    found = rows(
        database_url, "select notification_id, originator_id, originator_version from ledger_events order by 1"
    )
    versions: Counter[UUID] = Counter()
    for position, (told_position, stream, version) in enumerate(found, start=1):
        versions[stream] += 1
        assert (told_position, version) == (position, versions[stream])
    assert len(found) > 10
