"""Where the read models stand: position, lag, and why one has stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from ledger.store.pages import Connection

LISTING = """
select p.name, p.position, h.head, h.head - p.position as lag_events,
    coalesce(extract(epoch from business_now() - (
        select e.recorded_at from ledger_events e where e.notification_id = p.position + 1
    ))::bigint, 0) as lag_seconds,
    p.state, p.failed_position, p.failed_type, p.failed_error
from projections p, (select coalesce(max(notification_id), 0) as head from ledger_events) h order by p.name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionStatus:
    """One read model; `state` is `following` or `failed`, and a failed one names its poison event."""

    name: str
    position: int
    head: int
    lag_events: int
    lag_seconds: int
    state: str
    failed_position: int | None
    failed_type: str | None
    failed_error: str | None

    def as_json(self) -> dict[str, Any]:
        """The element of `GET /v1/projections`."""
        failure = None
        if self.state == "failed":
            failure = {"position": self.failed_position, "type": self.failed_type, "error": self.failed_error}
        return {
            "name": self.name,
            "position": self.position,
            "head": self.head,
            "lag_events": self.lag_events,
            "lag_seconds": self.lag_seconds,
            "state": self.state,
            "failure": failure,
        }


def listing(connection: psycopg.Connection[Any]) -> list[ProjectionStatus]:
    """Every read model, by name."""
    return connection.cursor(row_factory=class_row(ProjectionStatus)).execute(LISTING).fetchall()


async def listing_async(connection: Connection) -> list[ProjectionStatus]:
    """As `listing`, for a server."""
    return await (await connection.cursor(row_factory=class_row(ProjectionStatus)).execute(LISTING)).fetchall()


def retry(connection: psycopg.Connection[Any], name: str) -> bool:
    """Let a stopped read model go on at its poison event; False when it was not stopped."""
    cursor = connection.execute(
        "update projections set state = 'following', failed_position = null, failed_type = null, failed_error = null,"
        " updated_at = clock_timestamp() where name = %s and state = 'failed'",
        (name,),
    )
    connection.execute(sql.SQL("notify ledger_events"))
    return cursor.rowcount == 1
