"""What a database needs before it is served: its terms, its schema, its kind, its keys, and an empty sandbox's clock.

What must stay true: a key file is made only for a database that has never had one.
"""

from __future__ import annotations

import psycopg

from ledger.faults import EnvironmentFault
from ledger.settings import Settings
from ledger.store import schema
from ledger.store.keys import Keyring
from ledger.terms import TermsBook
from ledger.terms_file import TermsInvalid


def prepare(settings: Settings, *, embedded: bool) -> None:
    """Make the database ready; raises EnvironmentFault, and then has changed nothing that matters.

    The embedded database is brought up to date; another one only by the person who looks after it.
    """
    _refuse_unreadable_terms(settings)
    if settings.sandbox and settings.close_days_after_minutes is not None:
        raise EnvironmentFault(
            "The clock of a sandbox closes no day.",
            "Unset CARDLEDGER_CLOSE_DAYS_AFTER_MINUTES; a sandbox has a route for it.",
        )
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


def _refuse_unreadable_terms(settings: Settings) -> None:
    try:
        TermsBook.load(settings.terms)
    except TermsInvalid as invalid:
        raise EnvironmentFault(f"{invalid}.", "Correct the file of terms.") from None
    except OSError as error:
        raise EnvironmentFault(
            f"The file of terms {settings.terms} cannot be read ({error.strerror}).", "Correct CARDLEDGER_TERMS."
        ) from error


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


def refuse_unfit_keys(settings: Settings) -> None:
    """Raise EnvironmentFault when the keys cannot be read, are not this database's, or would protect nothing.

    Asked before anything is served, so that it is told in a sentence and not in the trace of a server's start.
    """
    if settings.test_hash_cost and not settings.sandbox:
        raise EnvironmentFault("Cheap hashes protect nothing.", "Unset CARDLEDGER_TEST_HASH_COST.")
    keys = Keyring.load(settings.keys)
    with psycopg.connect(settings.dsn, autocommit=True) as connection:
        row = connection.execute("select key_check from log_head where key_check is not null").fetchone()
    if row is not None and bytes(row[0]) != keys.check:
        raise EnvironmentFault(
            f"The key file {settings.keys} is not the one that this database was written with.",
            "Restore the one that belongs to it; nothing was changed.",
        )


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
