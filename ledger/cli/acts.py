"""`refund`, `close-card`, `confirm-workplace`: done by an operator by hand, because HTTP has no operation for them.

What must stay true: it goes through the same act and the same lane as everything else, and is on record under the name
of whoever ran it. The same key of the same operator does it once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hmac
from collections.abc import Awaitable, Callable
from datetime import date
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from ledger.cli.calendar import by_operator
from ledger.cli.options import Data, DatabaseUrl, Sandbox, chosen, typed_day, typed_yen

if TYPE_CHECKING:
    from ledger.application import Ledger
    from ledger.instruction import Answer, Instruction
    from ledger.settings import Settings
    from ledger.store.keys import Keyring

Day = Annotated[
    date | None,
    typer.Option("--value-date", parser=typed_day, metavar="DATE", help="The day it happened. [default: today]"),
]
Key = Annotated[str | None, typer.Option("--key", help="Whatever one operator runs under the same key is done once.")]


def join(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(refund)
    app.command()(close_card)
    app.command()(confirm_workplace)


def refund(
    card_id: Annotated[UUID, typer.Argument(metavar="CARD_ID", help="The id that the card was issued with.")],
    amount: Annotated[int, typer.Argument(metavar="AMOUNT", parser=typed_yen, help="Whole yen.")],
    value_date: Day = None,
    key: Key = None,
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
) -> None:
    """Record that money kept for a member was sent back; exit 1, with the reason, if it was not there to send."""

    async def act(ledger: Ledger, order: Instruction) -> Answer:
        return await ledger.send_refund(order, card_id, amount, value_date)

    said = f"refund {card_id} {amount} {value_date}"
    answer = _done(chosen(data, database_url, sandbox=sandbox), act, said, key)
    sent = answer.body
    typer.echo(
        f"{sent['amount']} yen {'were' if answer.replayed else 'are'} refunded with value date {sent['value_date']}, "
        f"at position {answer.position}; {sent['customer_credit']} yen are kept"
    )


def close_card(
    card_id: Annotated[UUID, typer.Argument(metavar="CARD_ID", help="The id that the card was issued with.")],
    key: Key = None,
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
) -> None:
    """Close a settled card for good; exit 1, with the reason, if it cannot be closed now."""

    async def act(ledger: Ledger, order: Instruction) -> Answer:
        return await ledger.close_card(order, card_id)

    answer = _done(chosen(data, database_url, sandbox=sandbox), act, f"close-card {card_id}", key)
    typer.echo(f"{card_id} is closed, at position {answer.position}")


def confirm_workplace(
    member_id: Annotated[UUID, typer.Argument(metavar="MEMBER_ID", help="The id that the member was enrolled with.")],
    key: Key = None,
    data: Data = None,
    database_url: DatabaseUrl = None,
    sandbox: Sandbox = False,
) -> None:
    """Record that the workplace on file was found unchanged today, and say how long the proof of income is good."""

    async def act(ledger: Ledger, order: Instruction) -> Answer:
        return await ledger.confirm_workplace(order, member_id)

    answer = _done(chosen(data, database_url, sandbox=sandbox), act, f"confirm-workplace {member_id}", key)
    confirmed = answer.body
    typer.echo(
        f"the workplace was confirmed on {confirmed['confirmed_on']}, at position {answer.position}; "
        f"the proof of income is good until {confirmed['proof_good_until']}"
    )


def _done(
    settings: Settings, act: Callable[[Ledger, Instruction], Awaitable[Answer]], said: str, key: str | None
) -> Answer:
    """Do an act on the ledger that the settings name. `said` is the command as it was given, its name first."""
    from ledger.application import Ledger
    from ledger.store import location
    from ledger.store.keys import Keyring
    from ledger.store.preparation import prepare
    from ledger.terms import TermsBook

    async def run(dsn: str, keys: Keyring, terms: TermsBook) -> Answer:
        ledger = await Ledger.open(dsn, keys, terms)
        try:
            return await act(ledger, _order(keys, said, key))
        finally:
            await ledger.close_down()

    with location.opened(settings) as ready:
        prepare(ready, embedded=False)
        return asyncio.run(run(ready.dsn, Keyring.load(ready.keys), TermsBook.load(ready.terms)))


def _order(keys: Keyring, said: str, key: str | None) -> Instruction:
    from ledger.instruction import IdempotencyKey

    order = dataclasses.replace(by_operator(), operation=said.partition(" ")[0])
    if key is None:
        return order
    if not 0 < len(key) <= 255 or not all("!" <= character <= "~" for character in key):
        raise typer.BadParameter("1 to 255 visible ASCII characters", param_hint="--key")
    fingerprint = hmac.digest(keys.secret("idempotency", keys.masters[0][0]), said.encode(), "sha256")
    used = IdempotencyKey(subject=order.caller.subject, key=key, fingerprint=fingerprint)
    return dataclasses.replace(order, key=used)
