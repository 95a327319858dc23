"""What stops the program for a reason outside of it: a port, a folder, a database, a setting.

A fault says in one sentence what happened and in one what to do; the command line prints both and exits with 2.
"""

from __future__ import annotations


class EnvironmentFault(Exception):
    """The machine, the database or a setting is not as the program needs it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy
