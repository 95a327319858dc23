"""Declined acts on record: with the state that they saw, once for each state, and nothing that anybody typed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from ledgers import BANK, COUNTER, PIN, PROFILE, Holder, holder, order, rows, session, with_ledgers
from people import Person, by_card, logged_in, new_pin, with_card
from serving import Client, served

from ledger.application import Ledger
from ledger.instruction import Caller, Instruction
from ledger.refusals import CreditLimitExceeded, NotFound, Refusal

SEEN = "select seen from refused_acts order by entry"
CODES = "select code from refused_acts order by entry"
TIMES = "select times from refused_acts order by entry"


def asked(caller: Caller = COUNTER, key: str | None = None, operation: str = "drawAdvance") -> Instruction:
    """An act as the API asks for it: with the name of its operation."""
    return replace(order(caller, key), operation=operation)


async def member_of(ledger: Ledger, card: Holder) -> Caller:
    caller = await ledger.doorkeeper.caller(await session(ledger, card))
    assert caller is not None
    return caller


async def draw(ledger: Ledger, caller: Caller, card: Holder, amount: int, key: str | None = None) -> Any:
    """The answer, or the refusal."""
    try:
        return await ledger.draw_advance(asked(caller, key), card.card_id, amount, "transfer")
    except Refusal as refusal:
        return refusal


# What is on record ----------------------------------------------------------------------------------------------------


def test_a_refusal_is_on_record_with_the_state_that_it_saw(database_url: str) -> None:
    async def story(ledger: Ledger) -> Holder:
        card = await holder(ledger)
        caller = await member_of(ledger, card)
        await draw(ledger, caller, card, 460_000)
        assert isinstance(await draw(ledger, caller, card, 50_000), CreditLimitExceeded)
        await ledger.suspend(asked(COUNTER), card.card_id, "own-wish")
        await draw(ledger, caller, card, 1_000)
        return card

    card = with_ledgers(database_url, story)

    first, second = rows(database_url, SEEN)
    assert rows(database_url, CODES) == ["credit-limit-exceeded", "borrowing-suspended"]
    assert (first["card"]["available_credit"], first["card"]["suspensions"]) == (40_000, [])
    assert (second["card"]["available_credit"], second["card"]["suspensions"]) == (0, ["own-wish"])
    assert first["card"]["locked"] is False
    version = "select max(originator_version) from ledger_events where originator_id = %s"
    assert second["card"]["version"] == rows(database_url, version, card.card_id)[0]


def test_in_one_batch_a_refusal_saw_what_the_acts_before_it_left(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[Any]:
        card, other = await holder(ledger), await holder(ledger, email="other@example.com")
        caller, stranger = await member_of(ledger, card), await member_of(ledger, other)
        return await asyncio.gather(
            draw(ledger, caller, card, 300_000),
            draw(ledger, caller, card, 300_000),
            draw(ledger, stranger, other, 100_000),
            draw(ledger, caller, card, 150_000),
            draw(ledger, caller, card, 300_000),
        )

    answers = with_ledgers(database_url, story)

    assert [isinstance(answer, Refusal) for answer in answers] == [False, True, False, False, True]
    assert [seen["card"]["available_credit"] for seen in rows(database_url, SEEN)] == [200_000, 50_000]


def test_a_thousand_repetitions_are_one_row_that_counts_them(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        caller = await member_of(ledger, card)
        await asyncio.gather(*(draw(ledger, caller, card, 500_001 + 1_000 * number) for number in range(1_000)))

    with_ledgers(database_url, story)

    counted = dict(zip(rows(database_url, CODES), rows(database_url, TIMES), strict=True))
    assert sum(counted.values()) == 1_000
    assert len(counted) == len(rows(database_url, CODES)) <= 2


def test_two_processes_count_on_one_row(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> None:
        card = await holder(one)
        caller = await member_of(one, card)
        await asyncio.gather(*(draw(ledger, caller, card, 600_000) for ledger in (one, other) for _ in range(40)))

    with_ledgers(database_url, story, processes=2)

    assert rows(database_url, TIMES) == [80]


def test_a_refusal_repeated_under_its_key_is_recorded_once(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        caller = await member_of(ledger, card)
        refusals = [await draw(ledger, caller, card, 600_000, key="k1") for _ in range(3)]
        assert [refusal.replayed for refusal in refusals] == [False, True, True]

    with_ledgers(database_url, story)

    assert rows(database_url, TIMES) == [1]


def test_a_refusal_changes_neither_the_log_nor_a_later_decision(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        caller = await member_of(ledger, card)
        before = rows(database_url, "select count(*) from ledger_events")
        await draw(ledger, caller, card, 600_000)
        assert rows(database_url, "select count(*) from ledger_events") == before
        assert (await draw(ledger, caller, card, 500_000)).body["available_credit"] == 0

    with_ledgers(database_url, story)


def test_what_a_role_or_a_channel_may_not_do_is_on_record(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        caller = await member_of(ledger, card)
        with pytest.raises(Refusal):
            await ledger.stop(asked(COUNTER, operation="stopCard"), card.card_id, "fraud")
        with pytest.raises(Refusal):
            await ledger.draw_advance(asked(caller), card.card_id, 10_000, "cash")
        with pytest.raises(Refusal):
            await ledger.repay(asked(BANK, operation="repay"), card.card_id, 1_000, "counter", None)

    with_ledgers(database_url, story)

    assert rows(database_url, CODES) == ["role-not-permitted", "channel-not-permitted", "channel-not-permitted"]


def test_what_concerns_nobody_is_not_on_record(database_url: str) -> None:
    """A login, an unknown card, somebody else's card, and what nobody outside asked for."""

    async def story(ledger: Ledger) -> None:
        card, other = await holder(ledger), await holder(ledger, email="other@example.com")
        caller = await member_of(ledger, card)
        assert isinstance(await draw(ledger, caller, other, 600_000), NotFound)
        assert isinstance(await draw(ledger, caller, replace(card, card_id=card.member_id), 600_000), NotFound)
        with pytest.raises(Refusal):
            await ledger.log_in_by_card(order(COUNTER), card.number, "0000")
        with pytest.raises(CreditLimitExceeded):
            await ledger.draw_advance(order(caller), card.card_id, 600_000, "transfer")

    with_ledgers(database_url, story)

    assert rows(database_url, CODES) == []


def test_nothing_typed_or_personal_is_on_record(database_url: str) -> None:
    async def story(ledger: Ledger) -> Holder:
        card = await holder(ledger)
        await draw(ledger, await member_of(ledger, card), card, 654_000)
        now = datetime.now(UTC)
        with pytest.raises(Refusal):
            await ledger.reset_pin(asked(COUNTER, operation="resetPin"), card.card_id, PIN, "driving-licence", now)
        return card

    card = with_ledgers(database_url, story)

    kept = " ".join(rows(database_url, "select to_jsonb(r)::text from refused_acts r"))
    assert rows(database_url, CODES) == ["credit-limit-exceeded", "pin-refused"]
    values = [str(value) for value in PROFILE.values() if isinstance(value, str)]
    for secret in (*values, card.number, "654000", f'"{PIN}"', str(PROFILE["annual_income"])):
        assert secret not in kept


@pytest.mark.parametrize(
    "change",
    ["delete from refused_acts", "truncate refused_acts", "update refused_acts set code = 'x'",
     "update refused_acts set seen = '{}'"],
)  # fmt: skip
def test_a_refusal_on_record_cannot_be_changed_or_removed(database_url: str, change: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(database_url, change)


# Read back ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(new_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with (
        new_database("refusals") as dsn,
        served(dsn, tmp_path_factory.mktemp("refusals"), start="2025-05-01T10:00:00+09:00") as client,
    ):
        yield client


@pytest.fixture(scope="module")
def refused(service: Client) -> Person:
    """Somebody who was refused twice on 3 May, and once on 6 May when the card was stopped."""
    person = with_card(service)
    service.go_to(date(2025, 5, 3))
    token = logged_in(service, by_card(person.number))
    for _ in range(2):
        reply = service.post(advances(person), token, {"amount": 501_000, "purpose": "transfer"})
        assert reply.code == "credit-limit-exceeded"
    service.go_to(date(2025, 5, 6))
    service.done(f"/v1/cards/{person.card_id}/stops", "call-centre", {"reason": "lost"})
    fresh = service.post(f"/v1/cards/{person.card_id}/pin-resets", "counter", new_pin(service, "3749"))
    assert fresh.code == "pin-refused"
    return person


def advances(person: Person) -> str:
    return f"/v1/cards/{person.card_id}/advances"


def refusals(service: Client, person: Person, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.read(f"/v1/cards/{person.card_id}/refusals{query}")["data"]
    return found


def test_why_was_i_refused_on_the_third_of_may_has_an_answer(service: Client, refused: Person) -> None:
    (why,) = refusals(service, refused, "?from=2025-05-03&to=2025-05-03")

    assert (why["operation"], why["code"], why["times"]) == ("drawAdvance", "credit-limit-exceeded", 2)
    assert (why["role"], why["actor"], why["details"]) == ("member", refused.member_id, {"available_credit": 500_000})
    assert why["seen"]["card"]["available_credit"] == 500_000
    assert why["sentence"] == "The amount is over the available credit."
    assert why["remedy"]["code"] == "lower-amount"
    assert refused.number not in json.dumps(why)
    japanese = service.ask("GET", f"/v1/cards/{refused.card_id}/refusals", "auditor", language="ja")
    assert "利用可能額を超えています。" in json.dumps(japanese.body, ensure_ascii=False)


def test_the_position_seen_is_that_of_the_state(service: Client, refused: Person) -> None:
    why = refusals(service, refused)[-1]

    balance = service.read(f"/v1/cards/{refused.card_id}/balance?as_of={why['seen_position']}")
    assert balance["available_credit"] == why["seen"]["card"]["available_credit"]
    card = service.read(f"/v1/cards/{refused.card_id}/events?limit=200")["data"]
    seen = [event for event in card if int(event["sequence"]) <= why["seen_position"]]
    assert seen[-1]["streamversion"] == why["seen"]["card"]["version"]


def test_refusals_as_of_a_time_are_those_of_until_then(service: Client, refused: Person) -> None:
    assert [each["code"] for each in refusals(service, refused)] == ["pin-refused", "credit-limit-exceeded"]
    assert [each["code"] for each in refusals(service, refused, "?as_of=2025-05-04T00:00:00Z")] == [
        "credit-limit-exceeded"
    ]
    assert refusals(service, refused, "?as_of=2025-05-02T00:00:00Z") == []
    first = refusals(service, refused)[-1]
    then = refusals(service, refused, f"?as_of={first['refused_at']}")
    assert not {"times", "last_refused_at"} & then[0].keys(), "it was repeated later"


def test_refusals_are_read_page_by_page_for_the_card_and_for_its_member(service: Client, refused: Person) -> None:
    everything = refusals(service, refused)
    path = f"/v1/members/{refused.member_id}/refusals"
    first = service.read(f"{path}?limit=1")
    second = service.read(f"{path}?limit=1&cursor={first['next_cursor']}")

    assert [*first["data"], *second["data"]] == everything


def test_only_an_auditor_reads_refusals_and_the_read_is_on_record(service: Client, refused: Person) -> None:
    path = f"/v1/cards/{refused.card_id}/refusals"
    service.read(path)

    assert service.read("/v1/access-log?limit=2")["data"][1]["operation"] == "readCardRefusals"
    for role in ("counter", "call-centre", "credit", "operator", "service"):
        assert service.get(path, role).code == "role-not-permitted"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?as_of=999999999", "position-unknown"),
        ("?as_of=2001-01-01T00:00:00Z", "before-first-event"),
        ("?from=2025-05-02&to=2025-05-01", "input-format"),
    ],
)
def test_a_time_that_is_not_there_is_refused(service: Client, refused: Person, query: str, code: str) -> None:
    assert service.get(f"/v1/cards/{refused.card_id}/refusals{query}", "auditor").code == code


def test_an_unknown_card_has_no_refusals(service: Client) -> None:
    assert service.get("/v1/cards/11111111-2222-4333-8444-555555555555/refusals", "auditor").status == 404
