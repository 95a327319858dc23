"""`simulate`: the repayment simulator in the terminal, as a table with a curve of what remains.

What must stay true: it says that this is not the ledger's arithmetic, and it opens no data.
"""

from __future__ import annotations

import dataclasses
import json as json_text
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli.options import Json

if TYPE_CHECKING:
    from ledger.simulation import Simulation

NOTE = (
    "Months of one twelfth of a year: this is not the ledger's arithmetic. The ledger counts days, so the figures of a "
    "real account differ a little."
)
CURVE_WIDTH = 40
AMOUNT_MAX = 99_999_999

Principal = Annotated[int | None, typer.Option(min=1, max=AMOUNT_MAX, help="What is borrowed, in yen.")]
Payment = Annotated[int | None, typer.Option(min=1, max=AMOUNT_MAX, help="What is paid each month, in yen.")]
Months = Annotated[int | None, typer.Option(min=1, max=600, help="How many months it takes.")]
Rate = Annotated[int, typer.Option("--annual-rate-bps", min=0, max=10_000, help="Basis points: 17.8 % is 1780.")]


def join(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(simulate)


def simulate(
    annual_rate_bps: Rate,
    principal: Principal = None,
    payment: Payment = None,
    months: Months = None,
    json: Json = False,
) -> None:
    """Simulate a repayment: give two of --principal, --payment and --months; the third is found."""
    found = _simulated(annual_rate_bps, principal, payment, months)
    if json:
        typer.echo(json_text.dumps([{**dataclasses.asdict(found), "note": NOTE}], ensure_ascii=False))
        return
    for line in _lines(found):
        typer.echo(line)


def _simulated(rate: int, principal: int | None, payment: int | None, months: int | None) -> Simulation:
    from ledger import simulation

    match principal, payment, months:
        case int(), None, int():
            return simulation.simulate_payment(principal=principal, annual_rate_bps=rate, months=months)
        case int(), int(), None:
            return simulation.simulate_term(principal=principal, annual_rate_bps=rate, payment=payment)
        case None, int(), int():
            return simulation.simulate_amount(payment=payment, annual_rate_bps=rate, months=months)
    raise typer.BadParameter("give two of --principal, --payment and --months")


def _lines(found: Simulation) -> Iterator[str]:
    yield (
        f"{found.principal:,} yen, {found.months} payments of {found.payment:,} yen: "
        f"{found.total:,} yen in all, {found.interest:,} yen of it interest"
    )
    yield ""
    yield f"{'month':>5}  {'payment':>11}  {'interest':>11}  {'principal':>11}  {'balance':>11}"
    for line in found.schedule:
        curve = "#" * -(-line.balance * CURVE_WIDTH // found.principal)
        figures = f"{line.payment:>11,}  {line.interest:>11,}  {line.principal:>11,}  {line.balance:>11,}"
        yield f"{line.month:>5}  {figures}  {curve}".rstrip()
    yield ""
    yield NOTE
