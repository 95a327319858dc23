"""Japanese business days and due dates: pure functions of dates.

What must stay true: a due date that falls on a closed day moves to the next business day, for that month only; the next
one is reckoned from the nominal day again. What was set is stored with `CALENDAR_VERSION` and never reckoned anew.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta, timezone
from functools import cache
from importlib.metadata import version
from typing import Final

from holidays import country_holidays

JST: Final = timezone(timedelta(hours=9), "JST")
"""Japan has had one offset and no summer time since 1951: no time-zone data needed."""

CALENDAR_VERSION: Final = f"holidays-{version('holidays')}"

YEAR_END_CLOSURE: Final = frozenset({(12, 31), (1, 1), (1, 2), (1, 3)})

ONE_DAY: Final = timedelta(days=1)


def business_day(at: datetime) -> date:
    """The calendar day in Japan at this instant."""
    return at.astimezone(JST).date()


@cache
def _public_holidays(year: int) -> frozenset[date]:
    return frozenset(country_holidays("JP", years=year))


def is_open(day: date) -> bool:
    """Whether the lender works on this day: not on Saturdays, Sundays, public holidays and 31 December to 3 January."""
    return day.weekday() < 5 and (day.month, day.day) not in YEAR_END_CLOSURE and day not in _public_holidays(day.year)


def shifted(day: date) -> date:
    """The day itself if it is open, else the next open one."""
    while not is_open(day):
        day += ONE_DAY
    return day


def months_later(day: date, months: int) -> date:
    """The same day of another month, or that month's last one; `months` may be negative."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def end_of_years(day: date, years: int) -> date:
    """The last day of so many years that begin with the day after this one (Civil Code 140, 143)."""
    first = day + ONE_DAY
    again = months_later(first, 12 * years)
    return again - ONE_DAY if again.day == first.day else again


def nominal_due(due_day: int | str, month: date, months: int) -> date:
    """The due day (5, 15, 25 or "end") of the month that lies `months` after the month of the given date."""
    first = months_later(month.replace(day=1), months)
    last = monthrange(first.year, first.month)[1]
    return first.replace(day=last if due_day == "end" else int(due_day))


def is_month_end(day: date) -> bool:
    return (day + ONE_DAY).day == 1
