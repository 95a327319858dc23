"""What a read model is to the projector: a name, the table of that name, and one way to apply events to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ledger.store.pages import Connection, Recorded


class ReadModel(Protocol):
    """`apply` writes to `table`, which is the read model's own or, in a rebuild, a fresh one of the same shape.

    It is called inside a transaction that also moves the position, with events in order, each exactly once.
    """

    name: str

    async def apply(self, connection: Connection, events: Sequence[Recorded], table: str) -> None: ...
