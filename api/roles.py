"""The role matrix: who may do what. Authorisation, the documents and the tests all read this one table.

What must stay true: default deny. A role that a row does not name may not do it.
"""

from __future__ import annotations

from typing import Final

ROLES: Final = (
    "member", "counter", "contract-machine", "atm", "app", "service", "call-centre", "credit", "auditor", "operator",
)  # fmt: skip
ANONYMOUS: Final = "anonymous"
DENIED: Final = "–"

_TABLE = """
login                        | anonymous | – | – | y | y | – | – | – | – | –
own sessions                 | own | – | – | – | – | – | – | – | – | –
enrol member, issue card     | – | y | y | – | – | – | – | – | – | –
set a new PIN                | – | y + document | y + document | – | – | – | – | – | – | –
web credentials              | own: fresh card session, or present password | y | y | – | – | – | – | – | – | –
ask for a password mail      | anonymous | y | – | – | – | – | y | – | – | –
send a password mail         | – | y | – | – | – | – | y | – | – | –
profile change               | own | y | – | – | – | – | – | – | – | –
draw an advance              | own; cash: session opened through `atm` | – | – | – | – | – | – | – | – | –
settle an advance            | – | – | – | – | – | y | – | – | – | –
take a repayment             | own: `internet` | `counter` | `atm` | `atm` | – | `internet`, `bank-transfer`, `direct-debit` | – | – | – | –
reverse a repayment          | – | – | – | – | – | y | – | – | – | –
stop a card                  | own: `lost`, `stolen` | `lost`, `stolen` | – | – | – | – | `lost`, `stolen` | y | – | –
suspend, resume, lift a stop | – | – | – | – | – | – | – | y | – | –
ask for a limit change       | own | y | – | – | – | – | – | – | – | –
decide a limit change        | – | – | – | – | – | – | – | y | – | –
record income proof          | – | y | – | – | – | – | – | y | – | –
record credit report         | – | – | – | – | – | y | – | y | – | –
read                         | own | y | – | – | – | y | y | y | y | –
read lockout                 | own, without credit reasons | y | y | codes only | – | – | codes only | y | y | –
audit                        | – | – | – | – | – | – | – | – | y | –
read projections             | – | – | – | – | – | – | – | – | y | y
operate                      | – | – | – | – | – | – | – | – | – | y
anybody                      | anyone | y | y | y | y | y | y | y | y | y
"""  # noqa: E501


def _rows() -> dict[str, dict[str, str]]:
    lines = [[cell.strip() for cell in line.split("|")] for line in _TABLE.strip().splitlines()]
    return {permission: dict(zip(ROLES, cells, strict=True)) for permission, *cells in lines}


MATRIX: Final = _rows()
"""The cell of each permission and role, as the documents show it."""


def _permitted(cells: dict[str, str]) -> frozenset[str]:
    roles = {role for role, cell in cells.items() if cell != DENIED}
    if cells["member"] == ANONYMOUS:
        return frozenset(roles - {"member"} | {ANONYMOUS})
    return frozenset(roles | {ANONYMOUS}) if cells["member"] == "anyone" else frozenset(roles)


PERMITTED: Final = {permission: _permitted(cells) for permission, cells in MATRIX.items()}
"""The roles that each permission lets in; `anonymous` is the caller who sends no token."""


def markdown() -> str:
    """The matrix as a table for the documents."""
    head = ["operation", *ROLES]
    lines = [head, ["---"] * len(head), *([permission, *cells.values()] for permission, cells in MATRIX.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
