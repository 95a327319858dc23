"""`bench`: what the ledger costs on this machine, beside yardsticks in the same run."""

from __future__ import annotations

import json as json_text
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.options import Json
from ledger.faults import EnvironmentFault


def join(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(bench)


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="One short round: does it run, do the sums add up?")] = False,
    json: Json = False,
    folder: Annotated[
        Path | None, typer.Option(help="Where its databases are made, on the disk to be measured. [default: here]")
    ] = None,
) -> None:
    """Measure the ledger beside yardsticks, and add every balance up again; exit 1 if a sum is wrong.

    A full run takes some ten minutes. A bar that is not met is told and is no failure of the command: a shared machine
    may be the reason.
    """
    from ledger.bench import run

    size = run.QUICK if quick else run.FULL
    if folder is not None and not os.access(folder, os.W_OK):
        raise EnvironmentFault(f"Nothing can be written in {folder}.", "Give a folder that is there with --folder.")
    with tempfile.TemporaryDirectory(prefix=".cardledger-bench-", dir=folder or Path.cwd()) as place:
        report = run.run(Path(place), size, lambda line: typer.echo(line, err=True))
    typer.echo(json_text.dumps(report.as_json()) if json else report.as_markdown())
    raise typer.Exit(0 if report.right else 1)
