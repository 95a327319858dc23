"""The projector: follows the log in order and applies it to the read models, a page in one transaction.

What must stay true: rows and position of a page commit together; a poison event stops its own read model alone, with
the reason on record, and nothing is skipped; a lost connection is no poison. One projector leads, others stand by.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

import psycopg
import structlog

from ledger.faults import kind_and_place
from ledger.projections.balances import Balances
from ledger.projections.journal import Journal
from ledger.projections.lockouts import Lockouts
from ledger.projections.read_model import ReadModel
from ledger.projections.transactions import Transactions
from ledger.store.housekeeping import EVERY_SECONDS, sweep
from ledger.store.mapper import MapperDeserialisationError
from ledger.store.pages import PAGE, Connection, Recorded, page_after

log = structlog.get_logger(__name__)

READ_MODELS: tuple[ReadModel, ...] = (Balances(), Transactions(), Lockouts(), Journal())
POLL_SECONDS = 1.0
BREATH_SECONDS = 0.01
"""Between pages that were not full; it bounds what a busy log adds to the wait of a read."""
_LEADER = 7_010_112_202  # "one projector leads", an advisory lock of the session
_RETRY_SECONDS = 0.5
_SETTINGS = (
    "-c lock_timeout=10s -c statement_timeout=60s -c idle_in_transaction_session_timeout=10s"
    # What a crash of the server takes back, rows and position together, is read from the log again.
    " -c synchronous_commit=off"
)
_MOVE = """
with moved as (
    update projections p set position = m.position, updated_at = clock_timestamp()
    from unnest(%b::text[], %b::bigint[]) m (name, position) where p.name = m.name
) select pg_notify('ledger_projected', %b)
"""


Apply = Callable[[Connection, ReadModel, Sequence[Recorded]], Awaitable[bool]]


class Projector:
    """Follows until it is stopped; survives the loss of its connections."""

    def __init__(self, dsn: str, read_models: Sequence[ReadModel] = READ_MODELS) -> None:
        self._dsn = dsn
        self._read_models = {model.name: model for model in read_models}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End after the page that is being applied."""
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Lead or stand by, until stopped."""
        while not self._stopping.is_set():
            try:
                async with await self._connect() as connection:
                    if await self._lead(connection):
                        await self._follow(connection)
                    else:
                        await self._pause(POLL_SECONDS)
            except psycopg.OperationalError as lost:
                log.warning("projector.connection-lost", sqlstate=lost.sqlstate)
                await self._pause(_RETRY_SECONDS)

    async def _connect(self) -> Connection:
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
                applied = await self.step(connection)
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
                async with await self._connect() as connection:
                    await connection.execute("listen ledger_events")
                    self._wake.set()
                    async for _ in connection.notifies():
                        self._wake.set()
            except psycopg.OperationalError:
                await asyncio.sleep(_RETRY_SECONDS)

    async def step(self, connection: Connection) -> int:
        """Apply the next page to every read model that follows; how many events it held."""
        try:
            return await self._take_page(connection, self._apply_unguarded)
        except psycopg.OperationalError:
            raise
        except Exception:  # noqa: BLE001  # some read model is at fault: each by itself will tell which
            return await self._take_page(connection, self._apply)

    async def _take_page(self, connection: Connection, apply: Apply) -> int:
        async with connection.transaction():
            # Locked, so that a rebuild that changes a table over is either before this page or after it.
            cursor = await connection.execute(
                "select name, position from projections where state = 'following' order by name for update"
            )
            positions = {name: position for name, position in await cursor.fetchall() if name in self._read_models}
            if not positions:
                return 0
            events = await self._next_page(connection, positions)
            if not events:
                return 0
            moved = {}
            for name, position in positions.items():
                news = events if position < events[0].position else [e for e in events if e.position > position]
                if news and await apply(connection, self._read_models[name], news):
                    moved[name] = news[-1].position
            told = " ".join(f"{name}:{position}" for name, position in moved.items())
            await connection.execute(_MOVE, (list(moved), list(moved.values()), told))
        return len(events)

    async def _next_page(self, connection: Connection, positions: dict[str, int]) -> list[Recorded]:
        try:
            return await page_after(connection, min(positions.values()))
        except MapperDeserialisationError:
            return await self._readable(connection, positions)

    @staticmethod
    async def _apply_unguarded(connection: Connection, model: ReadModel, events: Sequence[Recorded]) -> bool:
        """Apply the events without the two round trips of a savepoint: a page with a poison event is taken again."""
        await model.apply(connection, events, model.name)
        return True

    async def _apply(self, connection: Connection, model: ReadModel, events: Sequence[Recorded]) -> bool:
        """Apply the events inside a savepoint; False when the read model was stopped at a poison event."""
        try:
            async with connection.transaction():
                await model.apply(connection, events, model.name)
        except psycopg.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever an event does to a read model stops that one alone
            await self._stop_at_poison(connection, model, events, error)
            return False
        return True

    async def _stop_at_poison(
        self, connection: Connection, model: ReadModel, events: Sequence[Recorded], error: Exception
    ) -> None:
        """Apply what is before the poison event and leave the read model there, with the reason."""
        if len(events) > 1:
            half = len(events) // 2
            if await self._apply(connection, model, events[:half]):
                await self._move(connection, model.name, events[half - 1].position)
                if await self._apply(connection, model, events[half:]):
                    await self._move(connection, model.name, events[-1].position)
            return
        poison = events[0]
        await self._fail(connection, model.name, poison.position, poison.event.fact.topic, error)

    async def _fail(self, connection: Connection, name: str, position: int, topic: str, error: Exception) -> None:
        log.error("projector.poison", read_model=name, position=position, topic=topic, **kind_and_place(error))
        await connection.execute(
            "update projections set state = 'failed', failed_position = %s, failed_type = %s, failed_error = %s,"
            " updated_at = clock_timestamp() where name = %s",
            (position, topic, type(error).__name__, name),
        )

    @staticmethod
    async def _move(connection: Connection, name: str, position: int) -> None:
        await connection.execute(
            "update projections set position = %s, updated_at = clock_timestamp() where name = %s", (position, name)
        )

    async def _readable(self, connection: Connection, positions: dict[str, int]) -> list[Recorded]:
        """The events before one that cannot be read at all; where it is the next one, every read model stops there."""
        behind = min(positions.values())
        events: list[Recorded] = []
        while True:
            try:
                following = await page_after(connection, events[-1].position if events else behind, 1)
            except MapperDeserialisationError as error:
                if not events:
                    for name, position in positions.items():
                        if position == behind:
                            await self._fail(connection, name, behind + 1, "unreadable", error)
                return events
            events.extend(following)


async def run(dsn: str) -> None:
    """Follow until cancelled: the process of `cardledger project`."""
    projector = Projector(dsn)
    try:
        await projector.run()
    except asyncio.CancelledError:
        projector.stop()
        raise
