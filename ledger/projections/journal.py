"""`journal`: the books, one row for each line of each fact that moves money, oldest first to its readers.

What must stay true: rows never change, and both sides of every event are equal, so every trial balance is zero. A line
is booked on the business day on which the log took the event; its value date stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.fact import Fact
from ledger.calendar import business_day
from ledger.postings import ACCOUNTS, RULES, moves_money, postings, value_date
from ledger.projections.columns import bigints, dates, instants, smallints, uuids, words
from ledger.projections.read_model import Lines
from ledger.store.pages import Recorded

_STORE = """
insert into {table} (position, line, card_id, account, direction, amount, value_date, booked_on, recorded_at, rules)
select * from unnest(%b::bigint[], %b::smallint[], %b::uuid[], %b::text[], %b::text[], %b::bigint[], %b::date[],
    %b::date[], %b::timestamptz[], %b::smallint[])
"""
_COLUMNS = (bigints, smallints, uuids, words, words, bigints, dates, dates, instants, smallints)
_READ = """
select p.position, coalesce(r.rows, '[]')::text, r.last_position, r.last_line, r.more
from projections p left join lateral (
    select json_agg(t.body order by t.n) filter (where t.n <= %(limit)s) as rows, count(*) > %(limit)s as more,
        min(t.position) filter (where t.n = %(limit)s) as last_position,
        min(t.line) filter (where t.n = %(limit)s) as last_line
    from (
        select j.position, j.line, row_number() over (order by j.position, j.line) as n, json_build_object(
            'position', j.position, 'line', j.line, 'card_id', j.card_id, 'account', j.account,
            'direction', j.direction, 'amount', j.amount, 'value_date', j.value_date, 'booked_on', j.booked_on,
            'recorded_at', to_char(j.recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'rules', j.rules) as body
        from journal j
        where (j.position, j.line) > (%(position)s::bigint, %(line)s::smallint)
          and j.position <= coalesce(%(until)s::bigint, p.position)
        order by j.position, j.line limit %(limit)s + 1
    ) t
) r on true where p.name = 'journal'
"""
_TRIAL_BALANCE = """
select p.position, j.account, coalesce(j.debits, 0)::bigint, coalesce(j.credits, 0)::bigint
from projections p left join lateral (
    select account, sum(amount) filter (where direction = 'debit') as debits,
        sum(amount) filter (where direction = 'credit') as credits
    from journal where position <= coalesce(%(until)s::bigint, p.position) group by account
) j on true where p.name = 'journal'
"""


class Journal(Lines):
    """The writer."""

    name = "journal"
    store, columns = _STORE, _COLUMNS

    def heeds(self, fact: type[Fact]) -> bool:
        return moves_money(fact)

    def rows(self, recorded: Recorded) -> list[tuple[Any, ...]]:
        event, recorded_at = recorded.event, recorded.recorded_at
        written = postings(event.fact)
        if not written:
            return []
        of_value, booked_on = value_date(event.fact), business_day(recorded_at)
        return [
            (recorded.position, number, event.originator_id, *posting, of_value, booked_on, recorded_at, RULES)
            for number, posting in enumerate(written)
        ]


@dataclass(frozen=True, slots=True)
class JournalPage:
    """Lines as JSON text, oldest first; `last` is where the next page begins, None on the last one."""

    position: int
    rows: str
    last: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class AccountTotal:
    """What was ever written on each side of an account, in whole yen."""

    account: str
    debits: int
    credits: int


class JournalReader:
    """Pages of the journal and trial balances, as of a position or as far as the projector has come."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def page(self, *, after: tuple[int, int], until: int | None, limit: int) -> JournalPage:
        """The next lines after (position, line), none beyond the position `until`."""
        wanted = {"position": after[0], "line": after[1], "until": until, "limit": limit}
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_READ, wanted)).fetchone()
        if row is None:
            return JournalPage(0, "[]", None)
        reached, rows, last_position, last_line, more = row
        return JournalPage(reached, rows, (last_position, last_line) if more else None)

    async def trial_balance(self, until: int | None) -> tuple[int, tuple[AccountTotal, ...]]:
        """Where the journal stands, and each account that was used, in the order of the chart of accounts."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_TRIAL_BALANCE, {"until": until})).fetchall()
        found = {row[1]: AccountTotal(*row[1:]) for row in rows if row[1] is not None}
        return (rows[0][0] if rows else 0), tuple(found[name] for name in ACCOUNTS if name in found)
