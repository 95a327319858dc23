"""Events as they are told outside: CloudEvents 1.0, by position, in pages.

What must stay true: the envelope is made of the stored event alone, so that the same event reads the same for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.fact import FACTS
from ledger.postings import postings
from ledger.store.pages import Recorded, recorded_rows

SOURCE = "/cardledger"
SCHEMAS = "/v1/schemas/"
SEQUENCE_DIGITS = 16

# A filter may fit nothing in a long log: one query looks at so many positions, and tells how far it has looked.
WINDOW = 50_000

_PAGE = """
select notification_id, recorded_at, originator_id, originator_version, topic, state from ledger_events
where notification_id > %(after)s and notification_id <= %(until)s
  and (%(stream)s::uuid is null or originator_id = %(stream)s and originator_version > coalesce(
      (select originator_version from ledger_events where notification_id = %(after)s and originator_id = %(stream)s),
      (select b.originator_version from ledger_events b
       where b.originator_id = %(stream)s and b.notification_id <= %(after)s
       order by b.originator_version desc limit 1), 0))
  and (%(topic)s::text is null or topic = %(topic)s)
  and (%(actor)s::text is null or convert_from(state, 'UTF8')::jsonb->'cause'->>'actor' = %(actor)s)
  and (%(correlation)s::text is null
       or convert_from(state, 'UTF8')::jsonb->'cause'->>'correlation_id' = %(correlation)s)
  and (%(value_from)s::text is null or convert_from(state, 'UTF8')::jsonb->'data'->>'value_date' >= %(value_from)s)
  and (%(value_to)s::text is null or convert_from(state, 'UTF8')::jsonb->'data'->>'value_date' <= %(value_to)s)
order by notification_id limit %(limit)s
"""
# One stream goes by its own index: where it is most of the log, PostgreSQL would else read the log and sort it.
_STREAM_PAGE = (
    _PAGE.replace("(%(stream)s::uuid is null or originator_id", "(originator_id")
    .replace("where notification_id > %(after)s and notification_id <=", "where notification_id + 0 <=")
    .replace("order by notification_id", "order by originator_version")
)
_HEAD = "select coalesce(max(notification_id), 0) from ledger_events"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are wanted; None wants them all. Days and positions are inclusive; a fact without a value date fits
    no range of value dates."""

    stream: UUID | None = None
    topic: str | None = None
    actor: str | None = None
    correlation: str | None = None
    value_from: date | None = None
    value_to: date | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class EventsRead:
    """Events in the order of the log, the position looked at last, and where the listing ends: the head seen before."""

    events: list[Recorded]
    read_to: int
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
        "dataschema": SCHEMAS + type_outside(fact.topic, fact.schema_version),
        "data": msgspec.to_builtins(fact),
    }
    if cause.causation_id is not None:
        envelope["causationid"] = cause.causation_id
    return envelope


def turnover(recorded: Recorded) -> tuple[int, int]:
    """The debits and the credits of the event in the books, in whole yen."""
    lines = postings(recorded.event.fact)
    debits = sum(line.amount for line in lines if line.direction == "debit")
    return debits, sum(line.amount for line in lines) - debits


class EventLog:
    """Reads pages of the log; a page of one stream goes by the stream's own index."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def page(self, wanted: EventFilter, *, after: int, limit: int) -> EventsRead:
        """The next events after a position that fit; none beyond the head of this moment or `wanted.until`."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_HEAD)).fetchone()
            assert row is not None
            until = head = int(row[0]) if wanted.until is None else min(int(row[0]), wanted.until)
            if wanted.stream is None:
                until = min(until, after + WINDOW)
            parameters = {
                "after": after,
                "limit": limit,
                "until": until,
                "stream": wanted.stream,
                "topic": wanted.topic,
                "actor": wanted.actor,
                "correlation": wanted.correlation,
                "value_from": wanted.value_from and wanted.value_from.isoformat(),
                "value_to": wanted.value_to and wanted.value_to.isoformat(),
            }
            query = _PAGE if wanted.stream is None else _STREAM_PAGE
            rows = await (await connection.cursor(binary=True).execute(query, parameters)).fetchall()
        events = recorded_rows(rows)
        return EventsRead(events, events[-1].position if len(events) == limit else max(until, after), head)
