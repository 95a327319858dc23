"""What auditors have read, on record: a table of its own beside the log, written before the answer is given.

What must stay true: a read that cannot be put on record is not answered, and what is on record is never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

_WRITE = """
insert into reads_on_record (read_at, subject, role, operation, path, query, request_id)
values (business_now(), %s, %s, %s, %s, %s, %s)
"""
_PAGE = """
select read_id, to_char(read_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as read_at, subject, role,
    operation, path, query, request_id
from reads_on_record where read_id < %s order by read_id desc limit %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOnRecord:
    """Who asked for what; `query` is the query as it was sent."""

    read_id: int
    read_at: str
    subject: str
    role: str
    operation: str
    path: str
    query: str
    request_id: str


class AccessLog:
    """Writes and reads the table `reads_on_record`."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def put_on_record(
        self, *, subject: str, role: str, operation: str, path: str, query: str, request_id: str
    ) -> None:
        """Note one read; it is committed when this returns."""
        async with self._pool.connection() as connection:
            await connection.execute(_WRITE, (subject, role, operation, path, query, request_id))

    async def page(self, before: int, limit: int) -> list[ReadOnRecord]:
        """The reads before an id, newest first."""
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(ReadOnRecord))
            rows: list[ReadOnRecord] = await (await cursor.execute(_PAGE, (before, limit))).fetchall()
        return rows
