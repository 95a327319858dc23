"""A ledger on a real database, members with cards in it, and the orders that reach it.

What must stay true: everything here goes through the application or the record function, as a client's act does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg

from ledger.aggregates.fact import Cause
from ledger.application import Ledger
from ledger.instruction import ANONYMOUS, Answer, Caller, IdempotencyKey, Instruction
from ledger.projections.projector import READ_MODELS, Projector
from ledger.refusals import Refusal
from ledger.store.credentials import HashCost
from ledger.store.keys import Keyring
from ledger.terms import TermsBook

T = TypeVar("T")

KEYS = Keyring("k1", (("k1", bytes(range(32))),))
OTHER_KEYS = Keyring("k1", (("k1", bytes(range(100, 132))),))
BOOK = TermsBook.load()
PIN, WRONG_PIN = "3749", "8261"
PASSWORD = "correct horse battery"
PROFILE: dict[str, Any] = {
    "name": "山田太郎",
    "kana": "ヤマダタロウ",
    "birth_date": "1980-04-01",
    "email": "taro@example.com",
    "phone": "09012345678",
    "address": "東京都千代田区",
    "workplace": "会社",
    "annual_income": 3_600_000,
    "web_statements": True,
    "payout_account": {
        "bank_code": "0001",
        "branch_code": "001",
        "kind": "ordinary",
        "number": "1234567",
        "holder_kana": "ヤマダタロウ",
    },
}
COUNTER = Caller(subject="clerk", role="counter", channel="counter")
BANK = Caller(subject="bank", role="service", channel="service")
ATM = Caller(subject="anonymous", role="anonymous", channel="atm")


def order(caller: Caller = COUNTER, key: str | None = None, fingerprint: bytes = b"f" * 32) -> Instruction:
    """One act of the caller, under the key where one is given."""
    cause = Cause(
        actor=caller.subject, role=caller.role, channel=caller.channel, command_id=uuid4(), correlation_id="test"
    )
    used = IdempotencyKey(subject=caller.subject, key=key, fingerprint=fingerprint) if key is not None else None
    return Instruction(caller=caller, cause=cause, key=used)


@asynccontextmanager
async def opened(dsn: str, keys: Keyring = KEYS, queue_max: int = 4096) -> AsyncIterator[Ledger]:
    """A ledger with hashes that cost nothing. Two of them on one database are what two processes are."""
    ledger = await Ledger.open(dsn, keys, BOOK, cost=HashCost.for_tests(), queue_max=queue_max)
    try:
        yield ledger
    finally:
        await ledger.close_down()


def with_ledgers(dsn: str, story: Callable[..., Awaitable[T]], processes: int = 1) -> T:
    """Run the story with as many ledgers on the database."""

    async def run() -> T:
        async with asyncio.timeout(120), AsyncExitStack() as stack:
            return await story(*[await stack.enter_async_context(opened(dsn)) for _ in range(processes)])

    return asyncio.run(run())


@dataclass(frozen=True)
class Holder:
    """A member with a card."""

    member_id: UUID
    card_id: UUID
    number: str


async def enrolled(ledger: Ledger, **profile: Any) -> UUID:
    """A member without a card."""
    return UUID((await ledger.enrol_member(order(), {**PROFILE, **profile})).body["member_id"])


async def holder(ledger: Ledger, pin: str = PIN, **profile: Any) -> Holder:
    """A new member with a card of 500,000 yen at 17.8 %."""
    member_id = await enrolled(ledger, **profile)
    issued = (await ledger.issue_card(order(), member_id, pin, 500_000, 1780, 5)).body
    return Holder(member_id, UUID(issued["card_id"]), issued["card_number"])


async def session(ledger: Ledger, card: Holder, pin: str = PIN) -> str:
    """The token of a session opened by card and PIN."""
    token: str = (await ledger.log_in_by_card(order(ANONYMOUS), card.number, pin)).body["token"]
    return token


async def caller_of(ledger: Ledger, token: str) -> Caller:
    caller = await ledger.doorkeeper.caller(token)
    assert caller is not None
    return caller


async def borrowed(ledger: Ledger, card: Holder, amount: int) -> None:
    """Draw the amount and confirm it."""
    caller = await caller_of(ledger, await session(ledger, card))
    drawn = await ledger.draw_advance(order(caller), card.card_id, amount, "transfer")
    await ledger.confirm_advance(order(BANK), card.card_id, UUID(drawn.body["advance_id"]), None)


async def told(act: Awaitable[Answer]) -> str:
    """How the act was answered: "ok", or the code of its refusal."""
    try:
        await act
    except Refusal as refusal:
        return refusal.code
    return "ok"


async def all_told(acts: Iterable[Awaitable[Answer]]) -> list[str]:
    return list(await asyncio.gather(*(told(act) for act in acts)))


def rows(dsn: str, query: str, *parameters: object) -> list[Any]:
    """The rows of a query, or the values where it has one column."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query.encode(), parameters)
        found = cursor.fetchall() if cursor.description else []
    return [row[0] if len(row) == 1 else row for row in found]


def topics(dsn: str, stream: UUID) -> list[str]:
    """What happened on a stream, in order."""
    query = "select topic from ledger_events where originator_id = %s order by originator_version"
    return rows(dsn, query, stream)


def assert_dense(dsn: str) -> None:
    """Positions and versions have no hole, and the recorded times never run backward."""
    assert rows(dsn, "select coalesce(max(notification_id), 0) - count(*) from ledger_events") == [0]
    holes = """
        select originator_id from ledger_events group by originator_id
        having max(originator_version) <> count(*) or min(originator_version) <> 1"""
    assert rows(dsn, holes) == []
    backward = """
        select position from (select notification_id as position, recorded_at,
            lag(recorded_at) over (order by notification_id) as before from ledger_events) e
        where recorded_at < before"""
    assert rows(dsn, backward) == []


def terminate_backends(dsn: str) -> None:
    """Cut every connection to the database, as the end of its server does."""
    rows(
        dsn,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()",
    )


async def project(dsn: str, projector: Projector | None = None) -> None:
    """Bring the read models up to the head of the log, as the leading projector does."""
    following = projector or Projector(dsn)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=2) as connection:
        for name in (model.name for model in READ_MODELS):
            await connection.execute("insert into projections (name) values (%s) on conflict do nothing", (name,))
        while await following.step(connection):
            pass


async def until(reached: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is so; fail after `seconds`."""
    async with asyncio.timeout(seconds):
        while not reached():
            await asyncio.sleep(0.02)
