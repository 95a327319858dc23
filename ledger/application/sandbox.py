"""What only a sandbox has: a clock that can be moved forward, and an outbox that can be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ledger.application.outbox import Outbox
from ledger.refusals import ClockBackward


class Sandbox:
    """The sandbox's own acts; a real ledger has none of them."""

    def __init__(self, pool: AsyncConnectionPool[Any], outbox: Outbox) -> None:
        self._pool = pool
        self._outbox = outbox

    async def now(self) -> datetime:
        """The business time."""
        return await self._instant("select business_now()")

    async def move_clock(self, target: datetime) -> datetime:
        """Move the business clock; raises ClockBackward for a time before the present one."""
        try:
            return await self._instant("select move_clock(%s)", target)
        except ValueError:
            raise ClockBackward from None

    async def _instant(self, query: str, *parameters: object) -> datetime:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(query, parameters)).fetchone()
        if row is None or row[0] is None:
            raise ValueError
        instant: datetime = row[0]
        return instant.astimezone(UTC)

    async def outbox(self) -> list[dict[str, Any]]:
        """The mails that would have been sent, the newest first."""
        return await self._outbox.newest()
