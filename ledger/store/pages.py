"""Pages of the log by position: how followers, replays and auditors read it, each page in a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ledger.aggregates.fact import Event
from ledger.store.mapper import decode

Connection = psycopg.AsyncConnection[Any]

PAGE = 2000
_EVENTS = """
select notification_id, recorded_at, originator_id, originator_version, topic, state
from ledger_events where notification_id > %s order by notification_id limit %s
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its place in the log and the time the log took it."""

    position: int
    recorded_at: datetime
    event: Event


async def page_after(connection: Connection, position: int, limit: int = PAGE) -> list[Recorded]:
    """The next events of the log after a position."""
    cursor = await connection.cursor(binary=True).execute(_EVENTS, (position, limit))
    return recorded_rows(await cursor.fetchall())


def recorded_rows(rows: Sequence[tuple[Any, ...]]) -> list[Recorded]:
    """Rows (position, recorded_at, stream, version, topic, state) as events at their places."""
    return [
        Recorded(position, recorded_at, decode(stream, version, topic, state))
        for position, recorded_at, stream, version, topic, state in rows
    ]
