"""How fast the log is folded, recomputed and verified, beside the library's own subscription, and in how much memory:
`python tests/measure_audit.py [EVENTS]` and `python tests/measure_audit.py memory [EVENTS …]`, each on databases of its
own. It prints; it asserts nothing about time."""

from __future__ import annotations

import asyncio
import heapq
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import psycopg
from borrowing import CARD
from eventsourcing.projection import ApplicationSubscription
from histories import START, WITH_FEES, Life, as_recorded
from ledgers import opened, project

from ledger.aggregates.fact import Aggregate
from ledger.audit.drift import verify
from ledger.audit.export import FORMATS, export
from ledger.audit.fold import LogFold, collect_seldom, pages
from ledger.audit.shares import recompute_all
from ledger.projections.projector import READ_MODELS
from ledger.refusals import Refusal
from ledger.store import schema
from ledger.store.embedded import EmbeddedPostgres
from ledger.store.mapper import encode
from ledger.store.pages import Recorded

YEARS = 5


def a_long_life(card_id: UUID) -> list[Recorded]:
    """A card that draws, repays each month and is closed each day for some years."""
    life = Life(card_id=card_id)
    for month in range(12 * YEARS):
        with suppress(Refusal):
            life.do("draw", 0, 30_000 + month, 0, "atm")
        life.do("repay", 3, 5_000, 0, "bank-transfer")
        life.do("instalment", 24, 1, 0, "bank-transfer")
        life.do("close", 3, 1, 0, "atm")
    assert life.day > START + timedelta(days=300 * YEARS)
    return as_recorded(life.events)


def fill(dsn: str, events: int) -> int:
    """Write so many lives into the log, in the order of their times; the number of events."""
    written = 0
    lives = []
    while written < events:
        lives.append(a_long_life(uuid5(CARD, str(len(lives)))))
        written += len(lives[-1])
    columns = "originator_id, originator_version, topic, state, notification_id, recorded_at"
    in_order = heapq.merge(*lives, key=lambda each: (each.recorded_at, each.event.originator_id))
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        with cursor.copy(f"copy ledger_events ({columns}) from stdin".encode()) as copy:
            for place, each in enumerate(in_order, 1):
                event = each.event
                row = (event.originator_id, event.originator_version, event.fact.topic, encode(event), place)
                copy.write_row((*row, each.recorded_at))
        cursor.execute("analyze ledger_events")
    return written


def tell(what: str, events: int, begun: tuple[float, float]) -> None:
    cpu, wall = now()[0] - begun[0], now()[1] - begun[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    line = f"{what:36} {events / wall:>12,.0f} events/s {events / cpu:>12,.0f} events/CPU-s   peak {peak} MiB\n"
    sys.stdout.write(line)


def now() -> tuple[float, float]:
    """CPU of this process and of those it started that have ended, and the wall clock."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime, time.perf_counter()


async def measure(dsn: str, events: int) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        begun, read = now(), 0
        async for page in pages(connection, events):
            read += len(page)
        tell("read and decode pages", read, begun)
        taken = [each async for page in pages(connection, min(events, 20_000)) for each in page]
        only_fold(taken)
        begun, fold = now(), LogFold()
        fold.take(taken)
        tell("fold with books and checks", len(taken), begun)
        del taken
        begun, fold = now(), LogFold()
        async for page in pages(connection, events):
            fold.take(page)
        tell("cardledger replay (read, fold)", events, begun)
        begun = now()
        done = await recompute_all(connection, WITH_FEES, events)
        tell("cardledger replay --recompute", done.facts, begun)
        begun = now()
        done = await recompute_all(connection, WITH_FEES, events, processes=2)
        tell("the same with --processes 2", done.facts, begun)
        await the_librarys_subscription(dsn, events)
        begun, size = now(), 0
        async for text in export(connection, FORMATS["hledger"](), events):
            size += len(text)
        tell("cardledger journal export", events, begun)
        await project(dsn)
        begun = now()
        verified = await verify(connection, READ_MODELS)
        tell("cardledger audit verify", events, begun)
        sys.stdout.write(f"findings: {len(verified.findings) + len(done.findings)}, told: {done.told}\n")


def only_fold(taken: list[Recorded]) -> None:
    """The plain fold loop over decoded events."""
    accounts = {}
    begin: Callable[[Recorded], object] = lambda each: each.event.fact.opened_account(each.event.at)  # type: ignore[attr-defined]  # noqa: E731
    begun = now()
    for each in taken:
        event = each.event
        account = accounts.get(event.originator_id)
        if account is None:
            accounts[event.originator_id] = begin(each)
        elif (apply := getattr(event.fact, "apply", None)) is not None:
            apply(account, event.at)
    tell("plain fold of decoded events", len(taken), begun)


async def the_librarys_subscription(dsn: str, events: int) -> None:
    """The yardstick: the library's own subscription reads the same log and folds each event into its aggregate."""
    async with opened(dsn) as ledger:
        begun = now()
        await asyncio.to_thread(subscribed, ApplicationSubscription(ledger, gt=None), events)
        tell("the library's subscription", events, begun)


def subscribed(subscription: Any, events: int) -> None:
    folds: dict[UUID, Aggregate | None] = {}
    with subscription as news:
        for number, (event, _) in enumerate(news, start=1):
            folds[event.originator_id] = event.mutate(folds.get(event.originator_id))
            if number >= events:
                break


async def task(what: str, dsn: str, events: int) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        if what == "replay":
            fold = LogFold()
            async for page in pages(connection, events):
                fold.take(page)
        elif what == "replay --recompute":
            await recompute_all(connection, WITH_FEES, events)
        else:
            await verify(connection, READ_MODELS)


def peak_of(what: str, dsn: str, events: int) -> int:
    """MiB that a process of its own needed."""
    collect_seldom()
    asyncio.run(task(what, dsn, events))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def memory(lengths: Sequence[int]) -> None:
    """What each command needs at each length of the log: it must be flat but for the cards."""
    for length in lengths:
        with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres.at(Path(folder), durable=False) as server:
            schema.migrate(server.dsn)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as fresh:
                written = fresh.submit(fill, server.dsn, length).result()
                asyncio.run(project(server.dsn))
                peaks = {
                    what: fresh.submit(peak_of, what, server.dsn, written).result()
                    for what in ("replay", "replay --recompute", "audit verify")
                }
        told = ", ".join(f"{what} {peak} MiB" for what, peak in peaks.items())
        sys.stdout.write(f"{written:,} events: {told}\n")


def main() -> None:
    if sys.argv[1:2] == ["memory"]:
        memory([int(each) for each in sys.argv[2:]] or [10_000, 100_000, 500_000])
        return
    collect_seldom()
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres.at(Path(folder), durable=False) as server:
        schema.migrate(server.dsn)
        with ProcessPoolExecutor(1) as elsewhere:  # whose memory is not this process's
            written = elsewhere.submit(fill, server.dsn, events).result()
        sys.stdout.write(f"{written:,} events\n")
        asyncio.run(measure(server.dsn, written))


if __name__ == "__main__":
    main()
