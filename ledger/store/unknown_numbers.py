"""Card numbers that are nobody's, as they were tried: so that they answer like an untouched card, for one hour.

What must stay true: the table never holds more than `ROWS_MAX` rows, whoever tries whatever, and a try reads one of its
parts at most.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg_pool import AsyncConnectionPool

PARTS: Final = 256
ROOM: Final = 500
"""Rows in each part. 100,000 numbers spread over the parts by their keyed index put about 390 into each; a part that
would take more than 500 of them is one in tens of millions."""
ROWS_MAX: Final = PARTS * ROOM

_FAILURES = """
select failures from unknown_numbers where number_index = %s and since > business_now() - interval '1 hour'
"""
_COUNT = "select count_unknown_number(%s, %s)"


class UnknownNumbers:
    """Counts the failures of an hour, by the number's blind index."""

    def __init__(self, pool: AsyncConnectionPool[Any], room: int = ROOM) -> None:
        self._pool = pool
        self._room = room

    async def failures(self, index: bytes) -> int:
        return await self._number(_FAILURES, index)

    async def count(self, index: bytes) -> int:
        """Count one more failure; a number that finds no room stays at its first one."""
        return await self._number(_COUNT, index, self._room)

    async def _number(self, query: str, *parameters: object) -> int:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(query, parameters)).fetchone()
        return int(row[0]) if row else 0
