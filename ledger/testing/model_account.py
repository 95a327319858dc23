"""The account as the model has it: principal, interest by the day, instalments, in the plainest way.

What must stay true: nothing here is shared with the ledger but the calendar of business days. Interest is summed day by
day, in whole parts of a yen, and every rule is written as `docs/loan-rules.md` words it.
"""

from __future__ import annotations

from calendar import isleap
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from ledger.calendar import months_later, nominal_due, shifted

DAY = timedelta(days=1)
PARTS = 10_000 * 365 * 366
DAMAGES_BPS = 2000
FREE_DAYS = 30
SMALL_REMAINDER = 1_000
FIRST_DUE = {5: (20, 1, 2), 15: (1, 1, 1), 25: (10, 0, 1), "end": (15, 0, 1)}
"""Due day: the day of the month that is late, months to the first due date before it and from it on."""


@dataclass(frozen=True, slots=True)
class Owed:
    principal: int
    interest: int
    late_damages: int

    @property
    def total(self) -> int:
        return self.principal + self.interest + self.late_damages


def instalment_of(balance: int) -> int:
    """By the balance right after the last advance, rounded up to 1,000 yen."""
    bps = 361 if balance <= 300_000 else 253 if balance <= 1_000_000 else 199
    return -(-balance * bps // 10_000_000) * 1_000


@dataclass(slots=True, kw_only=True)
class MoneyModel:
    """One account. `bearing` is the principal that bears interest, from a first day on each; `missed` holds
    `[due, minimum, paid]`, the oldest first; `due` is `(nominal, shifted, opens)`."""

    credit_limit: int
    rate_bps: int
    due_day: int | str
    free_wanted: bool
    paid_through: date
    principal: int = 0
    interest: int = 0
    late_damages: int = 0
    customer_credit: int = 0
    bearing: list[tuple[date, int]] = field(default_factory=list)
    remainder: bool = False
    free: tuple[date, date] | None = None
    instalment: int = 0
    due: tuple[date, date, date] | None = None
    paid_in_window: int = 0
    missed: list[list[Any]] = field(default_factory=list)
    all_missed: list[date] = field(default_factory=list)

    def copy(self) -> MoneyModel:
        return replace(self, bearing=list(self.bearing), missed=[list(each) for each in self.missed],
                       all_missed=list(self.all_missed))  # fmt: skip

    # Reckoning --------------------------------------------------------------------------------------------------------

    def owed(self, on: date) -> Owed:
        """Every day after the last payment once: interest, or damages from the day after the oldest missed due date."""
        interest = damages = bearing = 0
        changes = dict(self.bearing)
        late_after = self.missed[0][0] if self.missed else date.max
        free_from, free_until = self.free or (date.max, date.min)
        day = self.paid_through if any(changes.values()) else on
        while day < on:
            day += DAY
            bearing = changes.get(day, bearing)
            parts = bearing * (365 if isleap(day.year) else 366)
            if day > late_after:
                damages += parts * DAMAGES_BPS
            elif not free_from <= day <= free_until:
                interest += parts * self.rate_bps
        return Owed(self.principal, self.interest + interest // PARTS, self.late_damages + damages // PARTS)

    def judge(self, through: date) -> list[date]:
        """Every due date that is over at the end of a day without enough paid is missed; those found now."""
        found = []
        while self.due is not None and self.due[1] <= through:
            due = self.due[1]
            minimum = min(self.instalment, self.paid_in_window + self.owed(due).total)
            if self.free is not None and due < self.free[1]:
                self.free = (self.free[0], due)
            self.missed.append([due, minimum, self.paid_in_window])
            self.all_missed.append(due)
            found.append(due)
            self._next_due()
        return found

    def missed_too_often(self, due: date) -> bool:
        """Three in twelve months."""
        return sum(months_later(due, -12) < each <= due for each in self.all_missed) >= 3

    def _next_due(self) -> None:
        assert self.due is not None
        nominal = nominal_due(self.due_day, self.due[0], 1)
        self.due, self.paid_in_window = (nominal, shifted(nominal), self.due[1] + DAY), 0

    # Acts, on a day whose eve was judged ------------------------------------------------------------------------------

    def draw(self, amount: int, on: date) -> None:
        self.principal += amount
        self.bearing = [step for step in self.bearing if step[0] <= on] + [(on + DAY, self.principal)]
        self.remainder = False
        if self.free_wanted and self.free is None:
            self.free = (on + DAY, on + DAY * FREE_DAYS)
        self.instalment = instalment_of(self.principal)
        if self.due is None:
            turn, early, late = FIRST_DUE[self.due_day]
            nominal = nominal_due(self.due_day, on, early if on.day < turn else late)
            self.due, self.paid_in_window = (nominal, shifted(nominal), on), 0
        elif self.paid_in_window >= self.instalment:
            self._next_due()

    def repay(self, amount: int, on: date, method: str) -> dict[str, Any]:
        """Damages, interest, principal; what is not owed is kept. Returns the fields of the answer."""
        owed = self.owed(on)
        damages = min(amount, owed.late_damages)
        interest = min(amount - damages, owed.interest)
        principal = min(amount - damages - interest, owed.principal)
        over = amount - damages - interest - principal
        settled = 0 < owed.total <= amount
        small = self.remainder or (method == "atm" and 0 < owed.total - amount < SMALL_REMAINDER)
        word = self._count(amount, on, settled=settled, small=small and not settled)
        self.principal = owed.principal - principal
        self.interest, self.late_damages = owed.interest - interest, owed.late_damages - damages
        self.customer_credit += over
        self.paid_through = max(self.paid_through, on)
        self.remainder = small and not settled
        self.bearing = [(self.paid_through + DAY, 0 if self.remainder else self.principal)]
        allocation = {"fees": 0, "late_damages": damages, "interest": interest, "principal": principal,
                      "overpayment": over}  # fmt: skip
        return {"allocation": allocation, "principal_after": self.principal, "instalment": word}

    def _count(self, amount: int, on: date, *, settled: bool, small: bool) -> str:
        """Let a receipt count for missed instalments, then for the open one; what that makes it."""
        was_late, due = bool(self.missed), self.due
        if settled or small:
            self.due, self.paid_in_window, self.missed, self.instalment = None, 0, [], 0
            small_word = "none" if due is None else "cured" if was_late else "extra" if on < due[2] else "satisfied"
            return "settled" if settled else small_word
        if due is None:
            return "none"
        for each in list(self.missed):
            part = min(amount, each[1] - each[2])
            each[2] += part
            amount -= part
            if each[2] >= each[1]:
                self.missed.remove(each)
        satisfied = False
        if amount and on >= due[2]:
            self.paid_in_window += amount
            satisfied = self.paid_in_window >= self.instalment
            if satisfied:
                self._next_due()
        if was_late:
            return "partial" if self.missed else "cured"
        return "extra" if on < due[2] else "satisfied" if satisfied else "partial"
