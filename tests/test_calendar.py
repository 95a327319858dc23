"""Business days and due dates, by the vectors of the published tables."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from borrowing import BOOK

from ledger.aggregates.schedule import first_due, following_due
from ledger.calendar import CALENDAR_VERSION, business_day, is_open, months_later, nominal_due, shifted


@pytest.mark.parametrize(
    ("due_day", "advanced_on", "nominal", "due"),
    [
        (5, "2025-04-01", "2025-05-05", "2025-05-07"),
        (5, "2025-04-19", "2025-05-05", "2025-05-07"),
        (5, "2025-04-20", "2025-06-05", "2025-06-05"),
        (5, "2025-12-20", "2026-02-05", "2026-02-05"),
        (15, "2025-05-31", "2025-06-15", "2025-06-16"),
        (15, "2025-05-01", "2025-06-15", "2025-06-16"),
        (25, "2025-04-09", "2025-04-25", "2025-04-25"),
        (25, "2025-04-10", "2025-05-25", "2025-05-26"),
        ("end", "2025-05-14", "2025-05-31", "2025-06-02"),
        ("end", "2025-05-15", "2025-06-30", "2025-06-30"),
        ("end", "2026-02-14", "2026-02-28", "2026-03-02"),
        ("end", "2024-02-10", "2024-02-29", "2024-02-29"),
        ("end", "2025-12-01", "2025-12-31", "2026-01-05"),
    ],
)
def test_the_first_due_date_follows_the_due_day_and_the_day_of_the_advance(
    due_day: int | str, advanced_on: str, nominal: str, due: str
) -> None:
    day = date.fromisoformat(advanced_on)
    found = first_due(due_day, day, BOOK.at(day))
    assert (found.nominal, found.day, found.opens) == (date.fromisoformat(nominal), date.fromisoformat(due), day)


def test_a_shift_moves_one_month_only() -> None:
    first = first_due("end", date(2025, 5, 1), BOOK.at(date(2025, 5, 1)))
    assert first.day == date(2025, 6, 2)
    following = following_due("end", first)
    assert (following.nominal, following.day, following.opens) == (
        date(2025, 6, 30),
        date(2025, 6, 30),
        date(2025, 6, 3),
    )


def test_the_month_end_comes_back_after_february() -> None:
    february = nominal_due("end", date(2025, 1, 31), 1)
    assert february == date(2025, 2, 28)
    assert nominal_due("end", february, 1) == date(2025, 3, 31)


@pytest.mark.parametrize(
    "closed",
    ["2025-05-03", "2025-05-05", "2025-05-06", "2025-12-31", "2026-01-01", "2026-01-02", "2026-01-03", "2026-09-22"],
)
def test_weekends_holidays_and_the_year_end_are_closed(closed: str) -> None:
    assert not is_open(date.fromisoformat(closed))


def test_the_first_open_day_of_2026_is_the_fifth_of_january() -> None:
    assert shifted(date(2025, 12, 31)) == date(2026, 1, 5)


def test_an_open_day_is_not_shifted() -> None:
    assert shifted(date(2025, 5, 7)) == date(2025, 5, 7)


def test_the_business_day_changes_at_midnight_in_japan() -> None:
    assert business_day(datetime(2025, 5, 7, 14, 59, 59, tzinfo=UTC)) == date(2025, 5, 7)
    assert business_day(datetime(2025, 5, 7, 15, 0, tzinfo=UTC)) == date(2025, 5, 8)


@pytest.mark.parametrize(("months", "day"), [(1, "2025-02-28"), (-2, "2024-11-30"), (13, "2026-02-28")])
def test_months_are_added_to_the_same_day_or_the_last_one(months: int, day: str) -> None:
    assert months_later(date(2025, 1, 31), months) == date.fromisoformat(day)


def test_the_calendar_names_its_version() -> None:
    assert CALENDAR_VERSION.startswith("holidays-")
