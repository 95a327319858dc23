"""A real PostgreSQL for the tests, and a database of its own for each test that asks.

The server is an embedded one in a temporary folder, or the one that CARDLEDGER_TEST_DATABASE_URL names (its user must
be allowed to create databases). The schema is made once, in a template; each test gets a copy of it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.conninfo import make_conninfo

from ledger.store.embedded import EmbeddedPostgres

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

_numbers = itertools.count(1)

NewDatabase = Callable[[str], AbstractContextManager[str]]


@pytest.fixture(autouse=True)
def the_environment_is_left_as_it_was() -> Iterator[None]:
    """A setting that one test leaves behind would be read by every server that a later test starts."""
    before = _settings_in_the_environment()
    yield
    assert _settings_in_the_environment() == before


def _settings_in_the_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("CARDLEDGER_", "DATABASE_URL"))}


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a server on which the tests may create databases."""
    given = os.environ.get("CARDLEDGER_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with EmbeddedPostgres.at(tmp_path_factory.mktemp("server"), durable=False) as server:
        yield server.dsn


@pytest.fixture(scope="session")
def template_database(postgres_server: str) -> Iterator[str]:
    """The name of a database that holds the empty schema."""
    from ledger.store import schema

    with _database(postgres_server, "template") as name:
        schema.migrate(make_conninfo(postgres_server, dbname=name))
        yield name


@pytest.fixture
def empty_database_url(postgres_server: str) -> Iterator[str]:
    """A database without the schema."""
    with _database(postgres_server, "empty") as name:
        yield make_conninfo(postgres_server, dbname=name)


@pytest.fixture
def database_url(postgres_server: str, template_database: str) -> Iterator[str]:
    """A database with the empty schema of a real ledger, for this test alone."""
    with _database(postgres_server, "ledger", template_database) as name:
        yield make_conninfo(postgres_server, dbname=name)


@pytest.fixture(scope="session")
def new_database(postgres_server: str) -> NewDatabase:
    """Makes a database without the schema, for those that need one for longer than a test."""

    @contextmanager
    def made(kind: str) -> Iterator[str]:
        with _database(postgres_server, kind) as name:
            yield make_conninfo(postgres_server, dbname=name)

    return made


@contextmanager
def _database(server: str, kind: str, template: str = "template0") -> Iterator[str]:
    name = f"cardledger_test_{os.getpid()}_{kind}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template} strategy file_copy".encode())
        try:
            yield name
        finally:
            connection.execute(f"drop database {name} with (force)".encode())
