"""What a read model is to the projector: a name, the table of that name, and one statement for the rows of a page.

What must stay true: the rows follow from the events alone. What is kept in memory only spares reading a row that this
writer wrote itself, and is thrown away as soon as anything else may have written to the table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from ledger.aggregates.fact import Fact
from ledger.projections.columns import Column, packed
from ledger.store.pages import Connection, Recorded

KEPT_MAX = 4096
"""Folded rows that stay in memory for each read model; the ones used last."""

Kept = dict[UUID, Any]
Write = tuple[bytes, tuple[Any, ...]]
"""A statement that adds or changes rows, and its arguments."""


class ReadModel(ABC):
    """`write` is given a `table`, which is the read model's own or, in a rebuild, a fresh one of the same shape.

    Its statement runs in the transaction that also moves the position, with events in order, each exactly once.
    """

    name: str

    @abstractmethod
    async def write(self, connection: Connection, events: Sequence[Recorded], table: str, kept: Kept) -> Write | None:
        """The statement for the rows of these events, None where they change none. `kept` holds the folded rows as the
        table has them, and afterwards as the statement leaves them."""

    def heeds(self, fact: type[Fact]) -> bool:
        """Whether a fact of this kind can change a row: a rebuild does not read the others."""
        del fact
        return True

    async def apply(self, connection: Connection, events: Sequence[Recorded], table: str) -> None:
        """Write the rows of the events with nothing kept from before."""
        write = await self.write(connection, events, table, {})
        if write is not None:
            await connection.execute(*write)


class Lines(ReadModel):
    """A read model whose rows never change: every event tells its own. `store` adds rows of these `columns`."""

    store: str
    columns: Sequence[Column]

    @abstractmethod
    def rows(self, recorded: Recorded) -> list[tuple[Any, ...]]:
        """The rows of an event, none for most."""

    async def write(self, connection: Connection, events: Sequence[Recorded], table: str, kept: Kept) -> Write | None:
        del connection, kept  # nothing from before is needed
        rows = [row for recorded in events for row in self.rows(recorded)]
        return (on(table, self.store), packed(self.columns, rows)) if rows else None


@cache
def on(table: str, query: str) -> bytes:
    """The query with its table's name in it."""
    return query.format(table=table).encode()


def forget_oldest(kept: Kept) -> None:
    """Leave the `KEPT_MAX` rows that were put in last."""
    for key in list(kept)[: max(0, len(kept) - KEPT_MAX)]:
        del kept[key]
