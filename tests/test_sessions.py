"""Sessions: opened by a login, good until the business clock or a fact of their card or member ends them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from ledgers import (
    ATM,
    PASSWORD,
    PIN,
    WRONG_PIN,
    Holder,
    caller_of,
    holder,
    order,
    rows,
    session,
    told,
    with_ledgers,
)

from ledger.application import Ledger
from ledger.instruction import ANONYMOUS, Caller
from ledger.refusals import NotFound, SessionEnded
from ledger.store import tokens
from ledger.store.sessions import SESSIONS_TOLD

WEB_ID, OTHER_WEB_ID = "taro.yamada", "taro.suzuki"


async def lock(ledger: Ledger, card: Holder) -> None:
    for _ in range(3):
        await told(ledger.log_in_by_card(order(ATM), card.number, WRONG_PIN))


async def stop(ledger: Ledger, card: Holder) -> None:
    await ledger.stop(order(), card.card_id, "lost")


async def reset_pin(ledger: Ledger, card: Holder) -> None:
    new = next(pin for pin in ("5926", "7481", "8362") if pin not in card.number)
    await ledger.reset_pin(order(), card.card_id, new, "passport", await ledger.sandbox.now())


async def replace_web_id(ledger: Ledger, card: Holder) -> None:
    await ledger.set_web_credentials(order(), card.member_id, OTHER_WEB_ID, "another horse battery", None)


async def reset_password(ledger: Ledger, card: Holder) -> None:
    await ledger.send_password_reset_mail(order(), card.member_id)
    (mail,) = [each for each in await ledger.sandbox.outbox() if each["kind"] == "password-reset"]
    await ledger.complete_password_reset(order(ANONYMOUS), mail["token"], "another horse battery")


async def sessions(ledger: Ledger, card: Holder) -> list[str]:
    """One by card and PIN, one by Web-ID and password."""
    by_web = await ledger.log_in_by_web(order(ANONYMOUS), WEB_ID, PASSWORD)
    return [await session(ledger, card), by_web.body["token"]]


async def with_web_id(ledger: Ledger) -> Holder:
    card = await holder(ledger)
    await ledger.set_web_credentials(order(), card.member_id, WEB_ID, PASSWORD, None)
    return card


async def good(ledger: Ledger, token: str) -> bool:
    try:
        return await ledger.doorkeeper.caller(token) is not None
    except SessionEnded:
        return False


@pytest.mark.parametrize("end", [lock, stop, reset_pin, replace_web_id, reset_password])
def test_a_session_ends_in_the_commit_of_what_ends_it_in_every_process(
    database_url: str, end: Callable[[Ledger, Holder], Awaitable[None]]
) -> None:
    async def story(one: Ledger, other: Ledger) -> None:
        card, bystander = await with_web_id(one), await holder(one)
        opened = await sessions(one, card)
        callers = [await caller_of(each, token) for each in (one, other) for token in opened]
        kept = await session(one, bystander)
        await end(other, card)
        for each in (one, other):
            assert [await good(each, token) for token in opened] == [False, False]
            assert await good(each, kept)
            for caller in callers:  # who was let in before has its acts refused as well
                drawn = each.draw_advance(order(caller), card.card_id, 10_000, "transfer")
                assert await told(drawn) == "session-ended"
        assert await one.doorkeeper.open_sessions(card.member_id) == []

    with_ledgers(database_url, story, processes=2)


def test_the_epoch_is_raised_in_the_transaction_of_the_fact(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        await stop(ledger, card)

    with_ledgers(database_url, story)
    same = """
        select e.recorded_at = b.recorded_at from ledger_events e, recorded_batches b
        where e.topic = 'card.card-stopped' and b.recorded_at = e.recorded_at"""
    assert rows(database_url, same) == [True]
    with psycopg.connect(database_url, autocommit=True) as connection:
        (event,) = (
            connection.execute("select xmin from ledger_events where topic = 'card.card-stopped'").fetchone() or ()
        )
        (epoch,) = connection.execute("select xmin from epochs").fetchone() or ()
    assert event == epoch


def test_a_first_web_id_ends_no_session(database_url: str) -> None:
    async def story(ledger: Ledger) -> bool:
        card = await holder(ledger)
        token = await session(ledger, card)
        caller = await caller_of(ledger, token)
        await ledger.set_web_credentials(order(caller), card.member_id, WEB_ID, PASSWORD, None)
        return await good(ledger, token)

    assert with_ledgers(database_url, story)


def test_a_session_ends_after_a_quarter_of_an_hour_without_use(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[bool]:
        token = await session(ledger, await holder(ledger))
        answers = []
        for minutes in (14, 14, 14.9, 15.1):
            await move(ledger, minutes=minutes)
            answers.append(await good(ledger, token))
        return answers

    assert with_ledgers(database_url, story) == [True, True, True, False]


def test_a_session_in_use_ends_after_twelve_hours(database_url: str) -> None:
    async def story(ledger: Ledger) -> tuple[int, list[bool]]:
        token, minutes = await session(ledger, await holder(ledger)), 0
        while await good(ledger, token):
            minutes += 10
            await move(ledger, minutes=10)
            assert minutes <= 12 * 60, "it never ends"
        return minutes, [await good(ledger, token)]

    assert with_ledgers(database_url, story) == (12 * 60, [False])


async def move(ledger: Ledger, **by: float) -> None:
    await ledger.sandbox.move_clock(await ledger.sandbox.now() + timedelta(**by))


def test_a_member_ends_own_sessions_alone(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[bool]:
        mine, theirs = await holder(ledger), await holder(ledger)
        here, there, foreign = [await session(ledger, card) for card in (mine, mine, theirs)]
        caller, other = await caller_of(ledger, here), await caller_of(ledger, there)
        stranger = await caller_of(ledger, foreign)
        with pytest.raises(NotFound):
            await ledger.end_session(order(caller), stranger.session_id)
        await ledger.end_session(order(caller), other.session_id)
        assert [each["session_id"] for each in await ledger.doorkeeper.open_sessions(mine.member_id)] == [
            caller.session_id
        ]
        await ledger.end_session(order(caller), None)
        return [await good(ledger, token) for token in (here, there, foreign)]

    assert with_ledgers(database_url, story) == [False, False, True]


def test_a_member_reaches_own_streams_alone_and_learns_nothing_of_others(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[str]:
        mine, theirs = await holder(ledger), await holder(ledger)
        caller = await caller_of(ledger, await session(ledger, mine))
        acts: list[Any] = [
            ledger.draw_advance(order(caller), theirs.card_id, 10_000, "transfer"),
            ledger.draw_advance(order(caller), UUID(int=1), 10_000, "transfer"),
            ledger.repay(order(caller), theirs.card_id, 10_000, "internet", None),
            ledger.stop(order(caller), theirs.card_id, "lost"),
            ledger.change_profile(order(caller), theirs.member_id, {"phone": "09000000000"}),
            ledger.set_web_credentials(order(caller), theirs.member_id, WEB_ID, PASSWORD, None),
        ]
        return [await told(act) for act in acts]

    assert with_ledgers(database_url, story) == ["not-found"] * 6
    assert rows(database_url, "select count(*) from web_ids") == [0]


def test_nobody_acts_in_a_staff_role_on_the_own_card(database_url: str) -> None:
    async def story(ledger: Ledger) -> str:
        card = await holder(ledger)
        clerk = Caller(subject=str(card.member_id), role="credit", channel="counter")
        return await told(ledger.suspend(order(clerk), card.card_id, "own-wish"))

    assert with_ledgers(database_url, story) == "role-not-permitted"


@pytest.mark.parametrize("token", ["", "ms_", "ms_nobody", "st_nobody", "Bearer ms_x", "ms_\0", "ms_'; drop", "あ"])
def test_a_token_that_is_nobodys_lets_nobody_in(database_url: str, token: str) -> None:
    async def story(ledger: Ledger) -> Caller | None:
        return await ledger.doorkeeper.caller(token)

    assert with_ledgers(database_url, story) is None


def test_the_token_itself_is_kept_nowhere_and_its_hash_opens_nothing(database_url: str) -> None:
    async def story(ledger: Ledger) -> Caller | None:
        await session(ledger, await holder(ledger))
        (kept,) = rows(database_url, "select encode(token_hash, 'hex') from sessions")
        return await ledger.doorkeeper.caller(f"ms_{kept}")

    assert with_ledgers(database_url, story) is None


def test_a_role_token_is_good_until_it_is_revoked_or_ends(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            token_id, token = tokens.issue(connection, "counter", "clerk-7", timedelta(days=1))
            _, short = tokens.issue(connection, "atm", "machine", timedelta(0))
            with pytest.raises(ValueError, match="no such role"):
                tokens.issue(connection, "member", "somebody", timedelta(days=1))
            assert await ledger.doorkeeper.caller(token) == Caller(subject="clerk-7", role="counter", channel="counter")
            assert await ledger.doorkeeper.caller(short) is None
            assert tokens.revoke(connection, token_id)
            assert not tokens.revoke(connection, token_id)
        assert await ledger.doorkeeper.caller(token) is None

    with_ledgers(database_url, story)


def test_a_session_of_a_card_that_was_used_up_by_another_card_is_over(database_url: str) -> None:
    """The one open card of the member is the session's card, or the session is not good."""

    async def story(ledger: Ledger) -> list[bool]:
        card = await holder(ledger)
        token = await session(ledger, card, PIN)
        before = await good(ledger, token)
        rows(database_url, "update cards set closed = true where card_id = %s", card.card_id)
        return [before, await good(ledger, token)]

    assert with_ledgers(database_url, story) == [True, False]


def test_a_member_is_told_the_newest_sessions_and_as_many_as_the_document_says(database_url: str) -> None:
    async def story(ledger: Ledger) -> tuple[list[UUID | None], list[UUID | None]]:
        card = await holder(ledger)
        opened = [await caller_of(ledger, await session(ledger, card)) for _ in range(SESSIONS_TOLD + 3)]
        listed = await ledger.doorkeeper.open_sessions(card.member_id)
        return [each["session_id"] for each in listed], [caller.session_id for caller in reversed(opened)]

    listed, opened = with_ledgers(database_url, story)
    assert listed == opened[:SESSIONS_TOLD]
