"""The projector: how far behind it runs at full write load, how fast it follows alone, and what a rebuild takes.

What must stay true: what it is compared with applies the same facts to the same tables.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from ledger.aggregates.fact import Aggregate, Event
from ledger.bench.cards import opened
from ledger.bench.servers import Database
from ledger.projections.projector import READ_MODELS, Projector
from ledger.projections.read_model import ReadModel
from ledger.projections.rebuild import rebuild_all
from ledger.store.pages import Connection, page_after


@dataclass(slots=True)
class Lag:
    """Watches a log: milliseconds from hearing of a commit to hearing that every read model shows it."""

    dsn: str
    milliseconds: list[float] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Lag:
        listening = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(listening,))
        self._thread.start()
        listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        assert self._thread is not None
        self._thread.join()

    def percentile(self, share: float) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    def _watch(self, listening: threading.Event) -> None:
        committed: list[tuple[int, float]] = []
        shown: dict[str, int] = {}
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("listen ledger_events")
            connection.execute("listen ledger_projected")
            listening.set()
            while not self._ending.is_set():
                for told in connection.notifies(timeout=0.2):
                    now = time.perf_counter()
                    if told.channel == "ledger_events":
                        committed.append((int(told.payload), now))
                        continue
                    for pair in told.payload.split():
                        name, _, position = pair.partition(":")
                        shown[name] = int(position)
                    reached = min(shown.values()) if len(shown) == len(READ_MODELS) else 0
                    self.milliseconds += [(now - at) * 1000 for position, at in committed if position <= reached]
                    committed = [pair for pair in committed if pair[0] > reached]


@dataclass(frozen=True, slots=True)
class Following:
    """Events a second: the projector alone, a transaction for each event, the rebuild of all read models at once and of
    each by itself, the library's subscription."""

    events: int
    projector: float
    one_by_one: float
    rebuild: float
    rebuild_each: dict[str, float]
    subscription: float


def measure(base: Database, *, one_by_one: int, subscribed: int) -> Following:
    """Follow the log of the run again, in each way; the read models stand at its head in the end."""
    return asyncio.run(_measure(base, one_by_one, subscribed))


async def _measure(base: Database, one_by_one: int, subscribed: int) -> Following:
    dsn = base.dsns["ours"]
    async with await Projector(dsn).connect() as connection:
        await _empty(connection)
        slow = await _one_by_one(connection, one_by_one)
        await _empty(connection)
        events, fast = await _all(connection, dsn)
    began = time.perf_counter()
    await rebuild_all(dsn, READ_MODELS)
    rebuilt = events / (time.perf_counter() - began)
    each = {model.name: await _rebuilt(dsn, model, events) for model in READ_MODELS}
    return Following(events, fast, slow, rebuilt, each, await _subscription(base, min(events, subscribed)))


async def _rebuilt(dsn: str, model: ReadModel, events: int) -> float:
    began = time.perf_counter()
    await rebuild_all(dsn, [model])
    return events / (time.perf_counter() - began)


async def _empty(connection: Connection) -> None:
    await connection.execute("update projections set position = 0")
    for model in READ_MODELS:
        await connection.execute(sql.SQL("truncate {}").format(sql.Identifier(model.name)))


async def _all(connection: Connection, dsn: str) -> tuple[int, float]:
    projector = Projector(dsn)
    began = time.perf_counter()
    while await projector.step(connection):
        pass
    lasted = time.perf_counter() - began
    row = await (await connection.execute("select max(notification_id) from ledger_events")).fetchone()
    assert row is not None
    return int(row[0]), row[0] / lasted


async def _one_by_one(connection: Connection, events: int) -> float:
    """The usual projection: each event is read and applied in a transaction of its own, with the position."""
    began, position = time.perf_counter(), 0
    for recorded in await page_after(connection, 0, events):
        async with connection.transaction():
            for model in READ_MODELS:
                await model.apply(connection, [recorded], model.name)
            await connection.execute("update projections set position = %s", (recorded.position,))
        position = recorded.position
    return position / (time.perf_counter() - began)


async def _subscription(base: Database, events: int) -> float:
    """The library's own subscription over the same log, folding each event into its aggregate and nothing more."""
    from eventsourcing.projection import ApplicationSubscription

    async with opened(base) as ledger:
        return await asyncio.to_thread(_folded, ApplicationSubscription(ledger, gt=None), events)


def _folded(subscription: object, events: int) -> float:
    folds: dict[object, Aggregate | None] = {}
    began = time.perf_counter()
    with subscription as news:  # type: ignore[attr-defined]  # the library's own type differs by its id type
        for number, (event, _) in enumerate(news, start=1):
            assert isinstance(event, Event)
            folds[event.originator_id] = event.mutate(folds.get(event.originator_id))
            if number >= events:
                break
    return events / (time.perf_counter() - began)
