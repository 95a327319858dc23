"""The ledger as one object: the library's application, the lane that writes for it, and every act by its name."""

from __future__ import annotations

from typing import Any, Self, cast
from uuid import UUID

import psycopg
from eventsourcing.application import Application
from eventsourcing.persistence import ApplicationRecorder, Mapper
from eventsourcing.postgres import PostgresFactory
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from ledger.application.account import AccountActs
from ledger.application.cards import CardActs
from ledger.application.logins import LoginActs
from ledger.application.members import MemberActs
from ledger.application.outbox import Outbox
from ledger.application.sandbox import Sandbox
from ledger.faults import EnvironmentFault
from ledger.lane import Lane
from ledger.store.credentials import CredentialVault, HashCost
from ledger.store.directory import Directory
from ledger.store.hashing import HashRoom
from ledger.store.keys import Keyring
from ledger.store.log import TIMEOUTS, Log
from ledger.store.mapper import FactMapper
from ledger.store.recorder import LedgerRecorder
from ledger.store.sessions import Doorkeeper
from ledger.store.unknown_numbers import UnknownNumbers
from ledger.terms import TermsBook

_POOL_MAX = 8


class Ledger(MemberActs, CardActs, AccountActs, LoginActs, Application[UUID]):
    """Open it with `Ledger.open`, close it with `close_down`; in between its acts are coroutines.

    `repository`, `recorder` and `mapper` are the library's own, over the same table: a stream read through them is the
    stream that the lane wrote.
    """

    name = "ledger"
    terms: TermsBook
    pool: AsyncConnectionPool[Any]
    outbox: Outbox
    sandbox: Sandbox

    def __init__(self, dsn: str) -> None:
        given = conninfo_to_dict(dsn)
        # A new table is made by the migrations alone: workers start with CREATE_TABLE off.
        super().__init__(
            {
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "CREATE_TABLE": "n",
                "POSTGRES_DBNAME": str(given.get("dbname", "")),
                "POSTGRES_HOST": str(given.get("host", "")),
                "POSTGRES_PORT": str(given.get("port", "5432")),
                "POSTGRES_USER": str(given.get("user", "")),
                "POSTGRES_PASSWORD": str(given.get("password", "")),
                "POSTGRES_POOL_SIZE": "1",
                "POSTGRES_MAX_OVERFLOW": "2",
                "POSTGRES_LOCK_TIMEOUT": "5",
                "POSTGRES_CONNECT_TIMEOUT": "5",
            }
        )

    def construct_mapper(self) -> Mapper[UUID]:
        return FactMapper()

    def construct_recorder(self) -> ApplicationRecorder:
        factory = cast("PostgresFactory", self.factory)
        return LedgerRecorder(factory.datastore, events_table_name="ledger_events")

    @classmethod
    async def open(
        cls, dsn: str, keys: Keyring, terms: TermsBook, *, cost: HashCost | None = None, queue_max: int = 4096
    ) -> Self:
        """Connect and start; raises EnvironmentFault when the key file is not the one of this database."""
        self = cls(dsn)
        self.terms = terms
        self.pool = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=_POOL_MAX,
            timeout=2,
            reconnect_timeout=2,  # then the next request tries anew; the pool's own pauses double up to minutes
            open=False,
            kwargs={"autocommit": True, "options": TIMEOUTS, "prepare_threshold": 2},
        )
        try:
            await self.pool.open(wait=True, timeout=10)
            await self._check_keys(keys)
        except BaseException:
            # Nobody gets hold of what was opened so far.
            await self.pool.close()
            self.close()
            raise
        self.directory = Directory(self.pool, keys)
        self.doorkeeper = Doorkeeper(self.pool)
        self.unknown_numbers = UnknownNumbers(self.pool)
        self.room = HashRoom(CredentialVault(keys, cost or HashCost()))
        self.room.calibrate()
        self.outbox = Outbox(self.pool, self.directory)
        self.sandbox = Sandbox(self.pool, self.outbox)
        self.lane = Lane(Log(dsn), terms, queue_max=queue_max)
        await self.lane.start()
        return self

    async def _check_keys(self, keys: Keyring) -> None:
        async with self.pool.connection() as connection:
            await connection.execute("update log_head set key_check = %s where key_check is null", (keys.check,))
            row = await (await connection.execute("select key_check from log_head")).fetchone()
        if row is None or bytes(row[0]) != keys.check:
            raise EnvironmentFault(
                "The key file is not the one that this database was written with.",
                "Restore the key file that belongs to it; nothing was changed.",
            )

    async def close_down(self) -> None:
        """Finish what waits, then close every connection."""
        await self.lane.stop()
        self.room.close()
        await self.pool.close()
        self.close()

    async def reachable(self) -> bool:
        """Whether the database answers within half a second."""
        try:
            async with self.pool.connection(timeout=0.5) as connection:
                await connection.execute("select 1")
        except (psycopg.Error, TimeoutError):
            return False
        return True
