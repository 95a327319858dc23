"""Card numbers that are nobody's, as they were tried: so that they answer like an untouched card, for one hour.

What must stay true: the table never holds more than `ROWS_MAX` rows, whoever tries whatever.
"""

from __future__ import annotations

from typing import Any

from psycopg_pool import AsyncConnectionPool

ROWS_MAX = 100_000

_FAILURES = """
select failures from unknown_numbers where number_index = %s and since > business_now() - interval '1 hour'
"""
_FORGET = "delete from unknown_numbers where since <= business_now() - interval '1 hour'"
_COUNT = """
insert into unknown_numbers as u (number_index, failures, since)
select %s, 1, business_now() where (select count(*) from unknown_numbers) < %s
on conflict (number_index) do update set failures = u.failures + 1
returning failures
"""


class UnknownNumbers:
    """Counts the failures of an hour, by the number's blind index."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def failures(self, index: bytes) -> int:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_FAILURES, (index,))).fetchone()
        return int(row[0]) if row else 0

    async def count(self, index: bytes) -> int:
        """Count one more failure; a number that finds no room stays at its first one."""
        async with self._pool.connection() as connection:
            await connection.execute(_FORGET)
            row = await (await connection.execute(_COUNT, (index, ROWS_MAX))).fetchone()
        return int(row[0]) if row else 1
