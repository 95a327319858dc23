"""Options that several commands share, and how a table is printed.

What must stay true: an option beats the environment, so `--data` also sets aside a DATABASE_URL found there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger import forms
from ledger.faults import EnvironmentFault
from ledger.settings import Settings

Data = Annotated[Path | None, typer.Option("--data", help="Folder of the embedded database. [default: ./.cardledger]")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="PostgreSQL to use instead of the embedded one. [default: DATABASE_URL]"),
]
Sandbox = Annotated[bool, typer.Option("--sandbox", help="Work on the sandbox, whose clock can be moved.")]
Port = Annotated[
    int | None, typer.Option("--port", min=0, max=65535, help="TCP port, 0 for any free one. [default: 8000]")
]
Host = Annotated[str | None, typer.Option("--host", help="Address. [default: 127.0.0.1]")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def chosen(data: Path | None, database_url: str | None, *, sandbox: bool, **others: Any) -> Settings:
    """The settings in force: options, then the environment, then the defaults. Raises EnvironmentFault."""
    if data is not None and database_url is not None:
        raise EnvironmentFault("Both --data and --database-url are given.", "Give one of them.")
    settings = Settings.read(data=data, database_url=database_url, sandbox=sandbox or None, **others)
    return settings if data is None else settings.model_copy(update={"database_url": None})


def typed_day(text: str) -> date:
    """A day as it was typed, in the one spelling that forms take."""
    if forms.day(text) is not None:
        raise typer.BadParameter("a day is written as YYYY-MM-DD")
    return date.fromisoformat(text)


def typed_yen(text: str) -> int:
    """An amount as it was typed: `int` alone would take `1_0`, ` 10` and the digits of every script."""
    amount = int(text) if text.isascii() and text.isdigit() else None
    if forms.amount(amount) is not None:
        raise typer.BadParameter(f"whole yen from 1 to {forms.LARGEST_AMOUNT}, in digits alone")
    return int(text)


def show(rows: Iterable[Any], *, as_json: bool) -> None:
    """Print rows (mappings, or dataclasses) as a table, or as a JSON array."""
    plain = [row if isinstance(row, Mapping) else dataclasses.asdict(row) for row in rows]
    if as_json:
        typer.echo(json.dumps(plain, default=str, ensure_ascii=False))
        return
    if not plain:
        typer.echo("none")
        return
    table = [[name.upper() for name in plain[0]], *([_cell(value) for value in row.values()] for row in plain)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)
