"""`token` and `tokens`: who may call, in one role each. A token is shown once, when it is issued, and stored hashed."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import psycopg
import typer

from ledger.cli.options import Data, DatabaseUrl, Json, Sandbox, chosen, show

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
tokens = typer.Typer(help="Role tokens that were issued.", no_args_is_help=True)


class Role(StrEnum):
    """The roles of a token. `member` is not among them: a member logs in."""

    COUNTER = "counter"
    CONTRACT_MACHINE = "contract-machine"
    ATM = "atm"
    APP = "app"
    SERVICE = "service"
    CALL_CENTRE = "call-centre"
    CREDIT = "credit"
    AUDITOR = "auditor"
    OPERATOR = "operator"


def join(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(token)
    app.add_typer(tokens, name="tokens")


def token(
    role: Annotated[Role, typer.Argument(help="The one role that the token has.")],
    subject: Annotated[str | None, typer.Option(help="Who uses it. [default: the role]")] = None,
    ttl: Annotated[str, typer.Option(help="How long it lives: a number and s, m, h or d.")] = "8h",
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
) -> None:
    """Issue a token and print it alone on the last line."""
    lifetime = _duration(ttl)

    from ledger.store import location
    from ledger.store import tokens as store

    with (
        location.opened(chosen(data, database_url, sandbox=sandbox)) as ready,
        psycopg.connect(ready.dsn) as connection,
    ):
        token_id, secret = store.issue(connection, role.value, subject or role.value, lifetime)
    typer.echo(f"{role.value} token {token_id}, for {ttl}; it is not shown again:")
    typer.echo(secret)


@tokens.command("list")
def list_(data: Data = None, database_url: DatabaseUrl = None, sandbox: Sandbox = False, json: Json = False) -> None:
    """List the tokens, without the secret."""
    from ledger.store import location
    from ledger.store import tokens as store

    with (
        location.opened(chosen(data, database_url, sandbox=sandbox)) as ready,
        psycopg.connect(ready.dsn) as connection,
    ):
        show(store.listing(connection), as_json=json)


@tokens.command()
def revoke(
    token_id: Annotated[UUID, typer.Argument(metavar="ID", help="The id that `tokens list` shows.")],
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
) -> None:
    """End a token now."""
    from ledger.store import location
    from ledger.store import tokens as store

    with (
        location.opened(chosen(data, database_url, sandbox=sandbox)) as ready,
        psycopg.connect(ready.dsn) as connection,
    ):
        ended = store.revoke(connection, token_id)
    typer.echo(f"token {token_id} is revoked" if ended else f"no valid token has the id {token_id}")
    raise typer.Exit(0 if ended else 1)


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if found is None:
        raise typer.BadParameter("a number and s, m, h or d, such as 8h", param_hint="--ttl")
    return timedelta(**{UNITS[found[2]]: int(found[1])})
