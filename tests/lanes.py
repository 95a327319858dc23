"""Lanes on a database of a test, and the smallest acts to give them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
from ledgers import BOOK, order, rows, terminate_backends

from ledger.aggregates.member import Member
from ledger.instruction import Answer
from ledger.lane import Act, Desk, Lane
from ledger.store.batch import RECORD, Batch, Outcome
from ledger.store.log import Log

Body = dict[str, Any]


@asynccontextmanager
async def lane_on(dsn: str, log: Log | None = None, **bounds: int) -> AsyncIterator[Lane]:
    lane = Lane(log or Log(dsn), BOOK, **bounds)
    await lane.start()
    try:
        yield lane
    finally:
        await lane.stop()


def in_lane(dsn: str, story: Callable[[Lane], Any], **bounds: int) -> Any:
    async def run() -> Any:
        async with asyncio.timeout(60), lane_on(dsn, **bounds) as lane:
            return await story(lane)

    return asyncio.run(run())


class LosingLog(Log):
    """Loses the answer of the first record call of several acts: the connection dies between commit and answer."""

    lost = False

    async def record(self, batch: Batch) -> list[Outcome]:
        await self.connection()
        if not self.lost and batch.acts > 1:
            self.lost = True
            async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as another:
                await another.execute(RECORD, batch.arguments(), binary=True)
            await asyncio.to_thread(terminate_backends, self._dsn)
        return await super().record(batch)


def enrol(member_id: UUID, **asked: Any) -> Act:
    def decide(desk: Desk) -> Body:
        desk.new(Member, member_id).enrol()
        return {"member_id": str(member_id)}

    return Act(order(**asked), (member_id,), decide)


def change(member_id: UUID, **asked: Any) -> Act:
    """One more fact on the member's stream."""

    def decide(desk: Desk) -> Body:
        return {"version": desk.member(member_id).change_profile(("phone",))}

    return Act(order(**asked), (member_id,), decide)


async def outcomes(lane: Lane, *acts: Act) -> list[Answer | BaseException]:
    """Execute the acts together: they wait at one time and go into one batch."""
    return await asyncio.gather(*(lane.execute(act) for act in acts), return_exceptions=True)


def batches(dsn: str) -> int:
    count: int = rows(dsn, "select count(*) from recorded_batches")[0]
    return count
