"""The plans of the queries that readers really ask: what was scanned, and how many rows were touched for it.

What must stay true: a plan is that of the very query, with its parameters, on the connection that asks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.abc import Params, Query

WHOLE = ("Seq Scan",)
"""The way to read a table that no page bounds."""


@dataclass(frozen=True)
class Scan:
    """One scan of a table: how, and the rows that it touched, those that it threw away included."""

    table: str
    kind: str
    rows: float

    @classmethod
    def all_of(cls, node: dict[str, Any]) -> Iterator[Self]:
        """The scans of a plan, from the top down."""
        if "Relation Name" in node:
            thrown = sum(node.get(f"Rows Removed by {by}", 0) for by in ("Filter", "Index Recheck"))
            yield cls(node["Relation Name"], node["Node Type"], (node["Actual Rows"] + thrown) * node["Actual Loops"])
        for below in node.get("Plans", ()):
            yield from cls.all_of(below)


@dataclass
class Plans:
    """Collects the scans of every query asked over a connection whose cursors it made."""

    scans: list[Scan] = field(default_factory=list)

    def cursors(self) -> type[psycopg.AsyncCursor[Any]]:
        scans = self.scans

        class Explaining(psycopg.AsyncCursor[Any]):
            async def execute(self, query: Query, params: Params | None = None, **named: Any) -> Self:
                text = query.as_string() if isinstance(query, sql.Composable) else query
                asked = text if isinstance(text, bytes) else str(text).encode()
                if b"select" in asked.lower():
                    await super().execute(b"explain (analyze, format json) " + asked, params)
                    row = await self.fetchone()
                    scans.extend(Scan.all_of(row[0][0]["Plan"]))
                return await super().execute(query, params, **named)

        return Explaining
