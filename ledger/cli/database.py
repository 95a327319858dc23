"""`db`: the schema of the database. Only `db migrate` changes the schema of a database that is not the embedded one."""

from __future__ import annotations

import typer

from ledger.cli.options import Data, DatabaseUrl, Json, Sandbox, chosen, show

db = typer.Typer(help="The schema of the database.", no_args_is_help=True)


def join(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(db, name="db")


@db.command()
def migrate(data: Data = None, database_url: DatabaseUrl = None, sandbox: Sandbox = False) -> None:
    """Bring the schema up to date. A new database becomes a sandbox or a real ledger for good."""
    from ledger.store import location, schema

    with location.opened(chosen(data, database_url, sandbox=sandbox)) as ready:
        schema.migrate(ready.dsn, sandbox=ready.sandbox)
        typer.echo(f"schema {schema.status(ready.dsn).version}")


@db.command()
def status(data: Data = None, database_url: DatabaseUrl = None, sandbox: Sandbox = False, json: Json = False) -> None:
    """Print the schema's version and the wanted one; exit 1 if they differ."""
    from ledger.store import location, schema

    with location.opened(chosen(data, database_url, sandbox=sandbox)) as ready:
        found = schema.status(ready.dsn)
    show([found], as_json=json)
    raise typer.Exit(0 if found.current else 1)
