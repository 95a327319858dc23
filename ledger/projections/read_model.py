"""What a read model is to the projector: a name, the table of that name, and one way to apply events to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from psycopg import sql
from psycopg.types.json import set_json_dumps

from ledger.store.pages import Connection, Recorded


class ReadModel(Protocol):
    """`apply` writes to `table`, which is the read model's own or, in a rebuild, a fresh one of the same shape.

    It is called inside a transaction that also moves the position, with events in order, each exactly once.
    """

    name: str

    async def apply(self, connection: Connection, events: Sequence[Recorded], table: str) -> None: ...


async def add_rows(
    connection: Connection, table: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]
) -> None:
    """Add rows that never change, by a binary COPY: `columns` are the names with their types, in the rows' order."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    query = sql.SQL("copy {} ({}) from stdin (format binary)").format(sql.Identifier(table), names)
    cursor = connection.cursor()
    set_json_dumps(msgspec.json.encode, cursor)
    async with cursor.copy(query) as copy:
        copy.set_types(list(columns.values()))
        for row in rows:
            await copy.write_row(row)
