"""How far the read models are, for readers that wait: told by the projector's notifications, checked by a poll.

What must stay true: a wait ends by itself, and a lost notification costs at most one poll.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

POLL_SECONDS = 0.25


class Freshness:
    """`acknowledged` holds the last position that this process acknowledged on each stream."""

    def __init__(self, dsn: str, pool: AsyncConnectionPool[Any], acknowledged: Mapping[UUID, int]) -> None:
        self._dsn = dsn
        self._pool = pool
        self._acknowledged = acknowledged
        self.positions: dict[str, int] = {}
        self._moved = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._listen(), name="freshness")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def acknowledged_on(self, stream: UUID) -> int:
        """The last position that this process acknowledged on the stream, 0 for none that it remembers."""
        return self._acknowledged.get(stream, 0)

    async def reached(self, read_model: str, stream: UUID | None, position: int | None, wait_seconds: float) -> bool:
        """Wait until the read model shows `position`, and what was acknowledged here on the stream; False if not."""
        needed = max(position or 0, self._acknowledged.get(stream, 0) if stream is not None else 0)
        if self.positions.get(read_model, 0) >= needed:
            return True
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while self.positions.get(read_model, 0) < needed:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                await self._refresh()
                return self.positions.get(read_model, 0) >= needed
            async with self._moved:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._moved.wait(), min(left, POLL_SECONDS))
                    continue
            await self._refresh()
        return True

    async def recorded(self, position: int, wait_seconds: float) -> bool:
        """Wait until the log itself holds the position; False if it does not by then."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        while await self._head() < position:
            left = deadline - loop.time()
            if left <= 0:
                return False
            await asyncio.sleep(min(left, POLL_SECONDS))
        return True

    async def _head(self) -> int:
        async with self._pool.connection() as connection:
            query = "select coalesce(max(notification_id), 0) from ledger_events"
            row = await (await connection.execute(query)).fetchone()
        assert row is not None
        return int(row[0])

    async def _refresh(self) -> None:
        async with self._pool.connection() as connection:
            rows = await (await connection.execute("select name, position from projections")).fetchall()
        self.positions = dict(rows)
        async with self._moved:
            self._moved.notify_all()

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                    await connection.execute("listen ledger_projected")
                    await self._refresh()
                    async for notification in connection.notifies():
                        await self._take(notification.payload)
            await asyncio.sleep(POLL_SECONDS)

    async def _take(self, payload: str) -> None:
        for pair in payload.split():
            name, _, position = pair.partition(":")
            self.positions[name] = int(position)
        async with self._moved:
            self._moved.notify_all()
