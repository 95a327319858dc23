"""Cursors: where the next page begins, sealed to the query and the caller that were given it.

What must stay true: a cursor that was changed, cut, or taken to another query or caller is refused before any look-up.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from api.exchange import Exchange
from api.faults import CursorInvalid

SEAL_BYTES = 16
UNBOUND = ("cursor", "limit")


def seal(exchange: Exchange, after: str) -> str:
    """The cursor that continues this query after `after`."""
    return base64.urlsafe_b64encode(_seal(exchange, after.encode()) + after.encode()).decode().rstrip("=")


def opened(exchange: Exchange) -> str | None:
    """Where the query goes on; None on its first page. Raises CursorInvalid."""
    cursor = exchange.query.get("cursor")
    if cursor is None:
        return None
    try:
        sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CursorInvalid from None
    mac, after = sealed[:SEAL_BYTES], sealed[SEAL_BYTES:]
    # The decoder ignores stray bits of the last character: only the one spelling that was given out counts.
    if not hmac.compare_digest(mac, _seal(exchange, after)) or seal(exchange, after.decode()) != cursor:
        raise CursorInvalid
    return after.decode()


def _seal(exchange: Exchange, after: bytes) -> bytes:
    asked = sorted((name, str(value)) for name, value in exchange.query.items() if name not in UNBOUND)
    bound = repr((exchange.operation, exchange.path, exchange.caller.role, exchange.caller.subject, asked)).encode()
    return hmac.digest(exchange.services.cursor_key, bound + b"\n" + after, "sha256")[:SEAL_BYTES]
