"""Closing each day by itself, for a service whose operator has not set a scheduler of his own.

What must stay true: one process at a time does it; what it could not finish is taken up again at the next look; and it
never ends the service.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.fact import Cause
from ledger.application.day_close import DayClose
from ledger.faults import kind_and_place
from ledger.instruction import Caller, Instruction
from ledger.refusals import Refusal

log = structlog.get_logger(__name__)

LOOK_SECONDS = 60.0
SCHEDULER = Caller(subject="scheduler", role="operator", channel="batch")
_ALONE = 7_010_112_203  # "one scheduler closes days", an advisory lock of the session


class Scheduler:
    """Closes each day once it has been over for `since`."""

    def __init__(self, day_close: DayClose, pool: AsyncConnectionPool[Any], since: timedelta) -> None:
        self._day_close = day_close
        self._pool = pool
        self._since = since
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End before the next look; a close that is under way is finished."""
        self._stopping.set()

    async def run(self) -> None:
        """Look once a minute, until stopped."""
        while not self._stopping.is_set():
            try:
                await self.look()
            except (Refusal, psycopg.Error, OSError, TimeoutError) as error:
                log.warning("scheduler.day-not-closed", reason=getattr(error, "code", type(error).__name__))
            except Exception as error:  # noqa: BLE001  # the reason is for whoever operates; the service goes on
                log.error("scheduler.failed", **kind_and_place(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_SECONDS)

    async def look(self) -> None:
        """Close what is over, unless another process is at it."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute("select pg_try_advisory_lock(%s)", (_ALONE,))).fetchone()
            if row != (True,):
                return
            try:
                await self._day_close.close_over(_order(), self._since)
            finally:
                await connection.execute("select pg_advisory_unlock(%s)", (_ALONE,))


def _order() -> Instruction:
    command_id = uuid4()
    cause = Cause(
        actor=SCHEDULER.subject,
        role=SCHEDULER.role,
        channel=SCHEDULER.channel,
        command_id=command_id,
        correlation_id=str(command_id),
    )
    return Instruction(caller=SCHEDULER, cause=cause)
