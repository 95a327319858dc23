"""Interest by the day, exact: the first day excluded, the last included, 365 or 366 by the year the day lies in.

What must stay true: everything stays an integer numerator over one common denominator until `whole_yen`, which is the
only place that drops a fraction. This is the ledger's arithmetic; the simulator's (`simulation.py`) is another.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from ledger.calendar import ONE_DAY
from ledger.money import Yen

DENOMINATOR: Final = 10_000 * 365 * 366
"""Basis points times both year lengths: every day's interest is a whole number of these parts of a yen."""

Steps = tuple[tuple[date, int], ...]
"""A value that changes by the day: pairs of (first day, value from that day on), days rising."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Days of one calendar year on which neither principal nor rate changed; both days are counted."""

    principal: Yen
    annual_rate_bps: int
    first_day: date
    last_day: date
    days: int
    basis: int
    numerator: int


def segment(principal: int, annual_rate_bps: int, first_day: date, last_day: date) -> Segment:
    """One segment; both days lie in one calendar year."""
    assert first_day.year == last_day.year, (first_day, last_day)
    days = (last_day - first_day).days + 1
    leap = isleap(first_day.year)
    numerator = principal * annual_rate_bps * days * (365 if leap else 366)
    return Segment(Yen(principal), annual_rate_bps, first_day, last_day, days, 366 if leap else 365, numerator)


def value_on(steps: Steps, day: date) -> int:
    """The value in force on a day; 0 before the first step."""
    return next((value for first_day, value in reversed(steps) if first_day <= day), 0)


def segments(balances: Steps, rates: Steps, first_day: date, last_day: date) -> tuple[Segment, ...]:
    """The days from `first_day` to `last_day` inclusive, cut at each change and at each 1 January.

    Days that bear nothing are left out.
    """
    if first_day > last_day:
        return ()
    cuts = {first_day}
    cuts.update(day for day, _ in balances + rates if first_day < day <= last_day)
    cuts.update(date(year, 1, 1) for year in range(first_day.year + 1, last_day.year + 1))
    starts = sorted(cuts)
    ends = [day - ONE_DAY for day in starts[1:]] + [last_day]
    cut = (segment(value_on(balances, a), value_on(rates, a), a, b) for a, b in zip(starts, ends, strict=True))
    return tuple(each for each in cut if each.numerator)


def whole_yen(cut: Iterable[Segment]) -> Yen:
    """The sum of the segments with the fraction of a yen dropped: once, after summing."""
    return Yen(sum(each.numerator for each in cut) // DENOMINATOR)
