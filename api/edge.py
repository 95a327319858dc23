"""The edge of every request: gives it its id, answers what nobody else answered, and writes its one log line. It stands
around each resource, and around the framework for what the table of operations does not know.

What must stay true: whatever happens inside, the caller gets a problem without a word of it, and the operator gets the
kind of the fault and its place in the code.
"""

from __future__ import annotations

import time

import psycopg
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from api.exchange import Exchange
from api.faults import OwnFault
from api.meters import RequestMeters
from api.pipeline import deliver, refused
from ledger.faults import kind_and_place
from ledger.refusals import DatabaseUnavailable, Refusal


class Edge:
    """ASGI middleware; around the framework it also answers for the framework's own errors."""

    def __init__(self, app: ASGIApp, log: FilteringBoundLogger, meters: RequestMeters) -> None:
        self.app = app
        self.log = log
        self.meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = scope["exchange"] = Exchange(scope)
        request_id = exchange.request_id.encode()

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        try:
            await self.app(scope, receive, tell)
        except Exception as fault:  # noqa: BLE001  # the edge is where every fault ends
            self._report(fault, exchange)
            if not exchange.status:
                await deliver(refused(_told(fault), exchange), exchange, tell)
        finally:
            self._write(exchange, time.perf_counter() - started)

    def _write(self, exchange: Exchange, seconds: float) -> None:
        self.meters.add(exchange.operation, exchange.status, seconds)
        self.log.info(
            "request",
            request_id=exchange.request_id,
            method=exchange.method,
            operation=exchange.operation,
            status=exchange.status,
            code=exchange.code,
            role=exchange.caller.role,
            channel=exchange.caller.channel,
            milliseconds=round(seconds * 1000, 3),
        )

    def _report(self, fault: Exception, exchange: Exchange) -> None:
        """Kind and place of the fault; its text may hold what a caller typed."""
        told = kind_and_place(fault)
        self.log.error("fault", request_id=exchange.request_id, operation=exchange.operation, **told)


def _told(fault: Exception) -> Refusal:
    """A lost database is told as such: then the same request may be sent again."""
    lost = isinstance(fault, (psycopg.OperationalError, psycopg.InterfaceError))
    return DatabaseUnavailable() if lost else OwnFault()
