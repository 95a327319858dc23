"""The sandbox: its clock, its outbox, and the closing of days. These routes exist in a sandbox alone.

What must stay true: there is one business clock, and moving it closes no day.
"""

from __future__ import annotations

from datetime import UTC, datetime

from api.answers import DaysClosed
from api.bodies import ClockSetting, DayCloses
from api.exchange import Exchange, Reply
from api.operation import Operation
from api.ports import Sandbox, fitted
from api.read_answers import Clock, Rows
from ledger.aggregates.closed_days import DayNotOver
from ledger.instruction import Answer
from ledger.refusals import ClockBackward, InputRefused

TAG = "sandbox"
LAST_YEAR = 2099


def _sandbox(exchange: Exchange) -> Sandbox:
    return fitted(exchange.services.sandbox)


def _told(now: datetime) -> Reply:
    return Reply.plain({"now": now.astimezone(UTC)})


async def read_clock(exchange: Exchange) -> Reply:
    return _told(await _sandbox(exchange).now())


async def set_clock(exchange: Exchange) -> Reply:
    now = exchange.taken(ClockSetting).now
    if now.year > LAST_YEAR:  # there is no way back, and near the end of the calendar nothing can be reckoned
        raise InputRefused(errors=[{"pointer": "/now", "code": "range"}])
    return _told(await _sandbox(exchange).move_clock(now))


async def read_outbox(exchange: Exchange) -> Reply:
    return Reply.plain({"data": await _sandbox(exchange).outbox()})


async def close_days(exchange: Exchange) -> Answer:
    return await fitted(exchange.services.day_closes).close_days(exchange.order, exchange.taken(DayCloses).through)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/sandbox/clock",
        operation_id="readClock",
        summary="Read the clock",
        tag=TAG,
        permission="operate",
        handler=read_clock,
        answer=Clock,
    ),
    Operation(
        method="PUT",
        path="/v1/sandbox/clock",
        operation_id="setClock",
        summary="Move the clock forward",
        tag=TAG,
        permission="operate",
        handler=set_clock,
        body=ClockSetting,
        answer=Clock,
        refusals=(ClockBackward.code,),
    ),
    Operation(
        method="GET",
        path="/v1/sandbox/outbox",
        operation_id="readOutbox",
        summary="Read the mails that would have been sent",
        tag=TAG,
        permission="operate",
        handler=read_outbox,
        answer=Rows,
    ),
    Operation(
        method="POST",
        path="/v1/sandbox/day-closes",
        operation_id="closeDays",
        summary="Close every open day up to a day",
        description="A day can be closed once it is over. Days before that of the first event are not open.",
        tag=TAG,
        permission="operate",
        handler=close_days,
        body=DayCloses,
        keyed=True,
        answer=DaysClosed,
        refusals=(DayNotOver.code,),
    ),
)
