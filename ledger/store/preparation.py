"""What a database needs before it is served: its schema, its kind, its keys, and the clock of an empty sandbox.

What must stay true: a key file is made only for a database that has never had one.
"""

from __future__ import annotations

import psycopg

from ledger.faults import EnvironmentFault
from ledger.settings import Settings
from ledger.store import schema
from ledger.store.keys import Keyring


def prepare(settings: Settings, *, embedded: bool) -> None:
    """Make the database ready; raises EnvironmentFault, and then has changed nothing that matters.

    The embedded database is brought up to date; another one only by the person who looks after it.
    """
    if embedded:
        schema.migrate(settings.dsn, sandbox=settings.sandbox)
    elif not (found := schema.status(settings.dsn)).current:
        raise EnvironmentFault(
            f"The database has schema {found.version}, this program needs {found.wanted}.",
            "Run `cardledger db migrate` first.",
        )
    with psycopg.connect(settings.dsn, autocommit=True) as connection:
        schema.refuse_other_kind(connection, sandbox=settings.sandbox)
        if embedded:
            _provide_keys(connection, settings)
        if settings.sandbox and settings.start is not None:
            _start_clock(connection, settings)


def _provide_keys(connection: psycopg.Connection, settings: Settings) -> None:
    if settings.keys.exists():
        return
    row = connection.execute("select key_check is null from log_head").fetchone()
    if row is None or not row[0]:
        raise EnvironmentFault(
            f"The key file {settings.keys} is missing.",
            "Restore it from its backup; a new one would not open this database.",
        )
    Keyring.create(settings.keys)


def _start_clock(connection: psycopg.Connection, settings: Settings) -> None:
    """Begin an empty sandbox's time; a sandbox with events goes on from where it stood."""
    untouched = connection.execute(
        "select clock_offset = '0' and not exists (select from ledger_events) from log_head"
    ).fetchone()
    if untouched == (True,):
        moved = connection.execute("select move_clock(%s)", (settings.start,)).fetchone()
        if moved is None or moved[0] is None:
            raise EnvironmentFault(
                f"A sandbox cannot begin at {settings.start}.", "Give an instant from 1990 on with --start."
            )
