"""`bench`: what the ledger costs on this machine, beside yardsticks in the same run; and how it bears length and time.

What must stay true: whatever was made for a run is gone when it ends. Exit codes: 0 right, 1 a sum is wrong.
"""

from __future__ import annotations

import json as json_text
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from ledger.cli.options import Json
from ledger.faults import EnvironmentFault


def join(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(bench)


class Report(Protocol):
    """What every kind of run brings."""

    @property
    def right(self) -> bool: ...
    def as_json(self) -> dict[str, Any]: ...
    def as_markdown(self) -> str: ...


Run = Callable[[Path, Callable[[str], None]], Report]


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="One short round: does it run, do the sums add up?")] = False,
    log: Annotated[
        int | None, typer.Option(metavar="EVENTS", min=1000, help="Instead: how reads bear a log of so many events.")
    ] = None,
    soak: Annotated[
        float | None, typer.Option(metavar="MINUTES", min=0.05, help="Instead: steady load for so long.")
    ] = None,
    rate_share: Annotated[float, typer.Option(min=0.05, max=1, help="Of the maximum, for --soak.")] = 0.7,
    json: Json = False,
    folder: Annotated[
        Path | None, typer.Option(help="Where its databases are made, on the disk to be measured. [default: here]")
    ] = None,
) -> None:
    """Measure the ledger beside yardsticks, and add every balance up again; exit 1 if a sum is wrong.

    A full run takes some ten minutes. A bar that is not met is told and is no failure of the command: a shared machine
    may be the reason. A soak also fails on an error, and on memory that grows.
    """
    if folder is not None and not os.access(folder, os.W_OK):
        raise EnvironmentFault(f"Nothing can be written in {folder}.", "Give a folder that is there with --folder.")
    with tempfile.TemporaryDirectory(prefix=".cardledger-bench-", dir=folder or Path.cwd()) as place:
        report = _chosen(quick, log, soak, rate_share)(Path(place), lambda line: typer.echo(line, err=True))
    typer.echo(json_text.dumps(report.as_json()) if json else report.as_markdown())
    raise typer.Exit(0 if report.right else 1)


def _chosen(quick: bool, events: int | None, minutes: float | None, share: float) -> Run:
    """The kind of run that the options name."""
    from ledger.bench import long_log, run, soak

    if events is not None and minutes is not None:
        raise typer.BadParameter("one run is one of the two", param_hint="--log and --soak")
    if events is not None:
        return lambda folder, told: long_log.run(folder, events, told)
    if minutes is not None:
        return lambda folder, told: soak.run(folder, minutes, share, told)
    return lambda folder, told: run.run(folder, run.QUICK if quick else run.FULL, told)
