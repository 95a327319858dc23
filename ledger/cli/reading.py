"""Commands that read the log: how it is opened, and how the read is put on record before anything of it is told.

What must stay true: the log and the read models are read and never written, the only tables made are gone with the
connection. Who reads, from this machine, is on record beside what auditors read over HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from getpass import getuser
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import psycopg
import typer

from ledger.cli.options import typed_day

if TYPE_CHECKING:
    from ledger.audit.replay import Replay
    from ledger.settings import Settings
    from ledger.store.pages import Connection

CANNOT_DECIDE = 3
POSITION_DIGITS = 18
"""No position has more: it is a bigint."""
ROLE = "terminal"
"""Whoever may open the database from a command line answers for it; no token says which role that is."""


def with_log(
    settings: Settings, run: Callable[[Connection, Replay], Awaitable[int]], command: str, **asked: object
) -> int:
    """Run on the log, which no command here writes to; the exit code. `asked` goes on record with the command."""
    from psycopg_pool import AsyncConnectionPool

    from ledger.audit.access_log import AccessLog
    from ledger.audit.fold import collect_seldom
    from ledger.audit.replay import Replay
    from ledger.audit.schemas import know_every_fact
    from ledger.store import location
    from ledger.store.mapper import MapperDeserialisationError

    know_every_fact()
    collect_seldom()

    async def connected(dsn: str) -> int:
        async with (
            AsyncConnectionPool(dsn, min_size=1, max_size=2, open=False, kwargs={"autocommit": True}) as pool,
            pool.connection() as connection,
        ):
            await _put_on_record(AccessLog(pool), command, asked)
            return await run(connection, Replay(pool))

    try:
        with location.opened(settings) as ready:
            return asyncio.run(connected(ready.dsn))
    except MapperDeserialisationError as error:
        typer.echo(f"An event cannot be read: {error}. Nothing is known of what follows it.", err=True)
        return CANNOT_DECIDE


async def _put_on_record(log: Any, command: str, asked: dict[str, object]) -> None:
    """Note the read; where the database takes no writing (a standby, a role that may only read), say so and go on."""
    query = urlencode({name: str(value) for name, value in asked.items() if value not in (None, False)})
    try:
        await log.put_on_record(
            subject=getuser(),
            role=ROLE,
            operation=command.replace(" ", "-"),
            path=f"cardledger {command}",
            query=query,
            request_id=str(uuid4()),
        )
    except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege):
        typer.echo("This read is not on record: this database, or this role in it, takes no writing.", err=True)


def identifier(text: str | None) -> UUID | None:
    """The id of a card or a member, as it was typed."""
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise typer.BadParameter("not an id", param_hint="ID") from None


def day(name: str, meaning: str) -> Any:
    """An option that takes a business day."""
    return typer.Option(name, parser=typed_day, metavar="DATE", help=meaning)


def moment(text: str | None) -> int | datetime | None:
    """A position, or an instant with its offset."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= POSITION_DIGITS:
        return int(text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = datetime.min  # noqa: DTZ901 - has no offset either
    if instant.tzinfo is None:
        raise typer.BadParameter("neither a position nor an RFC 3339 instant", param_hint="--as-of")
    return instant
