"""What stands behind the routes of a real process: the services, opened from the settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from api.audit_reads import AccessReads, BookReads, EventReads, ExplanationReads, RefusalReads
from api.meters import LedgerMeters, registered
from api.ports import Services
from api.readers import CardReads, MemberReads
from ledger.application import Ledger
from ledger.application.day_close import DayClose
from ledger.application.outbox import Transport, smtp
from ledger.application.scheduler import Scheduler
from ledger.audit.access_log import AccessLog
from ledger.audit.events import EventLog
from ledger.audit.explainer import Explainer
from ledger.audit.refused_acts import RefusedActs
from ledger.audit.replay import Replay
from ledger.faults import EnvironmentFault
from ledger.instruction import Answer
from ledger.meters import ProjectorMeters
from ledger.projections.balances import BalanceReader
from ledger.projections.due import DueCards
from ledger.projections.freshness import Freshness
from ledger.projections.journal import JournalReader
from ledger.projections.lockouts import LockoutReader
from ledger.projections.projector import Projector
from ledger.projections.status import listing_async
from ledger.projections.transactions import TransactionReader
from ledger.refusals import DatabaseUnavailable
from ledger.settings import Settings
from ledger.store.closings import Closings
from ledger.store.credentials import HashCost
from ledger.store.keys import Keyring
from ledger.store.throttle import SourceThrottle
from ledger.terms import TermsBook


class ProjectionReads:
    """Where the read models stand."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def projections(self) -> Answer:
        async with self._ledger.pool.connection() as connection:
            rows = await listing_async(connection)
        return Answer(max((row.head for row in rows), default=0), {"data": [row.as_json() for row in rows]})


@asynccontextmanager
async def opened_services(settings: Settings) -> AsyncIterator[Services]:
    """The services while the process serves; whatever they opened is closed at the end, in the other order."""
    async with AsyncExitStack() as stack:
        keys = Keyring.load(settings.keys)
        ledger = await _opened_ledger(settings, keys)
        stack.push_async_callback(ledger.close_down)
        freshness = Freshness(settings.dsn, ledger.pool, ledger.lane.acknowledged)
        await freshness.start()
        stack.push_async_callback(freshness.stop)
        projector = Projector(settings.dsn)
        if settings.projector:
            stack.push_async_callback(_ended, asyncio.create_task(projector.run(), name="projector"), projector.stop)
        if settings.smtp_host is not None and not settings.sandbox:
            sending = asyncio.create_task(ledger.outbox.send_on(_transport(settings)), name="mails")
            stack.push_async_callback(_ended, sending, ledger.outbox.stop)
        day_close = DayClose(ledger.lane, ledger.terms, Closings(ledger.pool), DueCards(ledger.pool, freshness))
        if (minutes := settings.close_days_after_minutes) is not None:
            scheduler = Scheduler(day_close, ledger.pool, timedelta(minutes=minutes))
            closing = asyncio.create_task(scheduler.run(), name="scheduler")
            stack.push_async_callback(_ended, closing, scheduler.stop)
        services = _services(settings, ledger, keys, freshness, projector.meters)
        services.day_closes = day_close if settings.sandbox else None
        services.stop_projector = _stopper(projector)
        yield services


async def _opened_ledger(settings: Settings, keys: Keyring) -> Ledger:
    if settings.test_hash_cost and not settings.sandbox:
        raise EnvironmentFault("Cheap hashes protect nothing.", "Unset CARDLEDGER_TEST_HASH_COST.")
    cost = HashCost.for_tests() if settings.test_hash_cost else HashCost()
    return await Ledger.open(settings.dsn, keys, TermsBook.load(settings.terms), cost=cost)


async def _ended(task: asyncio.Task[None], stop: Callable[[], None]) -> None:
    """Let a follower finish what it has begun."""
    stop()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _stopper(projector: Projector) -> Callable[[], Awaitable[None]]:
    async def stop() -> None:
        projector.stop()

    return stop


def _transport(settings: Settings) -> Transport:
    password = settings.smtp_password_file.read_text().strip() if settings.smtp_password_file is not None else None
    assert settings.smtp_host is not None
    return smtp(
        settings.smtp_host,
        settings.smtp_port,
        settings.mail_from,
        starttls=settings.smtp_starttls,
        user=settings.smtp_user,
        password=password,
    )


def _services(
    settings: Settings, ledger: Ledger, keys: Keyring, freshness: Freshness, following: ProjectorMeters
) -> Services:
    pool, terms = ledger.pool, ledger.terms
    throttle = SourceThrottle(pool, keys) if settings.login_throttle and not settings.sandbox else None
    meters = LedgerMeters(ledger, following, throttle)
    replay = Replay(pool)
    cards = CardReads(BalanceReader(pool), LockoutReader(pool), TransactionReader(pool), replay, terms, freshness)

    async def ready() -> None:
        if not await ledger.reachable():
            raise DatabaseUnavailable(retry_after=1)

    return Services(
        ledger=ledger,
        door=ledger.doorkeeper,
        freshness=freshness,
        balances=cards,
        transactions=cards,
        lockouts=cards,
        members=MemberReads(ledger.directory, replay),
        events=EventReads(EventLog(pool), replay, freshness),
        explanations=ExplanationReads(Explainer(replay, terms)),
        books=BookReads(JournalReader(pool), replay),
        access_log=AccessReads(AccessLog(pool), replay),
        refused_acts=RefusalReads(RefusedActs(pool), replay),
        projections=ProjectionReads(ledger),
        sandbox=ledger.sandbox if settings.sandbox else None,
        throttle=throttle,
        proxies=settings.proxies,
        heartbeat_seconds=settings.heartbeat_seconds,
        fingerprint_key=keys.secret("idempotency", keys.masters[0][0]),
        cursor_key=keys.secret("cursor", keys.masters[0][0]),
        metrics=registered(meters),
        ask_for_metrics=meters.ask,
        ready=ready,
        drain=ledger.lane.drain,
    )
