"""The projector: follows the log in order and applies it to the read models, a page in one statement.

What must stay true: rows and position of a page commit together, and nothing is skipped. One projector leads, others
stand by. Rows are kept in memory only between two pages that nobody came between.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
import structlog

from ledger.meters import ProjectorMeters
from ledger.projections.balances import Balances
from ledger.projections.journal import Journal
from ledger.projections.lockouts import Lockouts
from ledger.projections.poison import MOVE, take_apart
from ledger.projections.read_model import Kept, ReadModel
from ledger.projections.transactions import Transactions
from ledger.store.housekeeping import EVERY_SECONDS, sweep
from ledger.store.pages import Connection, Recorded, recorded_rows

log = structlog.get_logger(__name__)

READ_MODELS: tuple[ReadModel, ...] = (Balances(), Transactions(), Lockouts(), Journal())
PAGE = 1024
SLICE = 256
"""Events of a page; of a longer one than a slice, each read model's part lets the event loop do other work first."""
POLL_SECONDS = 1.0
BREATH_SECONDS = 0.01
"""Between pages that were not full; it bounds what a busy log adds to the wait of a read."""
_LEADER = 7_010_112_202  # "one projector leads", an advisory lock of the session
_RETRY_SECONDS = 0.5
_SETTINGS = (
    "-c lock_timeout=10s -c statement_timeout=60s -c idle_in_transaction_session_timeout=10s"
    # What a crash of the server takes back, rows and position together, is read from the log again.
    " -c synchronous_commit=off"
    # Statements are few and go by keys: planned once, and never over what an empty table looks like.
    " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_sort=off"
    " -c max_parallel_workers_per_gather=0"
)
# Where the read models stand comes first, with neither stream nor bytes; then the events after the one furthest behind.
_NEXT = """
with p as materialized (
    select name, position, built from projections where state = 'following' and name = any(%b::text[])
)
select position, null::timestamptz, null::uuid, built, name, null::bytea from p
union all (
    select notification_id, recorded_at, originator_id, originator_version, topic, state from ledger_events
    where notification_id > (select min(position) from p) order by notification_id limit %b
)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the table of a read model stands; another build of it may hold other rows at the same position."""

    position: int
    built: int


class Projector:
    """Follows until it is stopped; survives the loss of its connections."""

    def __init__(self, dsn: str, read_models: Sequence[ReadModel] = READ_MODELS) -> None:
        self._dsn = dsn
        self._read_models = {model.name: model for model in read_models}
        self._kept: dict[tuple[str, Place], Kept] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self.meters = ProjectorMeters()

    def stop(self) -> None:
        """End after the page that is being applied."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Lead or stand by, until stopped. The loss of the database is told once, and so is its return."""
        lost = False
        while not self._stopping.is_set():
            try:
                async with await self.connect() as connection:
                    if lost:
                        log.info("projector.connected-again")
                    lost = False
                    if await self._lead(connection):
                        await self._follow(connection)
                    else:
                        await self._pause(POLL_SECONDS)
            except psycopg.OperationalError as fault:
                if not lost:
                    log.warning("projector.connection-lost", sqlstate=fault.sqlstate)
                lost = True
                await self._pause(_RETRY_SECONDS)

    async def connect(self) -> Connection:
        """A connection as `step` wants it."""
        return await psycopg.AsyncConnection.connect(
            self._dsn, autocommit=True, connect_timeout=5, options=_SETTINGS, prepare_threshold=2
        )

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _lead(self, connection: Connection) -> bool:
        row = await (await connection.execute("select pg_try_advisory_lock(%s)", (_LEADER,))).fetchone()
        return row is not None and bool(row[0])

    async def _follow(self, connection: Connection) -> None:
        for name in self._read_models:
            await connection.execute("insert into projections (name) values (%s) on conflict do nothing", (name,))
        listener = asyncio.create_task(self._listen())
        swept_at = float("-inf")
        try:
            while not self._stopping.is_set():
                # The leader is the one process that does this; it decides nothing, either.
                if time.monotonic() - swept_at >= EVERY_SECONDS:
                    await sweep(connection)
                    swept_at = time.monotonic()
                self._wake.clear()
                applied = await self.meters.page(self.step(connection))
                if 0 < applied < PAGE:
                    # What is committed meanwhile shares the next page: a page of one act costs as much as the act.
                    await self._pause(BREATH_SECONDS)
                elif applied == 0:
                    # The poll is the safety net for a wake-up that was lost.
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def _listen(self) -> None:
        """Wake the projector at each commit; a connection of its own, made again after it was lost."""
        while True:
            try:
                async with await self.connect() as connection:
                    await connection.execute("listen ledger_events")
                    self._wake.set()
                    async for _ in connection.notifies():
                        self._wake.set()
            except psycopg.OperationalError:
                await asyncio.sleep(_RETRY_SECONDS)

    async def step(self, connection: Connection) -> int:
        """Apply the next page to every read model that follows; how many events it held."""
        try:
            return await self._take_page(connection)
        except psycopg.OperationalError:
            raise
        except Exception:  # noqa: BLE001  # some read model is at fault: each by itself will tell which
            return await take_apart(connection, self._read_models)

    async def _take_page(self, connection: Connection) -> int:
        cursor = await connection.cursor(binary=True).execute(_NEXT, (list(self._read_models), PAGE))
        rows = await cursor.fetchall()
        places = {row[4]: Place(row[0], row[3]) for row in rows if row[2] is None}
        events = recorded_rows(rows[len(places) :])
        if events:
            # What is kept is put back after the commit alone.
            kept, self._kept = self._kept, {}
            self._kept = await self._write(connection, events, places, kept)
        return len(events)

    async def _write(
        self,
        connection: Connection,
        events: Sequence[Recorded],
        places: dict[str, Place],
        kept: dict[tuple[str, Place], Kept],
    ) -> dict[tuple[str, Place], Kept]:
        """Write the rows and move the positions; what is kept from then on."""
        queries: list[bytes] = []
        arguments: list[Any] = []
        after: dict[tuple[str, Place], Kept] = {}
        for name, place in places.items():
            if len(events) > SLICE:
                await asyncio.sleep(0)
            folded = kept.get((name, place), {})
            news = events if place.position < events[0].position else [e for e in events if e.position > place.position]
            write = await self._read_models[name].write(connection, news, name, folded) if news else None
            if write is not None:
                queries.append(write[0])
                arguments += write[1]
            after[name, Place(max(place.position, events[-1].position), place.built)] = folded
        moves = [(name, at.position, at.built, max(at.position, events[-1].position)) for name, at in places.items()]
        await connection.execute(_in_one(*queries), (*arguments, *map(list, zip(*moves, strict=True))))
        return after


@cache
def _in_one(*queries: bytes) -> bytes:
    """One statement that moves the positions and then, still before anybody sees them, runs the queries."""
    parts = [b"write_" + str(number).encode() + b" as (" + query + b")" for number, query in enumerate(queries)]
    return (b"with " + b", ".join(parts) + b" " if parts else b"") + MOVE


async def run(dsn: str) -> None:
    """Follow until cancelled: the process of `cardledger project`."""
    projector = Projector(dsn)
    try:
        await projector.run()
    except asyncio.CancelledError:
        projector.stop()
        raise
