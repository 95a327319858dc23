"""Cards to measure with, made by real acts: enrolled, issued, logged in, lent to and paid back through the lane.

What must stay true: nothing is written into the log or the vaults but through the application.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg

from ledger.aggregates.fact import Cause
from ledger.application import Ledger
from ledger.bench.servers import Database
from ledger.instruction import ANONYMOUS, Caller, Instruction
from ledger.store import tokens
from ledger.store.credentials import HashCost
from ledger.store.keys import Keyring
from ledger.terms import TermsBook

T = TypeVar("T")

PIN = "3749"
LENT = 400_000
TOGETHER = 128
"""Acts under way at a time: they share commits."""
COUNTER = Caller(subject="bench-setup", role="counter", channel="counter")
SERVICE = Caller(subject="bench-setup", role="service", channel="service")
PROFILE: dict[str, Any] = {
    "name": "計測太郎",
    "kana": "ケイソクタロウ",
    "birth_date": "1980-04-01",
    "email": "bench@example.com",
    "phone": "09012345678",
    "address": "東京都千代田区",
    "workplace": "会社",
    "annual_income": 3_600_000,
    "web_statements": False,
    "payout_account": {
        "bank_code": "0001",
        "branch_code": "001",
        "kind": "ordinary",
        "number": "1234567",
        "holder_kana": "ケイソクタロウ",
    },
}


@dataclass(frozen=True, slots=True)
class BenchCard:
    """A card that owes `LENT` yen at first."""

    card_id: UUID
    number: str


@asynccontextmanager
async def opened(base: Database, cost: HashCost | None = None) -> AsyncIterator[Ledger]:
    """The application in this process; hashes are cheap unless a cost is given."""
    keys = Keyring.load(base.keys)
    ledger = await Ledger.open(base.dsns["ours"], keys, TermsBook.load(), cost=cost or HashCost.for_tests())
    ledger.pool.timeout = 60  # so many acts together would not wait so long for each other in a service
    try:
        yield ledger
    finally:
        await ledger.close_down()


def order(caller: Caller) -> Instruction:
    cause = Cause(
        actor=caller.subject, role=caller.role, channel=caller.channel, command_id=uuid4(), correlation_id="bench"
    )
    return Instruction(caller=caller, cause=cause)


async def card(ledger: Ledger) -> BenchCard:
    """A new member with a card of 500,000 yen that has drawn `LENT`."""
    member_id = UUID((await ledger.enrol_member(order(COUNTER), PROFILE)).body["member_id"])
    issued = (await ledger.issue_card(order(COUNTER), member_id, PIN, 500_000, 1780, 5)).body
    made = BenchCard(UUID(issued["card_id"]), issued["card_number"])
    opened_ = await ledger.log_in_by_card(order(ANONYMOUS), made.number, PIN)
    member = await ledger.doorkeeper.caller(opened_.body["token"])
    assert member is not None
    drawn = await ledger.draw_advance(order(member), made.card_id, LENT, "transfer")
    await ledger.confirm_advance(order(SERVICE), made.card_id, UUID(drawn.body["advance_id"]), None)
    return made


async def repaid(ledger: Ledger, card_id: UUID, times: int) -> None:
    """Pay one yen back, many times."""
    await together(lambda: ledger.repay(order(SERVICE), card_id, 1, "bank-transfer", None) for _ in range(times))


async def together(acts: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Do the acts, `TOGETHER` at a time; their answers in order."""
    room = asyncio.Semaphore(TOGETHER)

    async def one(act: Callable[[], Awaitable[T]]) -> T:
        async with room:
            return await act()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(act)) for act in acts]
    return [task.result() for task in tasks]


@dataclass(frozen=True, slots=True)
class Cards:
    """Cards by what they are for; `long` holds one card for each number of repayments."""

    spread: list[BenchCard]
    hot: BenchCard
    login: list[BenchCard]
    long: dict[int, BenchCard]


async def make(base: Database, *, spread: int, login: int, long: tuple[int, ...]) -> Cards:
    """Make them all."""
    async with opened(base) as ledger:
        made = await together([lambda: card(ledger)] * (spread + 1 + len(long)))
        lengths = dict(zip(long, made[spread + 1 :], strict=True))
        for times, one in lengths.items():
            await repaid(ledger, one.card_id, times)
    async with opened(base, HashCost()) as ledger:
        real = [await card(ledger) for _ in range(login)]
    return Cards(made[:spread], made[spread], real, lengths)


def token(base: Database, role: str) -> str:
    """A bearer token of the role."""
    with psycopg.connect(base.dsns["ours"]) as connection:
        return tokens.issue(connection, role, f"bench-{role}", timedelta(days=1))[1]
