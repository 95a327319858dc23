"""`transactions`: one row for each movement of money on a card, newest first to its readers.

What must stay true: a row never changes. A reversal and a revision are rows of their own that name what they concern.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import singledispatch
from typing import Any
from uuid import UUID, uuid5

from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.advances import AdvanceConfirmed, AdvanceReversed
from ledger.aggregates.fact import Fact
from ledger.aggregates.repayments import RefundSent, RepaymentMade, RepaymentReversed
from ledger.aggregates.restatement import AllocationRevised
from ledger.projections.read_model import add_rows
from ledger.repayment import Allocation
from ledger.store.pages import Connection, Recorded

KINDS = ("advance", "advance-reversal", "repayment", "repayment-reversal", "fee", "refund", "revision")

_COLUMNS = {
    "card_id": "uuid",
    "position": "int8",
    "line": "int2",
    "transaction_id": "uuid",
    "kind": "text",
    "amount": "int8",
    "direction": "text",
    "allocation": "jsonb",
    "principal_before": "int8",
    "principal_after": "int8",
    "method": "text",
    "value_date": "date",
    "recorded_at": "timestamptz",
    "reverses": "uuid",
    "revises": "jsonb",
    "caused_by": "uuid",
}
# PostgreSQL builds the page: the rows leave it as the JSON that clients read.
_READ = """
select p.position, coalesce(r.rows, '[]')::text, r.last_position, r.last_line, r.more
from projections p left join lateral (
    select json_agg(t.body order by t.n) filter (where t.n <= %(limit)s) as rows, count(*) > %(limit)s as more,
        min(t.position) filter (where t.n = %(limit)s) as last_position,
        min(t.line) filter (where t.n = %(limit)s) as last_line
    from (
        select x.position, x.line, row_number() over (order by x.position desc, x.line desc) as n,
            json_strip_nulls(json_build_object(
            'transaction_id', x.transaction_id, 'kind', x.kind, 'amount', x.amount, 'direction', x.direction,
            'allocation', x.allocation, 'principal_before', x.principal_before, 'principal_after', x.principal_after,
            'method', x.method, 'value_date', x.value_date,
            'recorded_at', to_char(x.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'position', x.position, 'reverses', x.reverses, 'revises', x.revises, 'caused_by', x.caused_by)) as body
        from transactions x
        where x.card_id = %(card)s and (x.position, x.line) < (%(position)s::bigint, %(line)s::smallint)
          and x.position <= %(as_of)s
          and (%(kind)s::text is null or x.kind = %(kind)s)
          and (%(since)s::date is null or x.value_date >= %(since)s)
          and (%(until)s::date is null or x.value_date <= %(until)s)
        order by x.position desc, x.line desc limit %(limit)s + 1
    ) t
) r on true where p.name = 'transactions'
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A movement, as a fact tells it; where and when it stands is the event's."""

    transaction_id: UUID
    kind: str
    amount: int
    direction: str
    allocation: Allocation | None
    principal_before: int | None
    principal_after: int | None
    method: str | None
    value_date: date
    reverses: UUID | None = None
    revises: tuple[str, ...] | None = None
    caused_by: UUID | None = None


@singledispatch
def lines(_fact: Fact) -> Iterator[Line]:
    """The movements that a fact is: none, for most facts."""
    yield from ()


@lines.register
def _(fact: AdvanceConfirmed) -> Iterator[Line]:
    before, after, day = fact.principal_before, fact.principal_after, fact.value_date
    yield Line(fact.advance_id, "advance", fact.amount, "debit", None, before, after, fact.purpose, day)
    if fact.fee:
        fee_id = uuid5(fact.advance_id, "fee")
        yield Line(fee_id, "fee", fact.fee, "debit", None, after, after, None, day, caused_by=fact.advance_id)


@lines.register
def _(fact: AdvanceReversed) -> Iterator[Line]:
    yield Line(
        uuid5(fact.advance_id, "reversal"),
        "advance-reversal",
        fact.amount + fact.fee,
        "credit",
        None,
        fact.principal_before,
        fact.principal_after,
        None,
        fact.value_date,
        reverses=fact.advance_id,
    )


@lines.register
def _(fact: RepaymentMade) -> Iterator[Line]:
    before, after = fact.principal_before, fact.principal_after
    yield Line(
        fact.repayment_id,
        "repayment",
        fact.amount,
        "credit",
        fact.allocation,
        before,
        after,
        fact.method,
        fact.value_date,
    )


@lines.register
def _(fact: RepaymentReversed) -> Iterator[Line]:
    yield Line(
        uuid5(fact.repayment_id, "reversal"),
        "repayment-reversal",
        fact.amount,
        "debit",
        fact.allocation,
        fact.principal_before,
        fact.principal_after,
        fact.method,
        fact.value_date,
        reverses=fact.repayment_id,
    )


@lines.register
def _(fact: RefundSent) -> Iterator[Line]:
    yield Line(fact.refund_id, "refund", fact.amount, "debit", None, None, None, None, fact.value_date)


@lines.register
def _(fact: AllocationRevised) -> Iterator[Line]:
    """`amount` is what the revision moves between principal and the rest; credit where more of it is principal now."""
    moved = sum(receipt.new.principal - receipt.old.principal for receipt in fact.revised)
    yield Line(
        uuid5(fact.caused_by, "revision"),
        "revision",
        abs(moved),
        "credit" if moved > 0 else "debit",
        None,
        None,
        None,
        None,
        fact.value_date,
        revises=tuple(str(receipt.repayment_id) for receipt in fact.revised),
        caused_by=fact.caused_by,
    )


class Transactions:
    """The writer."""

    name = "transactions"

    async def apply(self, connection: Connection, events: Sequence[Recorded], table: str) -> None:
        """Add the rows of the events."""
        rows = [_row(recorded, number, line) for recorded in events for number, line in _numbered(recorded)]
        if rows:
            await add_rows(connection, table, _COLUMNS, rows)


def _numbered(recorded: Recorded) -> Iterator[tuple[int, Line]]:
    return enumerate(lines(recorded.event.fact))


def _row(recorded: Recorded, number: int, line: Line) -> tuple[Any, ...]:
    return (
        recorded.event.originator_id, recorded.position, number, line.transaction_id, line.kind, line.amount,
        line.direction, line.allocation, line.principal_before, line.principal_after, line.method,
        line.value_date, recorded.recorded_at, line.reverses, line.revises, line.caused_by,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TransactionPage:
    """Rows as JSON text, newest first; `last` is where the next page begins."""

    position: int
    rows: str
    last: tuple[int, int] | None


class TransactionReader:
    """Pages of a card's transactions, by the primary key alone."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def page(
        self,
        card_id: UUID,
        *,
        before: tuple[int, int] | None = None,
        as_of: int | None = None,
        kind: str | None = None,
        since: date | None = None,
        until: date | None = None,
        limit: int,
    ) -> TransactionPage:
        """The newest `limit` rows that come before (position, line); value dates are inclusive."""
        top = 2**62
        position, line = before or (top, 0)
        wanted = {
            "card": card_id,
            "position": position,
            "line": line,
            "as_of": top if as_of is None else as_of,
            "kind": kind,
            "since": since,
            "until": until,
            "limit": limit,
        }
        async with self._pool.connection() as connection:
            row = await (await connection.cursor().execute(_READ, wanted)).fetchone()
        if row is None:
            return TransactionPage(0, "[]", None)
        reached, rows, last_position, last_line, more = row
        return TransactionPage(reached, rows, (last_position, last_line) if more else None)
