"""The numbers of the lockout policy that a model expects: the shipped ones, or those of a changed policy.

What must stay true: they are written here by hand and never read from the terms that are tested.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is expected of a deployment; minutes where nothing else is said."""

    pin_max_failures: int = 3
    pin_window_failures: int = 10
    pin_window_days: int = 30
    pin_generation_failures: int = 100
    password_max_failures: int = 10
    password_waits_from: int = 5
    password_waits_seconds: tuple[int, ...] = (30, 60, 120, 240, 480)
    reset_mails_per_hour: int = 3
    reset_token_minutes: int = 10
    session_idle_minutes: int = 15
    session_minutes: int = 720

    @classmethod
    def numbers(cls) -> tuple[str, ...]:
        """The names that `changed` takes."""
        return tuple(each.name for each in fields(cls) if each.name != "password_waits_seconds")

    def changed(self, **numbers: Any) -> Self:
        """Another policy; ValueError for a name that it does not have."""
        unknown = numbers.keys() - set(self.numbers())
        if unknown:
            raise ValueError(f"no such number: {', '.join(sorted(unknown))}")
        return replace(self, **numbers)
