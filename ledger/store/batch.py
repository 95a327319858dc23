"""What one call of the record function takes: the acts of a batch as arrays, one element for each event, key or row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from ledger.store.kept import KeptState, fold_code

RECORD = """
select head, clashes from record_acts(
    %b, %b, %b::uuid[], %b::bigint[], %b::int[], %b::uuid[], %b::boolean[],
    %b::int[], %b::uuid[], %b::bigint[], %b::text[], %b::bytea[],
    %b::int[], %b::bigint[], %b::text[], %b::text[], %b::bytea[], %b::text[], %b::bytea[], %b)
"""
"""Arrays go in binary: as text, each element of each is quoted in Python."""

_RECORD_AND_KEEP = """
with recorded as materialized (record_acts), kept as (
    insert into kept_states as k (stream, version, fold_code, state)
    select t.stream, t.version, %b, t.state
    from recorded r, unnest(%b::int[], %b::uuid[], %b::bigint[], %b::bytea[]) t (act, stream, version, state)
    where r.head is not null and (r.clashes is null or not r.clashes ? t.act::text)
    on conflict (stream) do update
    set version = excluded.version, fold_code = excluded.fold_code, state = excluded.state
)
select head, clashes from recorded
""".replace("record_acts", RECORD)
"""The states of the acts that stand are kept in the statement that records them: there is no moment between."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one act: its clash, or the position of its last event."""

    clash: str | None
    position: int


@dataclass(slots=True)
class Batch:
    """Acts are numbered from 1 by the lane (the library's recorder, with its single act, uses 1 as well)."""

    batch_id: UUID
    clock_offset: timedelta
    acts: int = 0
    streams: dict[UUID, int] = field(default_factory=dict)
    touches: dict[tuple[int, UUID], bool] = field(default_factory=dict)
    event_acts: list[int] = field(default_factory=list)
    event_streams: list[UUID] = field(default_factory=list)
    event_versions: list[int] = field(default_factory=list)
    event_topics: list[str] = field(default_factory=list)
    event_states: list[bytes] = field(default_factory=list)
    key_acts: list[int] = field(default_factory=list)
    key_events: list[int] = field(default_factory=list)
    """For each key, the events of the batch up to its act."""
    key_subjects: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    fingerprints: list[bytes] = field(default_factory=list)
    refusals: list[str | None] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    kept: dict[UUID, tuple[int, KeptState]] = field(default_factory=dict)

    def look(self, stream: UUID, version: int) -> None:
        """The batch was decided with the stream at this version; the first word on a stream counts."""
        self.streams.setdefault(stream, version)

    def touch(self, act: int, stream: UUID, *, writes: bool) -> None:
        self.touches[act, stream] = writes or self.touches.get((act, stream), False)

    def add_event(self, act: int, stream: UUID, version: int, topic: str, state: bytes) -> None:
        self.event_acts.append(act)
        self.event_streams.append(stream)
        self.event_versions.append(version)
        self.event_topics.append(topic)
        self.event_states.append(state)

    def add_key(self, act: int, subject: str, key: str, fingerprint: bytes, refusal: str | None, body: bytes) -> None:
        """The answer under the act's key; the events of the act come before it."""
        self.key_acts.append(act)
        self.key_events.append(len(self.event_acts))
        self.key_subjects.append(subject)
        self.keys.append(key)
        self.fingerprints.append(fingerprint)
        self.refusals.append(refusal)
        self.bodies.append(body)

    def add_row(self, act: int, table: str, row: dict[str, Any]) -> None:
        """A row that stands or falls with the act; `table` is a name that `write_rows` knows."""
        # Bytes travel in JSON as PostgreSQL's own hex text; UUIDs and instants as text.
        plain = {name: "\\x" + value.hex() if isinstance(value, bytes) else value for name, value in row.items()}
        self.rows.setdefault(table, []).append({"act": act, **plain})

    def keep(self, act: int, state: KeptState) -> None:
        """A state that is kept if the act stands; of one stream, the last one counts."""
        self.kept[state.stream] = act, state

    def arguments(self) -> tuple[Any, ...]:
        """The arguments of `RECORD`."""
        touched = list(self.touches)
        return (
            self.batch_id, self.clock_offset, list(self.streams), list(self.streams.values()),
            [act for act, _ in touched], [stream for _, stream in touched], list(self.touches.values()),
            self.event_acts, self.event_streams, self.event_versions, self.event_topics, self.event_states,
            self.key_acts, self.key_events, self.key_subjects, self.keys, self.fingerprints, self.refusals, self.bodies,
            Jsonb(self.rows, dumps=msgspec.json.encode) if self.rows else None,
        )  # fmt: skip

    def call(self) -> tuple[str, tuple[Any, ...]]:
        """The statement that records the batch, and its arguments."""
        if not self.kept:
            return RECORD, self.arguments()
        acts, states = zip(*self.kept.values(), strict=True)
        kept = ([each.stream for each in states], [each.version for each in states], [each.state for each in states])
        return _RECORD_AND_KEEP, (*self.arguments(), fold_code(), list(acts), *kept)

    def outcomes(self, head: int | None, clashes: Mapping[str, str] | None) -> list[Outcome]:
        """What `record_acts` answered, act by act; without a head the clock was moved and nothing is written."""
        if head is None:
            return [Outcome("clock", 0)] * self.acts
        found: list[Outcome] = []
        events = Counter(self.event_acts)
        for act in range(1, self.acts + 1):
            clash = clashes.get(str(act)) if clashes else None
            if clash is None:
                head += events[act]
            found.append(Outcome(clash, head))
        return found
