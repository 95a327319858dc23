"""Ledgers whose days are closed: who owes, what time it is, and what the calendar says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from typing import Any
from uuid import UUID

from ledgers import Holder, borrowed, holder, order, rows
from ledgers import opened as opened_ledger

from ledger.aggregates.closed_days import CALENDAR_ID
from ledger.application import Ledger
from ledger.application.day_close import DayClose
from ledger.calendar import JST
from ledger.instruction import Caller
from ledger.projections.due import DueCards
from ledger.projections.freshness import Freshness
from ledger.projections.projector import Projector
from ledger.store.closings import Closings

OPERATOR = Caller(subject="night-shift", role="operator", channel="operator")
START = date(2023, 1, 10)
DUE = date(2023, 2, 6)  # the nominal 5th is a Sunday
LAST_FREE_DAY = date(2023, 2, 9)


@asynccontextmanager
async def opened(dsn: str, *, projector: bool = True) -> AsyncIterator[tuple[Ledger, DayClose]]:
    """A ledger whose first day is START, with what closes its days."""
    async with opened_ledger(dsn) as ledger:
        if not rows(dsn, "select 1 from ledger_events limit 1"):
            await ledger.sandbox.move_clock(datetime.combine(START, clock_time(9), JST))
        following = Projector(dsn)
        running = asyncio.create_task(following.run()) if projector else None
        freshness = Freshness(dsn, ledger.pool, ledger.lane.acknowledged)
        await freshness.start()
        try:
            closings = Closings(ledger.pool)
            yield ledger, DayClose(ledger.lane, ledger.terms, closings, DueCards(ledger.pool, freshness))
        finally:
            following.stop()
            if running is not None:
                await running
            await freshness.stop()


async def go_to(ledger: Ledger, day: date, hour: int = 9) -> None:
    target = datetime.combine(day, clock_time(hour), JST)
    if target > await ledger.sandbox.now():
        await ledger.sandbox.move_clock(target)


async def borrower(ledger: Ledger, amount: int = 100_000, **profile: Any) -> Holder:
    """A member who drew an advance today."""
    card = await holder(ledger, **{"web_statements": False, **profile})
    await borrowed(ledger, card, amount)
    return card


async def close(ledger: Ledger, day_close: DayClose, through: date) -> int:
    """Close the days up to one, early on the day after it."""
    await go_to(ledger, through + timedelta(days=1), 0)
    return (await day_close.close_days(order(OPERATOR), through)).position


def facts(dsn: str, stream: UUID, topic: str) -> list[dict[str, Any]]:
    query = (
        "select convert_from(state, 'UTF8')::jsonb->'data' from ledger_events"
        " where originator_id = %s and topic = %s order by originator_version"
    )
    return rows(dsn, query, stream, topic)


def closed(dsn: str) -> list[dict[str, Any]]:
    return facts(dsn, CALENDAR_ID, "calendar.day-closed")


def found(**counts: int) -> dict[str, int]:
    names = ("cards", "instalments_missed", "suspensions", "stops", "interest_free_ended", "interest_posted")
    return {**dict.fromkeys((*names, "late_damages_posted"), 0), **counts}
