"""The library used plainly: a small account of its own, on the library's own tables. A yardstick, not a part.

It does what its documentation shows: get the aggregate from the repository, call it, save it.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict


class PlainAccount(Aggregate):
    """An account that lends once and takes repayments."""

    @event("Opened")
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.principal = limit
        self.repayments: list[tuple[UUID, int, str, str]] = []

    @event("Repaid")
    def repay(self, repayment_id: UUID, amount: int, method: str, value_date: str) -> None:
        self.principal -= amount
        self.repayments.append((repayment_id, amount, method, value_date))


class PlainLedger(Application[UUID]):
    """The application of the account."""

    @classmethod
    def on(cls, dsn: str, *, create_table: bool = False) -> PlainLedger:
        """The application on a database, whose tables were made before it serves."""
        given = conninfo_to_dict(dsn)
        return cls(
            {
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "CREATE_TABLE": "y" if create_table else "n",
                "POSTGRES_DBNAME": str(given.get("dbname", "")),
                "POSTGRES_HOST": str(given.get("host", "")),
                "POSTGRES_PORT": str(given.get("port", "5432")),
                "POSTGRES_USER": str(given.get("user", "")),
                "POSTGRES_PASSWORD": "",
            }
        )

    def open_account(self, limit: int) -> UUID:
        account = PlainAccount(limit)
        self.save(account)
        return account.id

    def repay(self, account_id: UUID, amount: int, method: str, value_date: date) -> tuple[UUID, int]:
        """The id of the repayment and the principal after it."""
        account: PlainAccount = self.repository.get(account_id)
        repayment_id = uuid4()
        account.repay(repayment_id, amount, method, value_date.isoformat())
        self.save(account)
        return repayment_id, account.principal
