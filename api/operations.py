"""The table of operations: every row of the interface, by business area.

What must stay true: one path and method, one row. The rows asked for most stand first, because the router looks from
the top.
"""

from __future__ import annotations

from api.operation import Operation
from api.routes import books, cards, events, members, money, process, public, reads, refusals, sandbox, sessions

AREAS = (money, reads, sessions, members, cards, public, events, books, refusals, process)


def operations(*, in_sandbox: bool) -> tuple[Operation, ...]:
    """Every operation of the interface, those of the sandbox only in a sandbox."""
    rows = tuple(row for area in AREAS for row in area.OPERATIONS)
    return (*rows, *sandbox.OPERATIONS) if in_sandbox else rows


def by_path(rows: tuple[Operation, ...]) -> dict[str, dict[str, Operation]]:
    """The operations of each path by method, in the order of the table."""
    paths: dict[str, dict[str, Operation]] = {}
    for row in rows:
        taken = paths.setdefault(row.path, {})
        assert row.method not in taken, f"{row.method} {row.path} stands twice"
        taken[row.method] = row
    return paths
