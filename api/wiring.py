"""What stands behind the routes of a real process: the services, opened from the settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from api.meters import ledger_meters
from api.ports import Services
from api.readers import CardReads, EventReads, MemberReads
from ledger.application import Ledger
from ledger.audit.events import EventLog
from ledger.audit.replay import Replay
from ledger.faults import EnvironmentFault
from ledger.instruction import Answer
from ledger.projections.balances import BalanceReader
from ledger.projections.freshness import Freshness
from ledger.projections.lockouts import LockoutReader
from ledger.projections.projector import Projector
from ledger.projections.status import listing_async
from ledger.projections.transactions import TransactionReader
from ledger.refusals import DatabaseUnavailable
from ledger.settings import Settings
from ledger.store.credentials import HashCost
from ledger.store.keys import Keyring
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
    """The services while the process serves; whatever they opened is closed at the end."""
    keys = Keyring.load(settings.keys)
    if settings.test_hash_cost and not settings.sandbox:
        raise EnvironmentFault("Cheap hashes protect nothing.", "Unset CARDLEDGER_TEST_HASH_COST.")
    cost = HashCost.for_tests() if settings.test_hash_cost else HashCost()
    ledger = await Ledger.open(settings.dsn, keys, TermsBook.load(settings.terms), cost=cost)
    freshness = Freshness(settings.dsn, ledger.pool, ledger.lane.acknowledged)
    await freshness.start()
    projector = Projector(settings.dsn)
    following = asyncio.create_task(projector.run(), name="projector") if settings.projector else None

    async def stop_projector() -> None:
        projector.stop()
        if following is not None:
            await following

    async def ready() -> None:
        if not await ledger.reachable():
            raise DatabaseUnavailable(retry_after=1)

    try:
        yield _services(settings, ledger, keys, freshness, ready, stop_projector)
    finally:
        await stop_projector()
        await freshness.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await ledger.close_down()


def _services(
    settings: Settings,
    ledger: Ledger,
    keys: Keyring,
    freshness: Freshness,
    ready: Callable[[], Awaitable[None]],
    stop_projector: Callable[[], Awaitable[None]],
) -> Services:
    pool, terms = ledger.pool, ledger.terms
    replay = Replay(pool)
    cards = CardReads(BalanceReader(pool), LockoutReader(pool), TransactionReader(pool), replay, terms)
    return Services(
        ledger=ledger,
        door=ledger.doorkeeper,
        freshness=freshness,
        balances=cards,
        transactions=cards,
        lockouts=cards,
        members=MemberReads(ledger.directory, replay),
        events=EventReads(EventLog(pool), replay, freshness),
        projections=ProjectionReads(ledger),
        sandbox=ledger.sandbox if settings.sandbox else None,
        fingerprint_key=keys.secret("idempotency", keys.masters[0][0]),
        cursor_key=keys.secret("cursor", keys.masters[0][0]),
        metrics=ledger_meters(ledger, freshness),
        ready=ready,
        drain=ledger.lane.drain,
        stop_projector=stop_projector,
    )
