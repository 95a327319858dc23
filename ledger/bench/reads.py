"""Every reader of pages and rows, asked for cards and places all over a log, and how long each answer takes.

What must stay true: the readers are those of the service, over a pool like its own; nothing is asked twice in a row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from statistics import median
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from ledger.audit.events import EventFilter, EventLog
from ledger.audit.replay import Replay
from ledger.projections.balances import BalanceReader
from ledger.projections.journal import JournalReader
from ledger.projections.lockouts import LockoutReader
from ledger.projections.transactions import TransactionReader
from ledger.store.pages import Connection

PAGE = 100
Read = Callable[[], Awaitable[object]]

_CARDS = "select card_id from balances order by card_id limit %s"
_HEAD = "select max(notification_id) from ledger_events"
_WITHIN = """
select notification_id from ledger_events where originator_id = %s
and originator_version %% (select max(originator_version) / 9 from ledger_events where originator_id = %s) = 1
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Where to read: cards by their random ids, the card with the longest stream, places in it, the head of the log."""

    cards: Sequence[UUID]
    longest: UUID
    within: Sequence[int]
    head: int

    @classmethod
    async def found(cls, connection: Connection, longest: UUID, cards: int = 200) -> Places:
        rows = await (await connection.execute(_CARDS, (cards,))).fetchall()
        head = await (await connection.execute(_HEAD)).fetchone()
        within = await (await connection.execute(_WITHIN, (longest, longest))).fetchall()
        assert head is not None
        return cls([row[0] for row in rows], longest, [row[0] for row in within], int(head[0]))

    def positions(self) -> Iterator[int]:
        """Positions without end, up and down the log."""
        return cycle([self.head * share // 97 for share in range(0, 97, 12)])


def reads(pool: AsyncConnectionPool[Any], places: Places) -> dict[str, Read]:
    """Each read by its name; each call reads somewhere else."""
    balances, lockouts, log = BalanceReader(pool), LockoutReader(pool), EventLog(pool)
    transactions, journal, replay = TransactionReader(pool), JournalReader(pool), Replay(pool)
    cards, at, long, within = cycle(places.cards), places.positions(), places.longest, cycle(places.within)
    return {
        "balance": lambda: balances.read(next(cards)),
        "balance of the longest card": lambda: balances.read(long),
        "lockout": lambda: lockouts.read(next(cards)),
        "transactions, first page": lambda: transactions.page(next(cards), limit=PAGE),
        "transactions of the longest card, first page": lambda: transactions.page(long, limit=PAGE),
        "transactions of the longest card, a page within": lambda: transactions.page(
            long, before=(next(within), 0), limit=PAGE
        ),
        "events of the log, a page within": lambda: log.page(EventFilter(), after=next(at), limit=PAGE),
        "events of a card": lambda: log.page(EventFilter(stream=next(cards)), after=0, limit=PAGE),
        "events of the longest card, a page within": lambda: log.page(
            EventFilter(stream=long), after=next(within), limit=PAGE
        ),
        "events of the longest card, what is new": lambda: log.page(
            EventFilter(stream=long), after=places.head, limit=PAGE
        ),
        "journal, a page within": lambda: journal.page(after=(next(at), 0), until=None, limit=PAGE),
        "position of an instant": lambda: _position_of_an_instant(replay, next(at)),
    }


async def _position_of_an_instant(replay: Replay, position: int) -> int:
    return await replay.position_of(await replay.recorded_at(max(1, position)))


async def milliseconds(dsn: str, longest: UUID, *, times: int) -> Mapping[str, float]:
    """The median time of each read, in turn with the others; the first of each is thrown away."""
    pool: AsyncConnectionPool[Any]
    kept = {"autocommit": True, "prepare_threshold": 2}
    async with AsyncConnectionPool(dsn, min_size=1, max_size=1, open=False, kwargs=kept) as pool:
        async with pool.connection() as connection:
            wanted = reads(pool, await Places.found(connection, longest))
        taken: dict[str, list[float]] = {name: [] for name in wanted}
        for _ in range(times + 1):
            for name, read in wanted.items():
                began = time.perf_counter()
                await read()
                taken[name].append((time.perf_counter() - began) * 1000)
    return {name: median(values[1:]) for name, values in taken.items()}


def measured(dsn: str, longest: UUID, *, times: int) -> Mapping[str, float]:
    """As `milliseconds`, for who waits."""
    return asyncio.run(milliseconds(dsn, longest, times=times))
