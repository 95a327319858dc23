"""`transactions`: one row for each movement of money on a card, newest first to its readers.

What must stay true: a row never changes. A reversal and a revision are rows of their own that name what they concern.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import singledispatch
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import msgspec
from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.advances import AdvanceConfirmed, AdvanceReversed
from ledger.aggregates.fact import Fact
from ledger.aggregates.repayments import RefundSent, RepaymentMade, RepaymentReversed
from ledger.aggregates.restatement import AllocationRevised
from ledger.projections.columns import bigints, dates, instants, packed, smallints, texts, uuids, words
from ledger.projections.read_model import Lines
from ledger.repayment import Allocation
from ledger.store.lookup import Lookup
from ledger.store.pages import Recorded

KINDS = ("advance", "advance-reversal", "repayment", "repayment-reversal", "fee", "refund", "revision")

_STORE = """
insert into {table} (card_id, position, line, transaction_id, kind, amount, direction, allocation, principal_before,
    principal_after, method, value_date, recorded_at, reverses, revises, caused_by)
select card_id, position, line, transaction_id, kind, amount, direction, allocation::jsonb, principal_before,
    principal_after, method, value_date, recorded_at, reverses, revises::jsonb, caused_by
from unnest(%b::uuid[], %b::bigint[], %b::smallint[], %b::uuid[], %b::text[], %b::bigint[], %b::text[], %b::text[],
    %b::bigint[], %b::bigint[], %b::text[], %b::date[], %b::timestamptz[], %b::uuid[], %b::text[], %b::uuid[])
    r (card_id, position, line, transaction_id, kind, amount, direction, allocation, principal_before,
    principal_after, method, value_date, recorded_at, reverses, revises, caused_by)
"""
_COLUMNS = (
    uuids, bigints, smallints, uuids, words, bigints, words,
    texts, bigints, bigints, words, dates, instants, uuids, texts, uuids,
)  # fmt: skip
# Pages that are asked for together come out of one statement; a page reads one row more than it shows.
_READ = """
select w.number, p.position, x.position, x.line, x.transaction_id, x.kind, x.amount, x.direction, x.allocation,
    x.principal_before, x.principal_after, x.method, x.value_date, x.recorded_at, x.reverses, x.revises, x.caused_by
from projections p cross join unnest(%b::bigint[], %b::uuid[], %b::bigint[], %b::smallint[], %b::bigint[], %b::text[],
    %b::date[], %b::date[], %b::bigint[]) w (number, card, position, line, as_of, kind, since, until, at_most)
left join lateral (
    select t.position, t.line, t.transaction_id::text, t.kind, t.amount, t.direction, t.allocation::text,
        t.principal_before, t.principal_after, t.method, t.value_date, t.recorded_at at time zone 'UTC' as recorded_at,
        t.reverses::text, t.revises::text, t.caused_by::text
    from transactions t
    where (t.card_id, t.position, t.line) < (w.card, w.position, w.line)
      and (t.card_id, t.position) >= (w.card, 0) and t.position <= w.as_of
      and (w.kind is null or t.kind = w.kind)
      and (w.since is null or t.value_date >= w.since) and (w.until is null or t.value_date <= w.until)
    order by t.card_id desc, t.position desc, t.line desc limit w.at_most
) x on true where p.name = 'transactions'
order by w.number, x.position desc, x.line desc
"""
PAGES_TOGETHER = 32
_TOP = 2**62
_ASKED = (bigints, uuids, bigints, smallints, bigints, words, dates, dates, bigints)


_encode = msgspec.json.Encoder().encode


class Line(NamedTuple):
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


class Transactions(Lines):
    """The writer."""

    name = "transactions"
    store, columns = _STORE, _COLUMNS

    def heeds(self, fact: type[Fact]) -> bool:
        return fact in lines.registry

    def rows(self, recorded: Recorded) -> list[tuple[Any, ...]]:
        told = lines.registry.get(type(recorded.event.fact))  # most facts, and so the whole log, are told apart at once
        if told is None:
            return []
        return [_row(recorded, number, line) for number, line in enumerate(told(recorded.event.fact))]


def _json(value: object) -> bytes | None:
    return None if value is None else _encode(value)


def _row(recorded: Recorded, number: int, line: Line) -> tuple[Any, ...]:
    transaction_id, kind, amount, direction, allocation, before, after, method, day, reverses, revises, caused_by = line
    return (
        recorded.event.originator_id, recorded.position, number, transaction_id, kind, amount, direction,
        _json(allocation), before, after, method, day, recorded.recorded_at, reverses, _json(revises), caused_by,
    )  # fmt: skip


class _Told(msgspec.Struct, omit_defaults=True):
    """A row as clients read it; what is null is left out."""

    transaction_id: str
    kind: str
    amount: int
    direction: str
    allocation: msgspec.Raw | None = None
    principal_before: int | None = None
    principal_after: int | None = None
    method: str | None = None
    value_date: date | None = None
    recorded_at: str | None = None
    position: int | None = None
    reverses: str | None = None
    revises: msgspec.Raw | None = None
    caused_by: str | None = None


@dataclass(frozen=True, slots=True)
class TransactionPage:
    """Rows as JSON, newest first; `last` is where the next page begins."""

    position: int
    rows: bytes
    last: tuple[int, int] | None


class _Wanted(NamedTuple):
    """A page: the newest `limit` rows that come before (position, line); value dates are inclusive."""

    card_id: UUID
    position: int
    line: int
    as_of: int
    kind: str | None
    since: date | None
    until: date | None
    limit: int


class TransactionReader:
    """Pages of a card's transactions, by the primary key alone; those that are asked for together share a query."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._pages: Lookup[_Wanted, TransactionPage] = Lookup(self._fetch, keys_max=PAGES_TOGETHER)

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
        position, line = before or (_TOP, 0)
        last = _TOP if as_of is None else as_of
        page = await self._pages.get(_Wanted(card_id, position, line, last, kind, since, until, limit))
        return page or TransactionPage(0, b"[]", None)

    async def _fetch(self, pages: Sequence[_Wanted]) -> Mapping[_Wanted, TransactionPage]:
        asked = packed(_ASKED, [(number, *page[:-1], page.limit + 1) for number, page in enumerate(pages)])
        async with self._pool.connection() as connection:
            found = await (await connection.cursor(binary=True).execute(_READ, asked)).fetchall()
        return {pages[number]: _page(list(rows), pages[number].limit) for number, rows in groupby(found, itemgetter(0))}


def _page(found: list[tuple[Any, ...]], limit: int) -> TransactionPage:
    """The page of rows that begin with its number and the reached position; a row of nulls where it is empty."""
    reached, rows = found[0][1], [row[2:] for row in found[:limit] if row[2] is not None]
    last = rows[-1][:2] if len(found) > limit else None
    return TransactionPage(reached, _encode([_told(*row) for row in rows]), last)


def _told(
    position: int, _line: int, transaction_id: str, kind: str, amount: int, direction: str, allocation: str | None,
    before: int | None, after: int | None, method: str | None, value_date: date, recorded_at: datetime,
    reverses: str | None, revises: str | None, caused_by: str | None,
) -> _Told:  # fmt: skip
    return _Told(
        transaction_id, kind, amount, direction, _raw(allocation), before, after, method, value_date,
        recorded_at.isoformat(timespec="microseconds") + "Z", position, reverses, _raw(revises), caused_by,
    )  # fmt: skip


def _raw(json: str | None) -> msgspec.Raw | None:
    return None if json is None else msgspec.Raw(json.encode())
