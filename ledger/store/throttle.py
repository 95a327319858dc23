"""Failed logins by the place they came from: who fails too often waits, whatever the card or the Web-ID.

What must stay true: the address itself is never stored, only a keyed index of it; it is asked before anything is looked
up, so that the refusal says nothing about an account; a login under way holds a place among the failures, so that a
burst passes no more than the limit.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from psycopg_pool import AsyncConnectionPool

from ledger.refusals import Refusal, TooManyRequests
from ledger.store.keys import Keyring

FAILURES_IN_TEN_MINUTES = 10
FAILURES_IN_A_DAY = 40

_BEGIN = "select begin_login(%s, %s, %s, %s)"
_FAILED = "update login_sources set attempt = null where source_index = %s and attempt = %s"
_NOT_FAILED = "delete from login_sources where source_index = %s and attempt = %s"


class SourceThrottle:
    """Counts by IPv4 address or by IPv6 /64."""

    def __init__(self, pool: AsyncConnectionPool[Any], keys: Keyring) -> None:
        self._pool = pool
        self._keys = keys
        self.refused = 0

    @asynccontextmanager
    async def counting(self, address: str, *failures: type[Refusal]) -> AsyncIterator[None]:
        """Let one login of the address happen inside, and count it if it ends in one of these refusals.

        Raises TooManyRequests with the seconds to wait. A process that dies meanwhile leaves a failure.
        """
        source, attempt = self._keys.index("source", source_of(address)), uuid4()
        wait = await self._asked(_BEGIN, source, attempt, FAILURES_IN_TEN_MINUTES, FAILURES_IN_A_DAY)
        if wait is not None:
            self.refused += 1
            raise TooManyRequests(retry_after=wait)
        ended = _NOT_FAILED
        try:
            yield
        except failures:
            ended = _FAILED
            raise
        finally:
            await self._asked(ended, source, attempt)

    async def _asked(self, query: str, *parameters: object) -> int | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, parameters)
            row = await cursor.fetchone() if cursor.description else None
        return row[0] if row is not None else None


def source_of(address: str) -> str:
    """The part of an address that one party holds: the whole of IPv4, the /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else parsed)
