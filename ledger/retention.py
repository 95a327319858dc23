"""How long the records of an agreement must be kept: one clock for each kind of record, and when the last one ends.

What must stay true: these are pure functions of days and dated terms. A clock that has not begun has no end, and while
one has none nothing of the member may be erased.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ledger.calendar import end_of_years
from ledger.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The days of an agreement that clocks run from; None for what has not happened.

    `claims_gone_on` is the day from which nothing is owed, None while anything is. `checked_on`: the days on which a
    periodic credit check was put on record, the question and the report.
    """

    ended_on: date | None
    claims_gone_on: date | None
    last_transaction_on: date | None
    checked_on: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class Clock:
    """A kind of record with the last day it must be kept; None: the end is not known yet. `runs_from` likewise."""

    record: str
    runs_from: date | None
    keep_until: date | None


def clocks(agreement: Agreement, terms: Terms) -> tuple[Clock, ...]:
    """Every clock of an agreement, in the order of the statutes."""
    ended_on, gone_on, rule = agreement.ended_on, agreement.claims_gone_on, terms.retention
    # Act 19, Rule 17: from the end of the agreement, or the day the claims went where that is later.
    over_on = None if ended_on is None or gone_on is None else max(ended_on, gone_on)
    found = [
        _clock("books", over_on, rule.books_years),
        Clock("ability-surveys", over_on, over_on),
        _clock("identity", ended_on, rule.identity_years),
    ]
    if agreement.last_transaction_on is not None:
        found.append(_clock("last-transaction", agreement.last_transaction_on, rule.transaction_years))
    if agreement.checked_on:
        found.append(_clock("last-credit-check", max(agreement.checked_on), rule.credit_check_years))
    return tuple(found)


def keep_until(running: Iterable[Clock]) -> date | None:
    """The last day on which anything must be kept; None while a clock has no end."""
    ends = [clock.keep_until for clock in running]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def _clock(record: str, runs_from: date | None, years: int) -> Clock:
    return Clock(record, runs_from, None if runs_from is None else end_of_years(runs_from, years))
