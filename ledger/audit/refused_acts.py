"""Declined acts as auditors read them: newest first, with the state that each saw and the position of that state.

What must stay true: a view as of an instant tells nothing that happened after it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from ledger.audit.events import instant
from ledger.refusals import REFUSALS

# The position seen is that of the newest fact of the streams seen: what the versions say, told as a place in the log.
_PAGE = """
select entry, refusal_id, card_id, member_id, operation, actor, role, channel, command_id, correlation_id, code, remedy,
    details, seen, refused_at,
    case when last_refused_at <= %(until)s then times end as times,
    case when last_refused_at <= %(until)s then last_refused_at end as last_refused_at,
    (select max(e.notification_id) from ledger_events e
     where (e.originator_id, e.originator_version)
        in ((card_id, (seen->'card'->>'version')::bigint), (member_id, (seen->'member'->>'version')::bigint))
    ) as seen_position
from refused_acts
where (card_id = %(stream)s or member_id = %(stream)s) and entry < %(before)s and refused_at <= %(until)s
    and (%(since)s::date is null or (last_refused_at at time zone 'Asia/Tokyo')::date >= %(since)s)
    and (%(to)s::date is null or (refused_at at time zone 'Asia/Tokyo')::date <= %(to)s)
order by entry desc limit %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedAct:
    """One refusal; `times` and `last_refused_at` are None as of an instant before its last repetition."""

    entry: int
    refusal_id: UUID
    card_id: UUID | None
    member_id: UUID
    operation: str
    actor: str
    role: str
    channel: str
    command_id: UUID
    correlation_id: str
    code: str
    remedy: str
    details: dict[str, Any]
    seen: dict[str, Any]
    seen_position: int
    refused_at: datetime
    times: int | None
    last_refused_at: datetime | None

    def told(self, language: str) -> dict[str, Any]:
        """The row as plain JSON with the sentence that the caller was told; without what is not known as of then."""
        row = {name: value for name, value in asdict(self).items() if name != "entry" and value is not None}
        refusal = REFUSALS[self.code]
        at: dict[str, Any] = {name: instant(row[name]) for name in ("refused_at", "last_refused_at") if name in row}
        ids = {name: str(value) for name, value in row.items() if isinstance(value, UUID)}
        return {**row, **ids, **at, "sentence": refusal.ja if language == "ja" else (refusal.__doc__ or "").strip()}


class RefusedActs:
    """Reads the table `refused_acts`, which the record function writes."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def page(
        self,
        stream: UUID,
        *,
        until: datetime,
        since: date | None = None,
        to: date | None = None,
        before: int = 2**62,
        limit: int = 50,
    ) -> list[RefusedAct]:
        """The refusals of a card or a member that began by an instant, between two business days where given."""
        wanted = {"stream": stream, "until": until, "since": since, "to": to, "before": before, "limit": limit}
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(RefusedAct))
            found: list[RefusedAct] = await (await cursor.execute(_PAGE, wanted)).fetchall()
        return found

    async def every(self, stream: UUID, **wanted: Any) -> AsyncIterator[RefusedAct]:
        """All that `page` tells, page after page."""
        before = 2**62
        while found := await self.page(stream, before=before, **wanted):
            for act in found:
                yield act
            before = found[-1].entry
