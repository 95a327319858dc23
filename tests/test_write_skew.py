"""Acts that rest on both a card and its member, decided at the same time by two processes: one of them sees the other.

Both are held before they are recorded, so that each was decided without the other's facts; then they are let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from ledgers import COUNTER, PIN, Holder, enrolled, holder, opened, order, rows, told, until

from ledger.application import Ledger
from ledger.calendar import business_day
from ledger.instruction import Answer, Caller

CREDIT = Caller(subject="desk", role="credit", channel="credit")
WAITING = "select count(*) from pg_locks where not granted and locktype in ('transactionid', 'tuple')"


async def at_once(dsn: str, *acts: Awaitable[Answer]) -> list[str]:
    """What the acts are answered when all of them were decided before any of them was recorded."""
    async with await psycopg.AsyncConnection.connect(dsn) as holding:
        await holding.execute("select from log_head for update")
        asked = []
        for number, act in enumerate(acts, start=1):
            asked.append(asyncio.create_task(told(act)))
            await until(lambda number=number: rows(dsn, WAITING) == [number])  # type: ignore[misc]
    return list(await asyncio.gather(*asked))


async def raise_asked(ledger: Ledger, card: Holder) -> UUID:
    asked = await ledger.request_limit_change(order(COUNTER), card.member_id, 1_000_000)
    return UUID(asked.body["request_id"])


async def proven(ledger: Ledger, member_id: UUID) -> None:
    issued_on = business_day(await ledger.sandbox.now()) - timedelta(days=30)
    await ledger.record_income_proof(order(COUNTER), member_id, 3_600_000, issued_on)


@pytest.mark.parametrize("raise_first", [True, False])
def test_a_raise_and_a_credit_report_never_pass_each_other_by(database_url: str, raise_first: bool) -> None:
    """Either the report finds the raised limit and suspends, or the raise finds the report and is refused."""

    async def story() -> tuple[dict[str, str], Any]:
        async with opened(database_url) as one, opened(database_url) as other:
            card = await holder(one)
            await proven(one, card.member_id)
            request_id = await raise_asked(one, card)
            today = business_day(await one.sandbox.now())
            raised = one.decide_limit_change(order(CREDIT), card.member_id, request_id, True, None, "asked")
            reported = other.record_credit_report(order(CREDIT), card.member_id, 300_000, today)
            acts = {"raise": raised, "report": reported}
            names = sorted(acts, reverse=not raise_first)
            answers = dict(zip(names, await at_once(database_url, *(acts[name] for name in names)), strict=True))
            return answers, one.repository.get(card.card_id)

    answers, card = asyncio.run(story())
    suspended = [each.reason for each in card.access.suspensions.values()]
    limit = card.account.credit_limit
    assert answers["report"] == "ok"
    assert (answers["raise"], limit, suspended) in [
        ("ok", 1_000_000, ["over-one-third"]),
        ("over-one-third", 500_000, []),
    ]


@pytest.mark.parametrize("issue_first", [True, False])
def test_a_card_is_never_issued_on_a_proof_that_is_void_already(database_url: str, issue_first: bool) -> None:
    """The issue only reads the member; a change of workplace only writes there."""

    async def story() -> dict[str, str]:
        async with opened(database_url) as one, opened(database_url) as other:
            member_id = await enrolled(one)
            await proven(one, member_id)
            acts = {
                "issue": one.issue_card(order(COUNTER), member_id, PIN, 600_000, 1780, 5),
                "move": other.change_profile(order(COUNTER), member_id, {"workplace": "別の会社"}),
            }
            names = sorted(acts, reverse=not issue_first)
            return dict(zip(names, await at_once(database_url, *(acts[name] for name in names)), strict=True))

    answers = asyncio.run(story())
    assert answers["move"] == "ok"
    order_of = rows(
        database_url,
        "select topic from ledger_events where topic in ('card.card-issued', 'member.profile-changed') order by"
        " notification_id",
    )
    assert (answers["issue"], order_of) in [
        ("ok", ["card.card-issued", "member.profile-changed"]),
        ("income-proof-required", ["member.profile-changed"]),
    ]
