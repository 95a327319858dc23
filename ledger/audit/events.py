"""Events as they are told outside: CloudEvents 1.0, by position, in pages.

What must stay true: the envelope is made of the stored event alone, so that the same event reads the same for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.fact import FACTS
from ledger.store.pages import Recorded, recorded_rows

SOURCE = "/cardledger"
SEQUENCE_DIGITS = 16

_PAGE = """
select notification_id, recorded_at, originator_id, originator_version, topic, state from ledger_events
where notification_id > %(after)s
  and (%(stream)s::uuid is null or originator_id = %(stream)s)
  and (%(topic)s::text is null or topic = %(topic)s)
  and (%(actor)s::text is null or convert_from(state, 'UTF8')::jsonb->'cause'->>'actor' = %(actor)s)
  and (%(correlation)s::text is null
       or convert_from(state, 'UTF8')::jsonb->'cause'->>'correlation_id' = %(correlation)s)
order by notification_id limit %(limit)s
"""
_STREAM_PAGE = _PAGE.replace("order by notification_id", "order by originator_version")
_HEAD = "select coalesce(max(notification_id), 0) from ledger_events"


@dataclass(frozen=True, slots=True)
class EventsRead:
    """Events in the order of the log, with the head that was seen before they were read."""

    events: list[Recorded]
    head: int


def instant(at: datetime) -> str:
    """RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def type_outside(topic: str, schema_version: int) -> str:
    """`card.login-failed` of schema 1 as `cardledger.card.login-failed.v1`."""
    return f"cardledger.{topic}.v{schema_version}"


def topic_of(type_: str) -> str | None:
    """The topic of a type as it is told outside, or None where there is no such type."""
    for topic, fact in FACTS.items():
        if type_ == type_outside(topic, fact.schema_version):
            return topic
    return None


def cloud_event(recorded: Recorded) -> dict[str, Any]:
    """The event outside: CloudEvents 1.0 with who, where and why as extensions."""
    event, fact = recorded.event, recorded.event.fact
    cause = event.cause
    envelope = {
        "specversion": "1.0",
        "id": str(recorded.position),
        "source": SOURCE,
        "type": type_outside(fact.topic, fact.schema_version),
        "subject": str(event.originator_id),
        "time": instant(event.at),
        "recordedtime": instant(recorded.recorded_at),
        "sequence": str(recorded.position).zfill(SEQUENCE_DIGITS),
        "streamversion": event.originator_version,
        "actor": cause.actor,
        "actorrole": cause.role,
        "channel": cause.channel,
        "commandid": str(cause.command_id),
        "correlationid": cause.correlation_id,
        "datacontenttype": "application/json",
        "data": msgspec.to_builtins(fact),
    }
    if cause.causation_id is not None:
        envelope["causationid"] = cause.causation_id
    return envelope


class EventLog:
    """Reads pages of the log; a page of one stream goes by the stream's own index."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def page(
        self,
        *,
        after: int,
        limit: int,
        stream: UUID | None = None,
        topic: str | None = None,
        actor: str | None = None,
        correlation: str | None = None,
    ) -> EventsRead:
        """The next events after a position that fit every filter given."""
        wanted = {
            "after": after,
            "limit": limit,
            "stream": stream,
            "topic": topic,
            "actor": actor,
            "correlation": correlation,
        }
        async with self._pool.connection() as connection:
            head = await (await connection.execute(_HEAD)).fetchone()
            query = _STREAM_PAGE if stream is not None else _PAGE
            rows = await (await connection.cursor(binary=True).execute(query, wanted)).fetchall()
        assert head is not None
        return EventsRead(recorded_rows(rows), int(head[0]))

