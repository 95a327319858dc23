"""What carries acts out: one interface, fulfilled by aggregates in memory, by the application, and by HTTP.

What must stay true: a driver decides nothing. It hands an act to what is tested and tells how that answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, Self

from ledger.testing.acts import Act, Opening, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What everybody may read of a card at one moment: its balance of today and its lockout."""

    principal: int
    interest: int
    late_damages: int
    available_credit: int
    customer_credit: int
    minimum_instalment: int
    next_due: date | None
    days_late: int
    can_log_in_card: bool
    can_log_in_web: bool
    can_borrow: bool
    pin_failures: int
    web_failures: int
    locks: tuple[str, ...]
    """The codes of all that stands in the way, sorted."""


class Driver(Protocol):
    """One member with one card at a time, on something that is tested."""

    past_the_door: bool
    """Whether acts of a session can be tried without one, as if the session had survived."""
    time_is_free: bool
    """Whether years may pass: not where a clock is shared."""
    closes_days: bool

    def begin(self, opening: Opening) -> datetime:
        """Take a new member and issue a card; the business time at which the story begins."""
        ...

    def perform(self, act: Act) -> Outcome:
        """Carry one act out."""
        ...

    def see(self) -> Seen:
        """Read the balance and the lockout."""
        ...

    def end(self) -> None:
        """The story is over; raises AssertionError where what is tested contradicts itself."""
        ...

    def fork(self) -> Self:
        """The same once more, to go on with in another way; NotImplementedError where that cannot be."""
        ...

    def script(self) -> str:
        """What was done since `begin`, for a person to do again; empty where there is nothing to do it with."""
        ...
