"""What stops the program for a reason outside of it: a port, a folder, a database, a setting.

A fault says in one sentence what happened and in one what to do; the command line prints both and exits with 2. Any
other exception is told by `kind_and_place`: its text, and the variables around it, may hold what a caller typed.
"""

from __future__ import annotations

import traceback
from typing import Any


class EnvironmentFault(Exception):
    """The machine, the database or a setting is not as the program needs it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


class Damaged(Exception):
    """What was read from the database is not what this program wrote there. `which` names the row, by its ids alone."""

    def __init__(self, **which: str) -> None:
        super().__init__(" ".join(f"{name} {value}" for name, value in which.items()))
        self.which = which


def kind_and_place(fault: BaseException) -> dict[str, Any]:
    """What a log line may say of an exception: its class and the last places it came through, never a value.

    Of a damaged row it says which one, so that whoever reads it can look.
    """
    places = traceback.extract_tb(fault.__traceback__)[-3:]
    return {
        "kind": type(fault).__qualname__,
        **({"which": fault.which} if isinstance(fault, Damaged) else {}),
        "at": [f"{place.filename.rpartition('/')[2]}:{place.lineno} {place.name}" for place in places],
    }
