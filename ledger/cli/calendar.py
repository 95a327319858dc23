"""`close-day`: the closing of a business day, by hand or by the operator's own scheduler."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import date
from getpass import getuser
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from ledger.cli.options import Data, DatabaseUrl, Sandbox, chosen, typed_day
from ledger.settings import Settings

if TYPE_CHECKING:
    from ledger.application.day_close import DayClose
    from ledger.instruction import Instruction


def join(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(close_day)


def close_day(
    day: Annotated[
        date,
        typer.Argument(parser=typed_day, metavar="DATE", help="The first open day, once it is over (YYYY-MM-DD)."),
    ],
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
) -> None:
    """Close a business day; exit 1, with the reason, if it cannot be closed now. After a kill, do it again."""
    from ledger.store import location
    from ledger.store.preparation import prepare

    with location.opened(chosen(data, database_url, sandbox=sandbox)) as ready:
        prepare(ready, embedded=False)
        position = asyncio.run(_close(ready, day))
    typer.echo(f"{day} is closed, at position {position}")


async def _close(settings: Settings, day: date) -> int:
    async with _opened(settings) as day_close:
        return (await day_close.close_day(by_operator(), day)).position


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[DayClose]:
    """A ledger with a projector of its own, which stands by while that of a server leads."""
    from ledger.application import Ledger
    from ledger.application.day_close import DayClose
    from ledger.projections.due import DueCards
    from ledger.projections.freshness import Freshness
    from ledger.projections.projector import Projector
    from ledger.store.closings import Closings
    from ledger.store.keys import Keyring
    from ledger.terms import TermsBook

    ledger = await Ledger.open(settings.dsn, Keyring.load(settings.keys), TermsBook.load(settings.terms))
    freshness = Freshness(settings.dsn, ledger.pool, ledger.lane.acknowledged)
    projector = Projector(settings.dsn)
    following = asyncio.create_task(projector.run(), name="projector")
    await freshness.start()
    try:
        due = DueCards(ledger.pool, freshness)
        yield DayClose(ledger.lane, ledger.terms, Closings(ledger.pool), due)
    finally:
        projector.stop()
        await following
        await freshness.stop()
        await ledger.close_down()


def by_operator() -> Instruction:
    """An act of whoever runs the command: the account on this machine is the actor."""
    from ledger.aggregates.fact import Cause
    from ledger.instruction import Caller, Instruction

    caller = Caller(subject=getuser(), role="operator", channel="batch")
    command_id = uuid4()
    cause = Cause(
        actor=caller.subject,
        role=caller.role,
        channel=caller.channel,
        command_id=command_id,
        correlation_id=str(command_id),
    )
    return Instruction(caller=caller, cause=cause)
