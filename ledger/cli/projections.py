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
ALL: Final = "all"
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

    `all` builds every read model, as many at a time as there are cores. `kept_states` is no read model: its rows are
    deleted, and cards are folded from their events again.
    """
    from ledger.projections.projector import READ_MODELS
    from ledger.projections.rebuild import rebuild_all
    from ledger.store import location

    if name == KEPT_STATES:
        _forget_kept_states(chosen(data, database_url, sandbox=sandbox))
        return
    models = [model for model in READ_MODELS if name in (model.name, ALL)]
    if not models:
        names = ", ".join(sorted((*(model.name for model in READ_MODELS), KEPT_STATES, ALL)))
        raise typer.BadParameter(f"what can be rebuilt is {names}", param_hint="NAME")
    with location.opened(chosen(data, database_url, sandbox=sandbox)) as ready:
        rebuilt = asyncio.run(rebuild_all(ready.dsn, models))
    for model, done in zip(models, rebuilt, strict=True):
        as_before = "as" if done.as_before else "not as"
        typer.echo(f"{model.name}: {done.rows} rows at position {done.position}, {as_before} before")
    raise typer.Exit(0 if all(done.as_before for done in rebuilt) else 1)


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
