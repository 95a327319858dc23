"""Logins on a real ledger: what parallel guesses get, and which verdicts never count.

Two ledgers on one database stand for two processes: each has its own lane, its own threads for hashes and own turns.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from ledgers import (
    ATM,
    PASSWORD,
    PIN,
    PROFILE,
    WRONG_PIN,
    Holder,
    all_told,
    assert_dense,
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

from ledger.application import Ledger
from ledger.instruction import ANONYMOUS
from ledger.refusals import BadCredentials, Busy, LoginWait, Refusal, ResetTokenSpent, WebIdTaken

WEB_ID = "taro.yamada"
NEW_PINS = ("5926", "7481", "8362", "6174", "9463")


async def try_pin(ledger: Ledger, card: Holder, pin: str) -> str:
    """How the attempt was answered; a client repeats what found no room."""
    while (answer := await told(ledger.log_in_by_card(order(ANONYMOUS), card.number, pin))) == "busy":
        await asyncio.sleep(0.01)
    return answer


async def try_password(ledger: Ledger, password: str, web_id: str = WEB_ID) -> str:
    return await told(ledger.log_in_by_web(order(ANONYMOUS), web_id, password))


async def with_web_id(ledger: Ledger) -> Holder:
    card = await holder(ledger)
    await ledger.set_web_credentials(order(), card.member_id, WEB_ID, PASSWORD, None)
    return card


def new_pins(card: Holder) -> list[str]:
    """PINs that may be set: none that the card's number happens to hold."""
    return [pin for pin in NEW_PINS if pin not in card.number]


async def reset_pin(ledger: Ledger, card: Holder, pin: str | None = None) -> str:
    pin = pin or new_pins(card)[0]
    return await told(ledger.reset_pin(order(), card.card_id, pin, "passport", await ledger.sandbox.now()))


async def move(ledger: Ledger, **by: float) -> None:
    await ledger.sandbox.move_clock(await ledger.sandbox.now() + timedelta(**by))


# PINs -----------------------------------------------------------------------------------------------------------------


def test_of_forty_parallel_wrong_pins_three_are_tested(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> tuple[Holder, list[str]]:
        card = await holder(one)
        return card, await asyncio.gather(*(try_pin(each, card, WRONG_PIN) for each in [one, other] * 20))

    card, answers = with_ledgers(database_url, story, processes=2)
    assert Counter(answers) == {"bad-credentials": 2, "card-locked": 38}
    assert topics(database_url, card.card_id) == ["card.card-issued", *["card.login-failed"] * 3, "card.card-locked"]
    assert_dense(database_url)


@pytest.mark.parametrize("rights", [1, 6])
def test_a_right_pin_among_the_guesses_never_enters_behind_the_lock(database_url: str, rights: int) -> None:
    async def story(one: Ledger, other: Ledger) -> None:
        for round_ in range(4):
            card = await holder(one)
            pins = [WRONG_PIN] * 20
            for n in range(rights):
                pins[(round_ * 5 + n * 3) % 20] = PIN
            ledgers = itertools.cycle((one, other))
            answers = await asyncio.gather(*(try_pin(next(ledgers), card, pin) for pin in pins))
            recorded = topics(database_url, card.card_id)
            locked = recorded.index("card.card-locked")
            assert recorded[locked + 1 :] == []
            assert answers.count("ok") == recorded.count("card.login-succeeded")
            # Three wrong ones in a row lock, and so do ten with right ones between them.
            runs = "".join({"card.login-failed": "f", "card.login-succeeded": "s"}.get(each, "") for each in recorded)
            *before, last = map(len, runs.split("s"))
            assert all(row < 3 for row in before)
            assert last == 3 or runs.count("f") == 10
            assert answers.count("bad-credentials") == runs.count("f") - 1

    with_ledgers(database_url, story, processes=2)


def test_the_old_pin_never_enters_behind_a_new_one(database_url: str) -> None:
    """Attempts with the old PIN race the reset: those recorded before it enter, those behind it are wrong."""

    async def story(one: Ledger, other: Ledger) -> None:
        for delay in (0.0, 0.002, 0.005, 0.01):
            card = await holder(one)

            async def later(card: Holder, delay: float) -> str:
                await asyncio.sleep(delay)
                return await reset_pin(other, card)

            attempts = (try_pin(each, card, PIN) for each in [one, other] * 8)
            answers = await asyncio.gather(later(card, delay), *attempts)
            recorded = topics(database_url, card.card_id)
            reset = recorded.index("card.pin-reset")
            assert answers[0] == "ok"
            assert "card.login-succeeded" not in recorded[reset:]
            assert answers[1:].count("ok") == recorded[:reset].count("card.login-succeeded")
            assert "card.login-failed" not in recorded[:reset]
            assert set(recorded[reset + 1 :]) <= {"card.login-failed", "card.card-locked"}

    with_ledgers(database_url, story, processes=2)


def test_a_reset_opens_a_locked_card_to_the_new_pin_alone(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[str]:
        card = await holder(ledger)
        answers = [await try_pin(ledger, card, WRONG_PIN) for _ in range(4)]
        answers.append(await try_pin(ledger, card, PIN))
        answers.append(await reset_pin(ledger, card))
        return answers + [await try_pin(ledger, card, pin) for pin in (PIN, new_pins(card)[0])]

    bad, locked = "bad-credentials", "card-locked"
    assert with_ledgers(database_url, story) == [bad, bad, locked, locked, locked, "ok", bad, "ok"]


def test_two_resets_at_one_time_leave_the_pin_of_the_later_one(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> None:
        card = await holder(one)
        asked = list(zip((one, other, one), new_pins(card), strict=False))
        answers = await asyncio.gather(*(reset_pin(each, card, pin) for each, pin in asked))
        assert answers == ["ok"] * 3
        assert rows(database_url, "select generation from credentials where owner = %s", card.card_id) == [4]
        assert topics(database_url, card.card_id) == ["card.card-issued", *["card.pin-reset"] * 3]
        assert [await try_pin(one, card, pin) for _, pin in asked].count("ok") == 1

    with_ledgers(database_url, story, processes=2)


def test_the_state_of_the_card_is_told_to_the_right_pin_alone(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[str]:
        card = await holder(ledger)
        await ledger.stop(order(), card.card_id, "lost")
        return [await try_pin(ledger, card, pin) for pin in (WRONG_PIN, PIN, PIN)]

    assert with_ledgers(database_url, story) == ["bad-credentials", "card-stopped", "card-stopped"]
    assert rows(database_url, "select count(*) from ledger_events where topic = 'card.login-refused'") == [1]
    assert rows(database_url, "select count(*) from sessions") == [0]


def test_an_attempt_that_finds_no_room_is_not_counted(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[str]:
        card = await holder(ledger)
        ledger.room.seconds_per_hash = 10  # as on a machine that cannot keep up
        ledger.room._inside = 1
        answers = await all_told(ledger.log_in_by_card(order(ANONYMOUS), card.number, WRONG_PIN) for _ in range(5))
        ledger.room._inside = 0
        answers.append(await try_pin(ledger, card, PIN))
        return answers

    assert with_ledgers(database_url, story) == ["busy"] * 5 + ["ok"]
    assert rows(database_url, "select count(*) from ledger_events where topic = 'card.login-failed'") == [0]


# Numbers that are nobody's --------------------------------------------------------------------------------------------


def test_an_unknown_number_answers_like_an_untouched_card_and_leaves_one_row(database_url: str) -> None:
    unknown, tables = "9" * 16, "select tablename from pg_tables where schemaname = 'public'"

    async def sizes() -> dict[str, int]:
        return {name: len(rows(database_url, f"table {name}")) for name in rows(database_url, tables)}

    async def story(ledger: Ledger) -> tuple[Any, ...]:
        card = await holder(ledger)

        async def answers(number: str) -> list[tuple[str, Any, Any]]:
            given = []
            for _ in range(5):
                with pytest.raises(Refusal) as refused:
                    await ledger.log_in_by_card(order(ATM), number, WRONG_PIN)
                refusal = refused.value
                given.append((refusal.code, refusal.remedy.code, refusal.details))
            return given

        before = await sizes()
        of_unknown = await answers(unknown)
        grown = {name: size - before[name] for name, size in (await sizes()).items() if size != before[name]}
        again = await answers(unknown)
        return of_unknown, await answers(card.number), grown, again

    of_unknown, of_known, grown, again = with_ledgers(database_url, story)
    assert [code for code, _, _ in of_unknown] == ["bad-credentials"] * 2 + ["card-locked"] * 3
    assert of_unknown == of_known
    assert grown == {"unknown_numbers": 1}
    assert {code for code, _, _ in again} == {"card-locked"}


def test_parallel_guesses_at_an_unknown_number_get_two_answers_too(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> list[str]:
        nobody = Holder(uuid4(), uuid4(), "9" * 16)
        return await asyncio.gather(*(try_pin(each, nobody, WRONG_PIN) for each in [one, other] * 10))

    assert Counter(with_ledgers(database_url, story, processes=2)) == {"bad-credentials": 2, "card-locked": 18}


def test_an_unknown_number_is_forgotten_after_an_hour_and_a_card_never(database_url: str) -> None:
    async def story(ledger: Ledger) -> tuple[list[str], list[str]]:
        card, nobody = await holder(ledger), Holder(uuid4(), uuid4(), "9" * 16)
        for each in (card, nobody):
            for _ in range(3):
                await try_pin(ledger, each, WRONG_PIN)
        before = [await try_pin(ledger, each, WRONG_PIN) for each in (card, nobody)]
        await move(ledger, hours=1, seconds=1)
        return before, [await try_pin(ledger, each, WRONG_PIN) for each in (card, nobody)]

    before, after = with_ledgers(database_url, story)
    assert before == ["card-locked", "card-locked"]
    assert after == ["card-locked", "bad-credentials"]


# Passwords ------------------------------------------------------------------------------------------------------------


def test_wrong_passwords_wait_longer_and_longer_and_the_tenth_locks_the_web_login_alone(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[int]:
        card, waits = await with_web_id(ledger), []
        for _ in range(4):
            assert await try_password(ledger, "wrong horse") == "bad-credentials"
        assert await try_password(ledger, PASSWORD) == "ok"  # and counting begins anew
        for attempt in range(1, 11):
            answer = await try_password(ledger, "wrong horse")
            assert answer == ("web-login-locked" if attempt == 10 else "bad-credentials")
            if 5 <= attempt < 10:
                with pytest.raises(LoginWait) as refused:
                    await ledger.log_in_by_web(order(ANONYMOUS), WEB_ID, PASSWORD)
                waits.append(refused.value.retry_after or 0)
                await move(ledger, seconds=waits[-1])
        assert await try_password(ledger, PASSWORD) == "web-login-locked"
        await move(ledger, days=400)
        assert await try_password(ledger, PASSWORD) == "web-login-locked"
        assert await try_pin(ledger, card, PIN) == "ok"
        return waits

    assert with_ledgers(database_url, story) == [30, 60, 120, 240, 480]


def test_parallel_wrong_passwords_stop_at_the_first_wait(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> tuple[Holder, list[str]]:
        card = await with_web_id(one)
        return card, await asyncio.gather(*(try_password(each, "wrong horse") for each in [one, other] * 10))

    card, answers = with_ledgers(database_url, story, processes=2)
    assert Counter(answers) == {"bad-credentials": 5, "login-wait": 15}
    assert topics(database_url, card.member_id).count("member.login-failed") == 5


def test_a_web_id_is_one_in_any_case_and_an_unknown_one_answers_like_a_known_one(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[Any]:
        await with_web_id(ledger)
        given: list[Any] = [await try_password(ledger, PASSWORD, WEB_ID.upper())]
        for web_id in (WEB_ID, "nobody"):
            with pytest.raises(BadCredentials) as refused:
                await ledger.log_in_by_web(order(ANONYMOUS), web_id, "wrong horse")
            given.append((refused.value.code, refused.value.remedy.code, refused.value.details))
        return given

    entered, known, unknown = with_ledgers(database_url, story)
    assert entered == "ok"
    assert known == unknown


def test_a_pin_lock_bars_the_right_password_and_a_web_lock_no_pin(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[str]:
        card = await with_web_id(ledger)
        for _ in range(3):
            await try_pin(ledger, card, WRONG_PIN)
        return [await try_password(ledger, "wrong horse"), await try_password(ledger, PASSWORD)]

    assert with_ledgers(database_url, story) == ["bad-credentials", "card-locked"]


async def mailed_token(ledger: Ledger) -> str:
    await ledger.send_password_reset_mail(order(), await the_member(ledger))
    newest = [mail for mail in await ledger.sandbox.outbox() if mail["kind"] == "password-reset"][0]
    token: str = newest["token"]
    return token


async def the_member(ledger: Ledger) -> UUID:
    member_id = await ledger.directory.member_by_web_id(WEB_ID)
    assert member_id is not None
    return member_id


def test_a_reset_token_is_spent_once_among_processes(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> tuple[Holder, list[str], list[str]]:
        card = await with_web_id(one)
        token, passwords = await mailed_token(one), [f"another horse battery {n}" for n in range(8)]
        spent = await all_told(
            each.complete_password_reset(order(ANONYMOUS), token, password)
            for each, password in zip([one, other] * 4, passwords, strict=True)
        )
        right = [await try_password(one, passwords[spent.index("ok")]), await try_password(one, PASSWORD)]
        return card, spent, right

    card, spent, right = with_ledgers(database_url, story, processes=2)
    assert Counter(spent) == {"ok": 1, "reset-token-spent": 7}
    assert right == ["ok", "bad-credentials"]
    assert topics(database_url, card.member_id).count("member.password-reset") == 1


def test_a_reset_token_ends_with_its_time_with_the_next_one_and_with_a_new_web_id(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await with_web_id(ledger)
        first = await mailed_token(ledger)
        second = await mailed_token(ledger)
        for token, ends in ((first, None), (second, timedelta(minutes=10))):
            if ends is not None:
                await move(ledger, seconds=ends.total_seconds())
            with pytest.raises(ResetTokenSpent):
                await ledger.complete_password_reset(order(ANONYMOUS), token, "another horse battery")
        third = await mailed_token(ledger)
        await ledger.set_web_credentials(order(), card.member_id, WEB_ID, "a new horse battery", None)
        with pytest.raises(ResetTokenSpent):
            await ledger.complete_password_reset(order(ANONYMOUS), third, "another horse battery")

    with_ledgers(database_url, story)


def test_a_web_id_is_given_to_one_of_those_who_ask_at_one_time(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> list[str]:
        members = [await enrolled(one) for _ in range(6)]
        return await all_told(
            each.set_web_credentials(order(key=str(member)), member, WEB_ID, PASSWORD, None)
            for each, member in zip([one, other] * 3, members, strict=True)
        )

    answers = with_ledgers(database_url, story, processes=2)
    assert Counter(answers) == {"ok": 1, "web-id-taken": 5}
    assert rows(database_url, "select count(*) from ledger_events where topic = 'member.web-id-registered'") == [1]
    assert rows(database_url, "select count(*) from credentials where kind = 'password'") == [1]


def test_a_name_that_was_taken_is_refused_the_same_under_the_same_key(database_url: str) -> None:
    """What the record function finds is stored like a refusal of the aggregate, even when the name is free again."""

    async def story(ledger: Ledger) -> None:
        first, second = await enrolled(ledger), await enrolled(ledger)
        await ledger.set_web_credentials(order(), first, WEB_ID, PASSWORD, None)
        with pytest.raises(WebIdTaken) as refused:
            await ledger.set_web_credentials(order(key="name"), second, WEB_ID, PASSWORD, None)
        await ledger.set_web_credentials(order(), first, "another.name", PASSWORD, None)
        with pytest.raises(WebIdTaken) as again:
            await ledger.set_web_credentials(order(key="name"), second, WEB_ID, PASSWORD, None)
        assert (refused.value.replayed, again.value.replayed) == (False, True)
        assert again.value.position == refused.value.position
        await ledger.set_web_credentials(order(key="anew"), second, WEB_ID, PASSWORD, None)

    with_ledgers(database_url, story)


def test_a_member_gets_one_card_of_those_asked_for_at_one_time(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> list[str]:
        member = await enrolled(one)
        return await all_told(
            each.issue_card(order(key=f"{n}"), member, PIN, 500_000, 1780, 5) for n, each in enumerate([one, other] * 3)
        )

    answers = with_ledgers(database_url, story, processes=2)
    assert Counter(answers) == {"ok": 1, "card-exists": 5}
    assert rows(database_url, "select count(*) from ledger_events where topic = 'card.card-issued'") == [1]


def test_a_card_that_is_asked_for_again_under_its_key_is_told_with_its_number(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> None:
        member = await enrolled(one)
        asked = [each.issue_card(order(key="k"), member, PIN, 500_000, 1780, 5) for each in (one, other)]
        first, second = await asyncio.gather(*asked)
        assert first.body == second.body
        assert first.replayed != second.replayed

    with_ledgers(database_url, story, processes=2)


def test_personal_facts_that_move_meanwhile_are_gathered_again(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> list[str]:
        card = await holder(one)
        today = (await one.sandbox.now()).date() - timedelta(days=1)
        acts = [
            each.record_income_proof(order(), card.member_id, 4_000_000 + n, today)
            for n, each in enumerate([one, other] * 3)
        ]
        changes = [one.change_profile(order(), card.member_id, {"address": f"東京都{n}"}) for n in range(3)]
        reports = [other.record_credit_report(order(), card.member_id, 100_000, today)]
        answers = await all_told([*acts, *changes, *reports])
        while answers[-1] == "busy":  # who found the ground moving all the time asks again, as the answer says
            report = other.record_credit_report(order(), card.member_id, 100_000, today)
            answers[-1] = await told(report)
        async with asyncio.timeout(5):
            personal = await one.directory.personal(card.member_id)
        assert personal is not None
        assert personal.facts["others_balance"] == 100_000
        assert personal.facts["name"] == PROFILE["name"]
        return answers

    answers = with_ledgers(database_url, story, processes=2)
    assert set(answers) <= {"ok", "busy"}
    assert len(rows(database_url, "select version from personal_boxes where kind = 'personal'")) == 2 + answers.count(
        "ok"
    )


def test_a_session_that_ends_while_an_act_waits_ends_the_act(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> list[str]:
        card = await holder(one)
        caller = await caller_of(one, await session(one, card))
        await other.stop(order(), card.card_id, "stolen")
        return [await told(one.draw_advance(order(caller), card.card_id, 10_000, "transfer"))]

    assert with_ledgers(database_url, story, processes=2) == ["session-ended"]


def test_a_login_answers_busy_rather_than_waiting_for_ever(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        async with ledger.room.turn(card.card_id):
            with pytest.raises(Busy):
                await ledger.log_in_by_card(order(ANONYMOUS), card.number, PIN)

    with_ledgers(database_url, story)
