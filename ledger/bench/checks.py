"""The check after the load: every balance is added up again from the facts, in SQL, and compared with every place that
holds it.

What must stay true: the sums here share no code with the program that they check.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

_FACTS = """
with facts as (
    select originator_id as card_id, originator_version as version, topic,
        convert_from(state, 'UTF8')::jsonb->'data' as data
    from ledger_events where starts_with(topic, 'card.')
), owed as (
    select card_id, max(version) as version, count(*) as facts,
        coalesce(sum((data->>'amount')::bigint) filter (where topic = 'card.advance-confirmed'), 0)
        - coalesce(sum((data#>>'{allocation,principal}')::bigint) filter (where topic = 'card.repayment-made'), 0)
        + coalesce(sum((data#>>'{allocation,principal}')::bigint) filter (where topic = 'card.repayment-reversed'), 0)
            as principal
    from facts group by card_id
)
"""
_BALANCES = """
select count(*) from owed o full join balances b using (card_id)
where o.principal is distinct from b.principal or o.version is distinct from b.version or o.version <> o.facts
"""
_TRANSACTIONS = """
, moved as (
    select card_id, sum(case kind when 'advance' then amount when 'repayment' then -(allocation->>'principal')::bigint
        when 'repayment-reversal' then (allocation->>'principal')::bigint end) as principal
    from transactions group by card_id
)
select count(*) from owed o left join moved m using (card_id) where o.principal <> coalesce(m.principal, 0)
"""
_POSITIONS = "select coalesce(max(notification_id), 0) - count(*) from ledger_events"
_ANSWERED = """
select count(*) from ledger_events where topic = 'card.repayment-made'
and convert_from(state, 'UTF8')::jsonb#>>'{cause,actor}' = %s
"""
_PLAIN = """
select count(*) from (
    select originator_id, max(originator_version) as last, count(*) as events from plainledger_events group by 1
) e where last <> events
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the database and how many answers were wrong."""

    name: str
    wrong: int

    @property
    def right(self) -> bool:
        return self.wrong == 0


def sums(dsn: str) -> list[Check]:
    """The checks of a log and its read models, whoever wrote it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return [
            Check("balances that are not the sum of their facts", _number(connection, _FACTS + _BALANCES)),
            Check("cards whose transactions do not add up to it", _number(connection, _FACTS + _TRANSACTIONS)),
            Check("holes in the positions of the log", _number(connection, _POSITIONS)),
        ]


def ours(dsn: str, *, subject: str, acknowledged: int) -> list[Check]:
    """The checks of the ledger; `acknowledged` repayments were answered 201 to the subject."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        recorded = _number(connection, _ANSWERED, subject)
    return [
        *sums(dsn),
        Check("acknowledged repayments that are not in the log once", abs(recorded - acknowledged)),
    ]


def plain(dsn: str) -> list[Check]:
    """The check of the plain library's accounts."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return [Check("streams of the plain library with a hole", _number(connection, _PLAIN))]


def _number(connection: psycopg.Connection, query: str, *parameters: object) -> int:
    row = connection.execute(query.encode(), parameters or None).fetchone()
    assert row is not None
    return int(row[0])
