"""Whole yen. Money is an `int` that says so; a float or a fraction of a yen never becomes one."""

from typing import NewType

Yen = NewType("Yen", int)

ZERO = Yen(0)


def ceil_to(amount: int, unit: int) -> Yen:
    """The smallest multiple of `unit` yen that is not below `amount`."""
    return Yen(-(-amount // unit) * unit)
