"""`credit-checks` and `retention`: what the lender still has to do, and how long it has to keep what it did.

What must stay true: both read the log and write nothing but that it was read. Erasing what need not be kept any
more is not built.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from ledger.cli.options import Data, DatabaseUrl, Json, Sandbox, chosen, show
from ledger.cli.reading import with_log

if TYPE_CHECKING:
    from ledger.audit.replay import Replay
    from ledger.store.pages import Connection


def join(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(credit_checks)
    app.command()(retention)


def credit_checks(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were done.")] = False,
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
    as_json: Json = False,
) -> None:
    """List the periodic credit checks that are due, the most urgent first; exit 1 if one is overdue."""

    async def run(connection: Connection, reader: Replay) -> int:
        from ledger.audit.duties import credit_checks as found
        from ledger.calendar import business_day

        checks = await found(connection, await reader.head(), business_day(await reader.now()))
        show([each for each in checks if everything or each.reported_on is None], as_json=as_json)
        return 1 if any(each.state == "overdue" for each in checks) else 0

    raise typer.Exit(with_log(chosen(data, database_url, sandbox=sandbox), run, "credit-checks", all=everything))


def retention(
    card_id: Annotated[UUID, typer.Argument(metavar="CARD_ID", help="The id that the card was issued with.")],
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
    as_json: Json = False,
) -> None:
    """Say until which day each kind of record of a card must be kept, and from which day that is reckoned."""
    settings = chosen(data, database_url, sandbox=sandbox)

    async def run(_: Connection, reader: Replay) -> int:
        from ledger import retention as rules
        from ledger.audit.duties import agreement_of
        from ledger.calendar import business_day
        from ledger.terms import TermsBook

        terms = TermsBook.load(settings.terms).at(business_day(await reader.now()))
        running = rules.clocks(await agreement_of(reader, card_id, await reader.head()), terms)
        until = rules.keep_until(running)
        if as_json:
            whole = {"card_id": card_id, "clocks": [asdict(clock) for clock in running], "keep_until": until}
            typer.echo(json.dumps(whole, default=str))
            return 0
        show(running, as_json=False)
        typer.echo("Keep all: the end is not known yet." if until is None else f"Keep all until {until}.")
        return 0

    raise typer.Exit(with_log(settings, run, "retention", card=card_id))
