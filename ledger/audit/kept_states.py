"""Kept states against the log: each card that is kept, folded from its first event to the version it was kept at.

What must stay true: only states that this code folded are judged, for no other is ever used; nothing is mended here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final
from uuid import UUID

import msgspec

from ledger.aggregates.card import Card
from ledger.aggregates.fact import Aggregate
from ledger.audit.fold import Finding
from ledger.store.kept import KeptState, fold_code, kept_like, restored
from ledger.store.mapper import MapperDeserialisationError
from ledger.store.pages import PAGE, Connection, Recorded, recorded_rows

Differences = Callable[[str, Any, Any], Iterator[tuple[str, Any, Any]]]

_ROWS_AT_A_TIME: Final = 100
_KEPT = """
select stream, version, state from kept_states where fold_code = %s and (%s::uuid is null or stream > %s)
order by stream limit %s
"""
_STREAM = """
select notification_id, recorded_at, originator_id, originator_version, topic, state from ledger_events
where originator_id = %s and originator_version > %s and originator_version <= %s order by originator_version limit %s
"""


async def compare(connection: Connection, differences: Differences) -> tuple[int, list[Finding]]:
    """How many states were compared, and where one is not what its stream comes to."""
    compared, found = 0, []
    async for row in _rows(connection):
        compared += 1
        found.extend(await _compare(connection, row, differences))
    return compared, found


async def _compare(connection: Connection, row: KeptState, differences: Differences) -> list[Finding]:
    try:
        folded, position = await _folded(connection, row)
    except MapperDeserialisationError:
        return []  # the replay tells of an event that cannot be read
    try:
        stored = restored(row)
    except msgspec.MsgspecError:
        return [_finding(row, position, "state", "unreadable", "a state")]
    if folded is None or folded.version != row.version:
        return [_finding(row, None, "version", row.version, folded and folded.version)]
    right = kept_like(folded, stored.written.cut_through)
    both = msgspec.json.decode(row.state), msgspec.json.decode(right.state)
    return [_finding(row, position, *each) for each in differences("state", *both)]


def _finding(row: KeptState, position: int | None, field: str, stored: Any, replayed: Any) -> Finding:
    return Finding(
        what="kept-state",
        position=position,
        subject=row.stream,
        row=f"kept_states stream={row.stream}",
        field=field,
        stored=stored,
        replayed=replayed,
    )


async def _folded(connection: Connection, row: KeptState) -> tuple[Card | None, int | None]:
    """The card at the version of the row, and the position of its last event there."""
    aggregate: Aggregate | None = None
    position = None
    async for recorded in _events(connection, row):
        if recorded.event.originator_version != (aggregate.version if aggregate else 0) + 1:
            break  # the replay tells of a hole in a stream
        try:
            aggregate, position = recorded.event.mutate(aggregate), recorded.position
        except Exception:  # noqa: BLE001 - the replay tells of an event that cannot be folded
            break
    return aggregate if isinstance(aggregate, Card) else None, position


async def _events(connection: Connection, row: KeptState) -> AsyncIterator[Recorded]:
    version = 0
    while version < row.version:
        cursor = await connection.cursor(binary=True).execute(_STREAM, (row.stream, version, row.version, PAGE))
        events = recorded_rows(await cursor.fetchall())
        if not events:
            return
        for recorded in events:
            yield recorded
        version = events[-1].event.originator_version


async def _rows(connection: Connection) -> AsyncIterator[KeptState]:
    """The rows of this code; each as it is when it is read, for a newer one may replace it at any time."""
    last: UUID | None = None
    while True:
        cursor = connection.cursor(binary=True)
        await cursor.execute(_KEPT, (fold_code(), last, last, _ROWS_AT_A_TIME))
        rows = [KeptState(*row) for row in await cursor.fetchall()]
        for row in rows:
            yield row
        if len(rows) < _ROWS_AT_A_TIME:
            return
        last = rows[-1].stream
