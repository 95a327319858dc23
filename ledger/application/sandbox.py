"""What only a sandbox has: a clock that can be moved forward, and an outbox that can be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ledger.refusals import Refusal
from ledger.remedies import READ_STATE_FIRST
from ledger.store.directory import Directory


class ClockBackward(
    Refusal, code="clock-backward", ja="業務時計を過去に戻すことはできません。", remedy=READ_STATE_FIRST
):
    """The business clock cannot be moved backward."""


class Sandbox:
    """The sandbox's own acts; a real ledger has none of them."""

    def __init__(self, pool: AsyncConnectionPool[Any], directory: Directory) -> None:
        self._pool = pool
        self._directory = directory

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

    async def outbox(self, limit: int = 200) -> list[dict[str, Any]]:
        """The mails that would have been sent, the newest first."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "select mail_id, member_id, kind, box, written_at from outbox order by written_at desc limit %s",
                (limit,),
            )
            rows = await cursor.fetchall()
        mails = []
        for mail_id, member_id, kind, box, written_at in rows:
            key = await self._directory.key_of(member_id)
            content = key.open(mail_id, 0, "mail", bytes(box)) if key is not None else {}
            written = written_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
            mails.append(
                {"mail_id": str(mail_id), "member_id": str(member_id), "kind": kind, "written_at": written, **content}
            )
        return mails
