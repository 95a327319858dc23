"""Which database a command works on: the embedded one of a data folder, or the one of a URL.

What must stay true: one `serve` at a time runs on a data folder, and any other command may join it there; none works on
a database that is newer than the program.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ledger.faults import EnvironmentFault
from ledger.settings import Settings
from ledger.store import schema
from ledger.store.embedded import EmbeddedPostgres
from ledger.store.locks import FileLock

_LOCK_FILE = "serve.lock"


@contextmanager
def opened(settings: Settings) -> Iterator[Settings]:
    """The settings with a database that runs: their URL, or that of the embedded server while this lasts.

    Raises EnvironmentFault, or what the driver raises for a database that is down: before a command has begun, and
    before a pool tries again and again.
    """
    if settings.database_url is not None:
        _refuse_unreadable(settings.database_url)
        schema.status(settings.dsn)
        yield settings
        return
    with EmbeddedPostgres.at(settings.place) as server:
        schema.status(server.dsn)
        yield settings.model_copy(update={"database_url": server.dsn, "database_password_file": None})


def _refuse_unreadable(url: str) -> None:
    """Raise EnvironmentFault, without a word of the URL: it may hold a password, and so may the parser's complaint."""
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise EnvironmentFault(
            "The database URL cannot be read.", "Give it as postgresql://USER@HOST:PORT/DATABASE."
        ) from None


@contextmanager
def serving(settings: Settings) -> Iterator[None]:
    """Be the one that serves the data folder. Raises EnvironmentFault, naming the other one."""
    if settings.database_url is not None:
        yield
        return
    lock = _serve_lock(settings)
    try:
        if not lock.try_alone():
            raise EnvironmentFault(
                f"The data folder {settings.data} is served already ({lock.read() or 'just starting'}).",
                "Stop that one, or give another folder with --data.",
            )
        lock.write(f"process {os.getpid()}, port {settings.port}")
        yield
    finally:
        lock.close()


def served_port(settings: Settings) -> int | None:
    """The port that the data folder is served at, or was last; None where it never was, and for a database URL."""
    if settings.database_url is not None:
        return None
    try:
        note = re.search(r"port ([0-9]+)", (settings.place / _LOCK_FILE).read_text())
    except OSError:
        return None
    return int(note[1]) if note is not None else None


def _serve_lock(settings: Settings) -> FileLock:
    try:
        settings.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileLock(settings.place / _LOCK_FILE)
    except OSError as error:
        raise EnvironmentFault(
            f"The data folder {settings.data} cannot be used ({error.strerror}).", "Give another folder with --data."
        ) from error
