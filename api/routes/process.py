"""The process itself: whether it lives, whether it may be asked, and its metrics.

What must stay true: `/livez` touches nothing; `/readyz` asks the database but not the read models, because a read model
that lags must not take writing down.
"""

from __future__ import annotations

import asyncio

from prometheus_client import generate_latest

from api.answers import Done
from api.exchange import Exchange, Reply
from api.faults import ShuttingDown
from api.operation import Operation
from ledger.refusals import DatabaseUnavailable

TAG = "operation"
READY_SECONDS = 0.5
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def live(_exchange: Exchange) -> Reply:
    return Reply.plain({"status": "live"})


async def ready(exchange: Exchange) -> Reply:
    if exchange.services.stopping.is_set():
        raise ShuttingDown
    try:
        async with asyncio.timeout(READY_SECONDS):
            await exchange.services.ready()
    except TimeoutError:
        raise DatabaseUnavailable from None
    return Reply.plain({"status": "ready"})


async def metrics(exchange: Exchange) -> Reply:
    await exchange.services.ask_for_metrics()
    headers = [(b"content-type", METRICS_TYPE.encode()), (b"cache-control", b"no-store")]
    return Reply(200, generate_latest(exchange.scope["app"].state.metrics), headers)


OPERATIONS = (
    Operation(
        method="GET",
        path="/livez",
        operation_id="readLiveness",
        summary="Whether the process lives",
        tag=TAG,
        permission="anybody",
        handler=live,
        answer=Done,
    ),
    Operation(
        method="GET",
        path="/readyz",
        operation_id="readReadiness",
        summary="Whether the process may be asked",
        tag=TAG,
        permission="anybody",
        handler=ready,
        answer=Done,
        refusals=("shutting-down", "database-unavailable"),
    ),
    Operation(
        method="GET",
        path="/metrics",
        operation_id="readMetrics",
        summary="Metrics for Prometheus",
        tag=TAG,
        permission="operate",
        handler=metrics,
        media=("text/plain", "application/openmetrics-text"),
    ),
)
