"""`keys`: the file of the master keys for a database that is not the embedded one (that one gets its own)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger.faults import EnvironmentFault

keys = typer.Typer(help="The file of the master keys.", no_args_is_help=True)


def join(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(keys, name="keys")


@keys.callback()
def noun() -> None:
    """The file of the master keys."""


@keys.command()
def new(file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; it must not be there.")]) -> None:
    """Write a new key file, readable by its owner alone. Keep it apart from the database's backups."""
    from ledger.store.keys import Keyring

    try:
        Keyring.create(file)
    except OSError as error:
        raise EnvironmentFault(f"{file} cannot be written ({error.strerror}).", "Give another file.") from error
