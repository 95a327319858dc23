"""`projections`: where each read model stands, and how a stopped or doubtful one is mended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import psycopg
import typer

from ledger.cli.options import Data, DatabaseUrl, Json, Sandbox, chosen, show

if TYPE_CHECKING:
    from ledger.settings import Settings

KEPT_STATES: Final = "kept_states"
projections = typer.Typer(help="The read models.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name that `projections list` shows.")]


def join(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(projections, name="projections")


@projections.command("list")
def list_(data: Data = None, database_url: DatabaseUrl = None, sandbox: Sandbox = False, json: Json = False) -> None:
    """List the read models: position, head of the log, lag, state, failure."""
    from ledger.projections import status
    from ledger.store import location

    with (
        location.opened(chosen(data, database_url, sandbox=sandbox)) as ready,
        psycopg.connect(ready.dsn) as connection,
    ):
        rows = status.listing(connection)
    show(rows, as_json=json)
    raise typer.Exit(1 if any(row.state == "failed" for row in rows) else 0)


@projections.command()
def rebuild(name: Name, data: Data = None, database_url: DatabaseUrl = None, sandbox: Sandbox = False) -> None:
    """Build a read model anew beside the live one and change over; exit 1 if the live one held other rows.

    `kept_states` is no read model: its rows are deleted, and cards are folded from their events again.
    """
    from ledger.projections.projector import READ_MODELS
    from ledger.projections.read_model import ReadModel
    from ledger.projections.rebuild import Rebuilt
    from ledger.projections.rebuild import rebuild as build
    from ledger.store import location

    known = {model.name: model for model in READ_MODELS}
    if name == KEPT_STATES:
        _forget_kept_states(chosen(data, database_url, sandbox=sandbox))
        return
    if name not in known:
        names = ", ".join(sorted((*known, KEPT_STATES)))
        raise typer.BadParameter(f"what can be rebuilt is {names}", param_hint="NAME")

    async def run(dsn: str, model: ReadModel) -> Rebuilt:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            return await build(connection, model)

    with location.opened(chosen(data, database_url, sandbox=sandbox)) as ready:
        done = asyncio.run(run(ready.dsn, known[name]))
    typer.echo(f"{name}: {done.rows} rows at position {done.position}, {'as' if done.as_before else 'not as'} before")
    raise typer.Exit(0 if done.as_before else 1)


def _forget_kept_states(settings: Settings) -> None:
    """They are kept anew with the acts that come; what a running server has in memory stays until it ends."""
    from ledger.store import location

    with location.opened(settings) as ready, psycopg.connect(ready.dsn) as connection:
        rows = connection.execute("delete from kept_states").rowcount
    typer.echo(f"{KEPT_STATES}: {rows} rows deleted. Start every server anew: what it has in memory may rest on them.")


@projections.command()
def retry(name: Name, data: Data = None, database_url: DatabaseUrl = None, sandbox: Sandbox = False) -> None:
    """Let a read model that stopped at an event try it again, after repair; exit 1 if it had not stopped."""
    from ledger.projections import status
    from ledger.store import location

    with (
        location.opened(chosen(data, database_url, sandbox=sandbox)) as ready,
        psycopg.connect(ready.dsn) as connection,
    ):
        stopped = status.retry(connection, name)
    typer.echo(f"{name} tries again" if stopped else f"{name} had not stopped")
    raise typer.Exit(0 if stopped else 1)
