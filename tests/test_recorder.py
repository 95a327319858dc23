"""The library's own recorder tests, over the ledger's recorder on a migrated database."""

from __future__ import annotations

import sys
import unittest
from types import ModuleType

import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from ledger.store.recorder import LedgerRecorder

# The module of the library's tests imports a cipher that only its encryption tests use and that needs one more package.
_cipher = ModuleType("eventsourcing.cipher")
_cipher.AESCipher = None  # type: ignore[attr-defined]
sys.modules["eventsourcing.cipher"] = _cipher
from eventsourcing.tests.persistence import (  # noqa: E402
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)

del sys.modules["eventsourcing.cipher"]


class OnAMigratedDatabase(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _database(self, database_url: str) -> None:
        given = conninfo_to_dict(database_url)
        self.datastore = PostgresDatastore(
            dbname=str(given["dbname"]),
            host=str(given["host"]),
            port=str(given.get("port", "5432")),
            user=str(given["user"]),
            password=str(given.get("password", "")),
            pool_size=4,
            max_overflow=10,
        )

    def tearDown(self) -> None:
        self.datastore.close()

    def create_recorder(self) -> LedgerRecorder:
        recorder = LedgerRecorder(self.datastore, events_table_name="ledger_events")
        recorder.create_table()
        return recorder


class TestLibraryContract(OnAMigratedDatabase, ApplicationRecorderTestCase[LedgerRecorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()

    @unittest.skip("prints a rate and asserts nothing")
    def test_performance(self) -> None: ...

    @unittest.skip("prints a rate and asserts nothing that test_concurrent_no_conflicts does not")
    def test_concurrent_throughput(self) -> None: ...

    def test_three_thousand_events_at_once_do_not_hang(self) -> None:
        """The library's own recorder hangs for ever on such a save."""
        recorder, stream = self.create_recorder(), self.new_originator_id()
        events = [StoredEvent(stream, version, "topic", b"s" * 250) for version in range(1, 3001)]
        assert recorder.insert_events(events) == list(range(1, 3001))


class TestNonInterleaving(OnAMigratedDatabase, NonInterleavingNotificationIDsBaseCase):
    """Events of one save stand together, however many saves race."""
