"""Cold cards: what the first act on a card costs when nothing of it is in memory, by the length of its stream."""

from __future__ import annotations

import asyncio
import time
from statistics import median

from ledger.application import Ledger
from ledger.bench.cards import SERVICE, BenchCard, opened, order
from ledger.bench.servers import Database
from ledger.lane import Lane
from ledger.store.log import Log

TIMES = 3


def measure(base: Database, cards: dict[int, BenchCard]) -> dict[int, float]:
    """Milliseconds of the first repayment, by the number of repayments before it."""
    return asyncio.run(_measure(base, cards))


async def _measure(base: Database, cards: dict[int, BenchCard]) -> dict[int, float]:
    async with opened(base) as ledger:
        return {
            length: median([await _first_act(base, ledger, card) for _ in range(TIMES)])
            for length, card in cards.items()
        }


async def _first_act(base: Database, ledger: Ledger, card: BenchCard) -> float:
    kept = ledger.lane
    ledger.lane = Lane(Log(base.dsns["ours"]), ledger.terms)
    await ledger.lane.start()
    try:
        began = time.perf_counter()
        await ledger.repay(order(SERVICE), card.card_id, 1, "bank-transfer", None)
        return (time.perf_counter() - began) * 1000
    finally:
        await ledger.lane.stop()
        ledger.lane = kept
