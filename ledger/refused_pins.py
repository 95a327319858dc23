"""The PINs that are refused to everyone: about one in ten of the 10,000, made by rule so that anyone can check them.

What must stay true: membership depends on the four digits alone. What is near to one member (birth date, phone, card
number) is judged in `ledger.forms`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

DIGITS = "0123456789"
KEYPAD_PATHS = ("2580", "1470", "3690", "1590", "3570", "1379", "1397", "7139", "3179", "7894", "4561", "1236", "7410")
"""Columns, diagonals and corners of a numeric keypad."""
FIRST_YEAR, LAST_YEAR = 1900, 2029


def _pairs() -> Iterator[str]:
    """1111, 1212, 1122, 1221."""
    for a in DIGITS:
        for b in DIGITS:
            yield from (a + b + a + b, a + a + b + b, a + b + b + a)


def _runs() -> Iterator[str]:
    """1234, 9876, 2468, 7531; also over the end of the row: 8901."""
    for start in range(10):
        for step in (1, -1, 2, -2):
            yield "".join(DIGITS[(start + step * place) % 10] for place in range(4))


def _days() -> Iterator[str]:
    """Every day of a leap year as month and day and as day and month."""
    for offset in range(366):
        day = date(2024, 1, 1) + timedelta(days=offset)
        yield from (f"{day:%m%d}", f"{day:%d%m}")


def _years() -> Iterator[str]:
    yield from map(str, range(FIRST_YEAR, LAST_YEAR + 1))


def _keypad() -> Iterator[str]:
    for path in KEYPAD_PATHS:
        yield from (path, path[::-1])


COMMON_PINS: frozenset[str] = frozenset((*_pairs(), *_runs(), *_days(), *_years(), *_keypad()))
