"""Duties that outlive an act: which periodic credit checks are due or done, and how long a card's records are kept.

What must stay true: both follow from the log alone. A credit report answers every check whose period ended before the
day that the report is of.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from ledger.aggregates.card import Card
from ledger.aggregates.credit_checks import CreditCheckDue
from ledger.aggregates.instalments import InterestPosted
from ledger.aggregates.member import CreditReported
from ledger.audit.replay import Replay
from ledger.calendar import business_day
from ledger.postings import postings
from ledger.refusals import NotFound
from ledger.retention import Agreement
from ledger.store.pages import Connection

_CHECKS: Final = """
with told as (
    select originator_id, topic, notification_id, convert_from(state, 'UTF8')::jsonb->'data' as data
    from ledger_events
    where topic in ('card.card-issued', 'card.credit-check-due', 'member.credit-reported') and notification_id <= %s
)
select due.originator_id, (due.data->>'first_day')::date, (due.data->>'last_day')::date,
    array(select jsonb_array_elements_text(due.data->'rules')), (due.data->>'advances')::bigint,
    (due.data->>'balance')::bigint, (due.data->>'ask_by')::date, min((report.data->>'reported_on')::date)
from told due
join told issued on issued.topic = 'card.card-issued' and issued.originator_id = due.originator_id
left join told report on report.topic = 'member.credit-reported'
    and report.originator_id = (issued.data->>'member_id')::uuid
    and (report.data->>'reported_on')::date > (due.data->>'last_day')::date
where due.topic = 'card.credit-check-due'
group by due.originator_id, due.notification_id, due.data order by due.data->>'ask_by', due.notification_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditCheck:
    """A check that became due. `state`: `open`, `overdue` (open after `ask_by`), `done` or `done-late`."""

    card_id: UUID
    first_day: date
    last_day: date
    rules: str
    advances: int
    balance: int
    ask_by: date
    reported_on: date | None
    state: str


async def credit_checks(connection: Connection, until: int, today: date) -> list[CreditCheck]:
    """Every check that became due up to a position, the most urgent first, as it stands on a day."""
    rows = await (await connection.execute(_CHECKS, (until,))).fetchall()
    return [_check(row, today) for row in rows]


def _check(row: tuple[Any, ...], today: date) -> CreditCheck:
    card_id, first_day, last_day, rules, advances, balance, ask_by, reported_on = row
    asked_on = today if reported_on is None else reported_on
    late = {True: "overdue", False: "open"} if reported_on is None else {True: "done-late", False: "done"}
    return CreditCheck(
        card_id=card_id,
        first_day=first_day,
        last_day=last_day,
        rules="+".join(rules),
        advances=advances,
        balance=balance,
        ask_by=ask_by,
        reported_on=reported_on,
        state=late[asked_on > ask_by],
    )


async def agreement_of(reader: Replay, card_id: UUID, until: int) -> Agreement:
    """The days of a card's agreement that clocks run from; raises NotFound."""
    card, last_transaction_on, checked_on = Card.blank(card_id), None, []
    async for recorded in reader.stream(card_id, until):
        fact, on = recorded.event.fact, business_day(recorded.event.at)
        if not card.version and not fact.topic.startswith("card."):
            raise NotFound
        recorded.event.mutate(card)
        if postings(fact) and not isinstance(fact, InterestPosted):  # income that is booked is nobody's transaction
            last_transaction_on = on
        if isinstance(fact, CreditCheckDue):
            checked_on.append(on)
    if not card.version:
        raise NotFound
    if checked_on:
        checked_on += await _reports_on(reader, card.member_id, until)
    standing, closed_since = card.account.standing, card.access.closed_since
    owed = standing.principal or standing.carried.total or card.account.in_flight
    return Agreement(
        ended_on=None if closed_since is None else business_day(closed_since),
        claims_gone_on=None if owed else standing.paid_through,
        last_transaction_on=last_transaction_on,
        checked_on=tuple(checked_on),
    )


async def _reports_on(reader: Replay, member_id: UUID, until: int) -> list[date]:
    """The days on which reports of the credit bureau were put on record."""
    return [
        business_day(recorded.event.at)
        async for recorded in reader.stream(member_id, until)
        if isinstance(recorded.event.fact, CreditReported)
    ]
