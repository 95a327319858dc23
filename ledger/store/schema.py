"""The schema: numbered SQL files, applied once each, in order, under one lock.

What must stay true: a file that was released never changes; a database newer than the program is refused, not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import psycopg
from psycopg import sql

from ledger.faults import EnvironmentFault

_LOCK = 7_010_112_201  # "one migration at a time", an advisory lock of the database


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The version of a database's schema (0: none yet) and the one that this program wants."""

    version: int
    wanted: int

    @property
    def current(self) -> bool:
        return self.version == self.wanted


def _migrations() -> list[tuple[int, str, str]]:
    files = resources.files("ledger.store").joinpath("migrations").iterdir()
    names = sorted(file.name for file in files if file.name.endswith(".sql"))
    folder = resources.files("ledger.store").joinpath("migrations")
    return [(int(name[:4]), name, folder.joinpath(name).read_text("utf-8")) for name in names]


def _version(connection: psycopg.Connection) -> int:
    if connection.execute("select to_regclass('schema_migrations')").fetchone() == (None,):
        return 0
    row = connection.execute("select coalesce(max(version), 0) from schema_migrations").fetchone()
    assert row is not None
    return int(row[0])


def status(dsn: str) -> SchemaStatus:
    """Where the database stands; raises EnvironmentFault when it is newer than the program."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = SchemaStatus(_version(connection), _migrations()[-1][0])
    if found.version > found.wanted:
        raise EnvironmentFault(
            f"The database has schema {found.version}, this program knows {found.wanted}.",
            "Install the newer program that made it; nothing was changed.",
        )
    return found


def migrate(dsn: str, *, sandbox: bool = False) -> None:
    """Bring the schema up to date; a second call, or one at the same time in another process, does nothing.

    A new database becomes a sandbox or a real one for good; the other start is refused with EnvironmentFault.
    """
    status(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        connection.execute(
            "create table if not exists schema_migrations"
            " (version int primary key, name text not null, applied_at timestamptz not null default clock_timestamp())"
        )
        present = _version(connection)
        for version, name, text in _migrations():
            if version > present:
                with connection.transaction():
                    connection.execute(sql.SQL(text))
                    connection.execute("insert into schema_migrations (version, name) values (%s, %s)", (version, name))
        connection.execute("insert into log_head (sandbox) values (%s) on conflict do nothing", (sandbox,))
        refuse_other_kind(connection, sandbox=sandbox)


def refuse_other_kind(connection: psycopg.Connection, *, sandbox: bool) -> None:
    """Raise EnvironmentFault when a sandbox is opened as a real ledger or a real ledger as a sandbox."""
    if connection.execute("select sandbox from log_head").fetchone() != (sandbox,):
        has, should = ("a real ledger", "without") if sandbox else ("a sandbox", "with")
        raise EnvironmentFault(f"This database is {has}.", f"Start {should} --sandbox, or choose another database.")
