"""Failed logins by the place they came from: who fails too often waits, whatever the card or the Web-ID.

What must stay true: the address itself is never stored, only a keyed index of it; it is asked before anything is looked
up, so that the refusal says nothing about an account.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ledger.refusals import TooManyRequests
from ledger.store.keys import Keyring

FAILURES_IN_TEN_MINUTES = 10
FAILURES_IN_A_DAY = 40

# The seconds until one failure fewer counts, in whichever window is full.
_WAIT = """
select greatest(
    case when count(*) filter (where failed_at > clock_timestamp() - interval '10 minutes') >= %s
    then extract(epoch from min(failed_at) filter (where failed_at > clock_timestamp() - interval '10 minutes')
         + interval '10 minutes' - clock_timestamp()) end,
    case when count(*) >= %s then extract(epoch from min(failed_at) + interval '1 day' - clock_timestamp()) end
)::int
from login_sources where source_index = %s and failed_at > clock_timestamp() - interval '1 day'
"""


class SourceThrottle:
    """Counts by IPv4 address or by IPv6 /64."""

    def __init__(self, pool: AsyncConnectionPool[Any], keys: Keyring) -> None:
        self._pool = pool
        self._keys = keys

    async def refuse_if_throttled(self, address: str) -> None:
        """Raise TooManyRequests with the seconds to wait."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                _WAIT, (FAILURES_IN_TEN_MINUTES, FAILURES_IN_A_DAY, self._index(address))
            )
            row = await cursor.fetchone()
        if row is not None and row[0] is not None:
            raise TooManyRequests(retry_after=max(1, int(row[0])))

    async def count_failure(self, address: str) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(
                "insert into login_sources (source_index, failed_at) values (%s, clock_timestamp())",
                (self._index(address),),
            )

    def _index(self, address: str) -> bytes:
        return self._keys.index("source", source_of(address))


def source_of(address: str) -> str:
    """The part of an address that one party holds: the whole of IPv4, the /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else parsed)
