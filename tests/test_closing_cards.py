"""Closing a card: only a settled one, its sessions with it, a new card may follow, and money is still taken."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from borrowing import Borrower
from ledgers import (
    ANONYMOUS,
    BANK,
    KEYS,
    PASSWORD,
    PIN,
    WRONG_PIN,
    Holder,
    borrowed,
    caller_of,
    holder,
    opened,
    order,
    project,
    rows,
    session,
    told,
    topics,
    with_ledgers,
)
from serving import clean_environment

from ledger import refusals
from ledger.aggregates.card import Card
from ledger.application import Ledger
from ledger.audit.acts import act_of
from ledger.instruction import Caller
from ledger.lockout import lockout
from ledger.projections.lockouts import LockoutReader
from ledger.terms import TermsBook

OPERATOR = Caller(subject="operator", role="operator", channel="batch")
WEB_ID = "taro.yamada"
DAY = date(2026, 4, 1)


async def close(ledger: Ledger, card: Holder) -> str:
    return await told(ledger.close_card(order(OPERATOR), card.card_id))


# Which cards ----------------------------------------------------------------------------------------------------------


def test_a_card_with_a_debt_a_remainder_or_an_advance_under_way_is_not_closed() -> None:
    borrower = Borrower(DAY)
    advance = borrower.reserve(DAY, 10_000).advance_id
    states = [lambda: None, lambda: borrower.confirm(DAY, advance), lambda: borrower.repay(DAY, 9_500, "atm")]
    for change in states:
        change()
        before = len(borrower.card.pending_events)
        with pytest.raises(refusals.NotSettled):
            borrower.on(DAY).close()
        assert len(borrower.card.pending_events) == before
    borrower.repay(DAY, 700, "bank-transfer")
    assert borrower.card.account.standing.customer_credit == 200
    borrower.on(DAY).close()
    assert borrower.card.access.closed


def test_a_debt_that_a_bounced_repayment_brings_back_is_owed_and_paid_on_the_closed_card() -> None:
    borrower = Borrower(DAY)
    borrower.draw(DAY, 10_000)
    paid = borrower.repay(DAY, 10_000, "direct-debit").repayment_id
    borrower.on(DAY).close()
    borrower.on(DAY).reverse_repayment(paid, borrower.terms)
    assert borrower.card.account.principal == 10_000
    assert borrower.repay(DAY, 10_000, "bank-transfer").instalment == "settled"


def test_the_closing_is_decided_again_from_its_fact_alone() -> None:
    borrower = Borrower(DAY)
    borrower.draw(DAY, 10_000)
    borrower.repay(DAY, 10_000, "atm")
    borrower.on(DAY).close()
    *before, closing = borrower.card.pending_events
    again = Card.blank(borrower.card.id)
    for event in before:
        event.mutate(again)  # type: ignore[attr-defined]  # the library's protocol, not our event
    act = act_of([closing], TermsBook.load())  # type: ignore[list-item]  # as above
    assert act is not None
    act(again.instructed_by(borrower.card.cause, borrower.card.at))
    assert again.pending_events[0].fact == closing.fact  # type: ignore[attr-defined]  # as above


# What follows ---------------------------------------------------------------------------------------------------------


def test_sessions_end_and_the_right_pin_is_told_that_the_card_cannot_be_used(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> None:
        card = await holder(one)
        await one.set_web_credentials(order(), card.member_id, WEB_ID, PASSWORD, None)
        by_web = await other.log_in_by_web(order(ANONYMOUS), WEB_ID, PASSWORD)
        tokens = [await session(one, card), by_web.body["token"]]
        callers = [await caller_of(other, token) for token in tokens]
        assert await close(one, card) == "ok"
        for token in tokens:
            with pytest.raises(refusals.SessionEnded):
                await other.doorkeeper.caller(token)
        acts = [other.draw_advance(order(caller), card.card_id, 10_000, "transfer") for caller in callers]
        assert [await told(act) for act in acts] == ["session-ended"] * 2
        entries = [other.log_in_by_card(order(ANONYMOUS), card.number, pin) for pin in (WRONG_PIN, PIN)]
        entries.append(one.log_in_by_web(order(ANONYMOUS), WEB_ID, PASSWORD))
        assert [await told(entry) for entry in entries] == ["bad-credentials", "card-stopped", "card-stopped"]
        assert [await close(each, card) for each in (one, other)] == ["card-closed"] * 2

    with_ledgers(database_url, story, processes=2)


def test_money_that_arrives_on_a_closed_card_is_kept_for_the_member(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        assert await close(ledger, card) == "ok"
        for method in ("bank-transfer", "direct-debit"):
            taken = await ledger.repay(order(BANK), card.card_id, 1_000, method, None)
            assert taken.body["allocation"]["overpayment"] == 1_000

    with_ledgers(database_url, story)


def test_a_new_card_is_issued_after_the_closing_and_the_web_leads_to_it(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        old = await holder(ledger)
        await ledger.set_web_credentials(order(), old.member_id, WEB_ID, PASSWORD, None)
        issue = (old.member_id, PIN, 500_000, 1780, 5)
        assert await told(ledger.issue_card(order(), *issue)) == "card-exists"
        assert await close(ledger, old) == "ok"
        new = (await ledger.issue_card(order(), *issue)).body
        entered = await ledger.log_in_by_web(order(ANONYMOUS), WEB_ID, PASSWORD)
        assert entered.body["card_id"] == new["card_id"] != str(old.card_id)
        assert await told(ledger.log_in_by_card(order(ANONYMOUS), new["card_number"], PIN)) == "ok"
        assert await told(ledger.log_in_by_card(order(ANONYMOUS), old.number, PIN)) == "card-stopped"
        # What the member has now is the new card: nothing reaches the old one through the member.
        assert await ledger.directory.latest_card(old.member_id) == UUID(new["card_id"])

    with_ledgers(database_url, story)


def test_an_advance_that_races_the_closing_is_refused_or_bars_it(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> None:
        outcomes = set()
        for round_ in range(12):
            card = await holder(one)
            caller = await caller_of(one, await session(one, card))
            acts = [other.draw_advance(order(caller), card.card_id, 10_000, "transfer")]
            acts.insert(round_ % 2, one.close_card(order(OPERATOR), card.card_id))
            told_of = dict(
                zip(
                    ("close", "draw") if round_ % 2 == 0 else ("draw", "close"),
                    await asyncio.gather(*map(told, acts)),
                    strict=True,
                )
            )
            outcomes.add((told_of["draw"], told_of["close"]))
            recorded = topics(database_url, card.card_id)
            assert ("card.card-closed" in recorded) != ("card.advance-reserved" in recorded)
        assert outcomes <= {("ok", "not-settled"), ("session-ended", "ok")}

    with_ledgers(database_url, story, processes=2)


def test_a_closed_card_shows_as_closed(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        assert await close(ledger, card) == "ok"
        await project(database_url)
        row = await LockoutReader(ledger.pool).read(card.card_id)
        assert row.access is not None
        assert row.web is not None
        view = lockout(row.access, row.web, at=row.now, terms=TermsBook.load().at(DAY), discreet=True)
        assert [(lock.code, lock.released_by) for lock in view.locks] == [("card-closed", "nothing")]
        assert (view.can_log_in_card, view.can_borrow, view.can_repay) == (False, False, True)
        assert view.remedy == refusals.CardStopped().remedy
        assert await ledger.directory.cards(card.member_id) == [(card.card_id, True)]

    with_ledgers(database_url, story)


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_closes_a_settled_card_once_and_says_why_not_otherwise(database_url: str, tmp_path: Path) -> None:
    async def story() -> tuple[Holder, Holder]:
        async with opened(database_url) as ledger:
            owing = await holder(ledger)
            await borrowed(ledger, owing, 10_000)
            return await holder(ledger, email="other@example.com"), owing

    settled, owing = asyncio.run(story())
    last = rows(database_url, "select max(notification_id) from ledger_events")[0]
    again = said(database_url, tmp_path, str(settled.card_id), "--key", "closing")
    assert again == (0, f"{settled.card_id} is closed, at position {last + 1}\n")
    assert said(database_url, tmp_path, str(settled.card_id), "--key", "closing") == again
    run = [again, *(said(database_url, tmp_path, str(each)) for each in (settled.card_id, owing.card_id))]
    assert (run[1][0], run[1][1].partition(".")[0]) == (1, "This card is closed")
    assert (run[2][0], run[2][1].partition(".")[0]) == (1, "Something is owed, or an advance is under way")
    assert said(database_url, tmp_path, str(uuid4())) == (
        1,
        "There is no such object. Read the present state of the object and decide again.\n",
    )
    assert said(database_url, tmp_path, "card")[0] == 2
    on_record = rows(database_url, "select operation, code from refused_acts order by entry")
    assert on_record == [("close-card", "card-closed"), ("close-card", "not-settled")]


def said(dsn: str, folder: Path, *words: str) -> tuple[int, str]:
    """What `close-card` answers, and says, with nobody to ask."""
    keys = folder / "keys.json"
    if not keys.exists():
        kept = {name: base64.b64encode(key).decode() for name, key in KEYS.masters}
        keys.write_text(json.dumps({"current": KEYS.current, "keys": kept}))
        keys.chmod(0o600)
    sandbox = ["--sandbox"] if rows(dsn, "select sandbox from log_head") == [True] else []
    done = subprocess.run(
        [sys.executable, "-c", "from ledger.cli import main; main()", "close-card", *words, *sandbox],
        env=clean_environment() | {"DATABASE_URL": dsn, "CARDLEDGER_KEY_FILE": str(keys)},
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr
