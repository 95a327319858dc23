"""The library's recorder over the one record function: there is no second, unguarded way into the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID, uuid4

from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg import Connection
from psycopg.rows import DictRow

from ledger.store.batch import RECORD, Batch


class LedgerRecorder(PostgresApplicationRecorder):
    """Appends through `record_acts`; the tables come from the migrations and never from a recorder."""

    def create_table(self) -> None:
        """Nothing: `ledger.store.schema.migrate` made the tables, once, before any worker started."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Record the events as one act; raises IntegrityError when a stream is not at the version they follow."""
        if not stored_events:
            return []
        with self.datastore.get_connection() as connection:
            return self._insert(connection, stored_events)

    @staticmethod
    def _insert(connection: Connection[DictRow], stored_events: Sequence[StoredEvent]) -> Sequence[int]:
        row = connection.execute("select clock_offset from log_head").fetchone()
        assert row is not None
        batch = Batch(uuid4(), row["clock_offset"])
        for stored in stored_events:
            stream = cast("UUID", stored.originator_id)
            batch.look(stream, stored.originator_version - 1)
            batch.touch(1, stream, writes=True)
            batch.add_event(1, stream, stored.originator_version, stored.topic, stored.state)
        batch.acts = 1
        answer = connection.execute(RECORD, batch.arguments(), binary=True).fetchone()
        assert answer is not None
        [outcome] = batch.outcomes(**answer)
        if outcome.clash is not None:
            raise IntegrityError(f"not recorded: {outcome.clash}")
        last = outcome.position
        return list(range(last - len(stored_events) + 1, last + 1))
