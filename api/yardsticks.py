"""What `cardledger bench` compares the service with: an empty endpoint of the same shape, the plain library, and a
look-up of its own for each read. Nothing of it is part of the service.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

from ledger.bench.plain import PlainLedger

NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False}
"""As the service itself has it: the yardstick is not to be slower for what it does not do."""


class Repayment(BaseModel):
    amount: int
    method: str
    value_date: date | None = None


class Allocation(BaseModel):
    fees: int
    late_damages: int
    interest: int
    principal: int
    overpayment: int


class RepaymentTaken(BaseModel):
    repayment_id: UUID
    allocation: Allocation
    principal_after: int
    instalment: str
    next_due: date | None


class Balance(BaseModel):
    card_id: UUID
    member_id: UUID
    version: int
    principal: int


def empty() -> FastAPI:
    """An endpoint that takes and answers what a repayment does, and does nothing."""
    app = FastAPI(telemetry=NO_TELEMETRY)

    @app.post("/v1/cards/{card_id}/repayments", status_code=201, response_model=RepaymentTaken)
    async def repay(card_id: UUID, body: Repayment) -> RepaymentTaken:
        return _taken(card_id, body.amount, 0)

    return app


def plain() -> FastAPI:
    """The library used plainly: a synchronous endpoint, `repository.get`, `save`."""
    app = FastAPI(telemetry=NO_TELEMETRY)
    ledger = PlainLedger.on(os.environ["DATABASE_URL"])

    @app.post("/v1/cards/{card_id}/repayments", status_code=201, response_model=RepaymentTaken)
    def repay(card_id: UUID, body: Repayment) -> RepaymentTaken:
        day = body.value_date or date.today()  # noqa: DTZ011 - a yardstick knows no business day
        repayment_id, principal = ledger.repay(card_id, body.amount, body.method, day)
        return _taken(repayment_id, body.amount, principal)

    return app


def unbatched() -> FastAPI:
    """A balance read by a query of its own, through a pool, as most services do it."""
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        os.environ["DATABASE_URL"], min_size=4, max_size=4, open=False, kwargs={"autocommit": True}
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(telemetry=NO_TELEMETRY, lifespan=lifespan)

    @app.get("/v1/cards/{card_id}/balance", response_model=Balance)
    async def balance(card_id: UUID) -> Balance:
        async with pool.connection() as connection:
            cursor = await connection.execute(
                "select member_id, version, principal from balances where card_id = %s", (card_id,)
            )
            row = await cursor.fetchone()
        assert row is not None
        return Balance(card_id=card_id, member_id=row[0], version=row[1], principal=row[2])

    return app


def _taken(repayment_id: UUID, amount: int, principal_after: int) -> RepaymentTaken:
    used = Allocation(fees=0, late_damages=0, interest=0, principal=amount, overpayment=0)
    return RepaymentTaken(
        repayment_id=repayment_id,
        allocation=used,
        principal_after=principal_after,
        instalment="none",
        next_due=None,
    )
