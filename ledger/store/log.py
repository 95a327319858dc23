"""The writing connection: what a lane asks of the log and how it records, over one connection that heals itself.

What must stay true: an answer is given only for what is committed. After a lost connection the batch is looked for by
its id on a new one before anybody is told anything.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import psycopg

from ledger.aggregates.fact import Event
from ledger.instruction import IdempotencyKey
from ledger.store.batch import Batch, Outcome
from ledger.store.kept import KeptState, fold_code
from ledger.store.mapper import decode

TIMEOUTS = (
    "-c lock_timeout=5s -c statement_timeout=20s -c idle_in_transaction_session_timeout=5s"
    # The record function looks after it took the lock: each of its statements must see what is committed by then.
    r" -c default_transaction_isolation=read\ committed"
)
_LOOK_UPS = (
    # What the lane asks is looked up by keys. Its plans are made once for the connection, often while the tables are
    # still empty, so they may not choose to read a whole one; and they are not made anew for each batch.
    " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
)

EVENTS_AT_MOST: Final = 500
"""Events of one stream that are brought up at a time: others do not wait for the whole of a long one."""
_BREATH: Final = 50
"""Events that are decoded before others have their turn."""

_BRING_UP = (
    "select kind, stream, number, word, bytes, fingerprint, subject, key, at, clock_offset"
    " from bring_up(%b::uuid[], %b::bigint[], %b::text[], %b::text[], %b, %b::int)"
)
_SETTLE = """
select t.act, e.notification_id
from unnest(%b::int[], %b::uuid[], %b::bigint[], %b::bytea[]) t (act, stream, version, state)
join ledger_events e on e.originator_id = t.stream and e.originator_version = t.version and e.state = t.state
"""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What an earlier act under the same key was answered."""

    fingerprint: bytes
    position: int
    refusal: str | None
    body: bytes


@dataclass(slots=True)
class Standing:
    """The state of the log that a batch is decided on: `now` is the business time.

    `events` of a stream follow its kept state, if there is one; of an unfinished stream there are more.
    """

    now: datetime
    head: int
    clock_offset: timedelta
    events: dict[UUID, list[Event]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[tuple[str, str], StoredAnswer] = field(default_factory=dict)
    kept: list[KeptState] = field(default_factory=list)
    unfinished: set[UUID] = field(default_factory=set)
    presumed: bool = False
    """Whether the log was not asked: then only the record function knows whether it is so."""


class UnclearCommit(Exception):
    """The connection was lost after the batch was sent, and a new one cannot be had: nobody knows whether it stands."""


class Log:
    """One autocommit connection, made when it is needed and again after it was lost."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.AsyncConnection | None = None
        self._locked = False

    async def connection(self) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = await psycopg.AsyncConnection.connect(
                self._dsn, autocommit=True, connect_timeout=5, options=TIMEOUTS + _LOOK_UPS, prepare_threshold=2
            )
        return self._connection

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def bring_up(self, streams: Mapping[UUID, int], keys: Iterable[IdempotencyKey]) -> Standing:
        """The present standing, the events of the streams after the versions given, and the keys' stored answers.

        A stream at version 0 may begin with a kept state, one at -1 begins with its first event.
        """
        wanted = list(keys)
        arguments = (
            list(streams),
            list(streams.values()),
            [key.subject for key in wanted],
            [key.key for key in wanted],
            fold_code(),
            EVENTS_AT_MOST,
        )
        connection = await self.connection()
        try:
            cursor = await connection.cursor(binary=True).execute(_BRING_UP, arguments)
        except psycopg.OperationalError:
            # A connection that was cut while it was idle is only noticed now; asking once more on a new one is safe.
            if not connection.broken or self._locked:
                raise
            cursor = await (await self.connection()).cursor(binary=True).execute(_BRING_UP, arguments)
        standing: Standing | None = None
        decoded = 0
        async for kind, stream, number, word, content, fingerprint, subject, key, at, offset in cursor:
            if kind == 0:
                standing = Standing(at, number, offset)
                continue
            assert standing is not None, "the head comes first"
            if kind == 1:
                standing.kept.append(KeptState(stream, number, content))
            elif kind == 2:
                standing.events[stream].append(decode(stream, number, word, content))
                decoded += 1
                if decoded % _BREATH == 0:
                    await asyncio.sleep(0)
            else:
                standing.answers[subject, key] = StoredAnswer(fingerprint, number, word, content)
        assert standing is not None, "the schema always holds log_head"
        standing.unfinished.update(stream for stream, news in standing.events.items() if len(news) == EVENTS_AT_MOST)
        return standing

    async def record(self, batch: Batch) -> list[Outcome]:
        """Record the batch in one call; the outcome of every act in order.

        Raises psycopg.Error when nothing was recorded, UnclearCommit when that cannot be told.
        """
        connection = await self.connection()
        try:
            statement, arguments = batch.call()
            cursor = await connection.cursor(binary=True).execute(statement, arguments)
            answer = await cursor.fetchone()
        except psycopg.OperationalError as lost:
            if not connection.broken:
                raise
            settled = await self._settle(batch, lost)
            if settled is None:
                raise
            return settled
        assert answer is not None, "the function answers one row"
        return batch.outcomes(*answer)

    async def _settle(self, batch: Batch, lost: psycopg.OperationalError) -> list[Outcome] | None:
        """What became of a batch whose connection was lost; None: it is not in the log and never will be."""
        try:
            connection = await self.connection()
            # The lock waits for a server process that may still be working on the batch.
            async with connection.transaction():
                await connection.execute("select from log_head for update")
                found = await connection.execute("select from recorded_batches where batch_id = %s", (batch.batch_id,))
                if await found.fetchone() is None:
                    return None
                positions = await self._positions(connection, batch)
        except psycopg.Error as unreachable:
            raise UnclearCommit(str(batch.batch_id)) from unreachable
        del lost
        # An act that left no event is decided again: nothing in the log tells whether what it saw was so.
        return [
            Outcome(None, positions[act]) if act in positions else Outcome("stale", 0)
            for act in range(1, batch.acts + 1)
        ]

    @staticmethod
    async def _positions(connection: psycopg.AsyncConnection, batch: Batch) -> dict[int, int]:
        cursor = await connection.cursor(binary=True).execute(
            _SETTLE, (batch.event_acts, batch.event_streams, batch.event_versions, batch.event_states)
        )
        positions: dict[int, int] = {}
        for act, position in await cursor.fetchall():
            positions[act] = max(position, positions.get(act, 0))
        return positions

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the log's one lock, so that what is decided inside cannot clash."""
        connection = await self.connection()
        async with connection.transaction():
            await connection.execute("select from log_head for update")
            self._locked = True
            try:
                yield
            finally:
                self._locked = False
