"""Control totals of closed days: what a closing said of the cards is counted again from the log."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
from closing_days import DUE, borrower, close, opened
from ledgers import BANK, holder, order, rows
from test_audit_drift import verified

_BEND = """
update ledger_events set state = convert_to(jsonb_set(convert_from(state, 'UTF8')::jsonb, %s, %s)::text, 'UTF8')
where notification_id = %s
"""
_CLOSING = """
select notification_id from ledger_events
where topic = 'calendar.day-closed' and convert_from(state, 'UTF8')::jsonb->'data'->>'day' = %s
"""


@pytest.fixture
def closed_days(database_url: str) -> str:
    """Two months in which one card was late, another was not, and a third owes nothing."""

    async def story() -> None:
        async with opened(database_url) as (ledger, day_close):
            await borrower(ledger)
            good = await borrower(ledger, 50_000)
            await holder(ledger)
            await close(ledger, day_close, date(2023, 1, 31))
            await ledger.repay(order(BANK), good.card_id, 4_000, "bank-transfer", None)
            await close(ledger, day_close, date(2023, 2, 28))

    asyncio.run(story())
    return database_url


def test_totals_of_days_that_closed_well_are_counted_again_to_the_same(closed_days: str) -> None:
    assert verified(closed_days).findings == []


@pytest.mark.parametrize(
    ("day", "field", "wrong"),
    [
        (DUE, "found.instalments_missed", 2),
        (DUE, "found.suspensions", 0),
        (DUE, "found.cards", 3),
        (date(2023, 2, 28), "found.interest_posted", 1),
        (date(2023, 2, 7), "found.stops", 1),
        (date(2023, 2, 28), "books.principal", 150_000),
        (date(2023, 2, 28), "books.cards", 2),
        (DUE, "books.position", 9_999),
    ],
)
def test_a_wrong_total_in_a_closed_day_is_named_with_what_the_log_says(
    closed_days: str, day: date, field: str, wrong: int
) -> None:
    (position,) = rows(closed_days, _CLOSING, day.isoformat())
    rows(closed_days, "alter table ledger_events disable trigger ledger_events_append_only")
    rows(closed_days, _BEND, ["data", *field.split(".")], str(wrong), position)

    (finding,) = verified(closed_days).findings

    assert (finding.what, finding.position, finding.field, finding.stored) == ("closed-day", position, field, wrong)
    assert finding.replayed != wrong
