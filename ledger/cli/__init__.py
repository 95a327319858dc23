"""The command line: `cardledger …`. It takes options apart, calls the ledger and prints; it decides nothing.

Exit codes: 0 fine, 1 a finding or a refusal, 2 usage or environment, 3 cannot decide. Modules of the ledger are
imported inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

import psycopg
import typer

from ledger.cli import (
    acts,
    audit,
    bench,
    calendar,
    database,
    duties,
    explore,
    keys,
    projections,
    serving,
    simulation,
    tokens,
)
from ledger.faults import EnvironmentFault
from ledger.refusals import Refusal

app = typer.Typer(
    help="Card Ledger: an event-sourced account ledger for consumer card loans.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
NOUNS = (*(serving, calendar, acts, tokens, projections, database, keys, simulation, bench, audit, duties, explore),)
for noun in NOUNS:
    noun.join(app)


def main() -> None:
    """Run one command and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except EnvironmentFault as fault:
        _give_up(2, fault.what, fault.remedy)
    except Refusal as refusal:
        _give_up(1, refusal.en, refusal.remedy.en)
    except psycopg.errors.UndefinedTable:
        _give_up(2, "The database holds no ledger yet.", "Run `cardledger db migrate` on it.")
    except psycopg.OperationalError as error:
        _give_up(2, f"The database cannot be used: {_first_line(error)}.", "Start it, or correct DATABASE_URL.")


def _terminate(number: int, _: FrameType | None) -> None:
    """End like Ctrl-C does, so that what was started is stopped."""
    raise SystemExit(128 + number)


def _give_up(code: int, *sentences: str) -> None:
    typer.echo(" ".join(sentences), err=True)
    sys.exit(code)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
