"""The value-dated entries of an account, and the checkpoints from which it can be restated.

What must stay true: it only notes what facts say, and every checkpoint is a standing that no entry of its day or later
has touched. The write side alone keeps it; a read model lives by the `Account`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from ledger.aggregates.schedule import Schedule
from ledger.aggregates.standing import Standing
from ledger.money import Yen
from ledger.repayment import Allocation


@dataclass(slots=True)
class Drawn:
    """A confirmed advance. `schedule` is what it set; None before that was decided."""

    id: UUID
    on: date
    amount: Yen
    fee: Yen
    schedule: Schedule | None = None


@dataclass(slots=True)
class Received:
    """A receipt with its allocation as last revised."""

    id: UUID
    on: date
    amount: Yen
    method: str
    allocation: Allocation = field(default_factory=Allocation)


@dataclass(slots=True)
class Refunded:
    id: UUID
    on: date
    amount: Yen


@dataclass(slots=True)
class Repriced:
    id: UUID
    on: date
    annual_rate_bps: int


Entry = Drawn | Received | Refunded | Repriced


@dataclass(slots=True)
class Advance:
    """An advance of the card: `reserved`, `confirmed`, `failed` or `reversed`."""

    amount: Yen
    purpose: str
    fee: Yen
    state: str = "reserved"
    value_date: date | None = None


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """What an advance sets after a restatement that an advance caused."""

    advance_id: UUID
    schedule: Schedule


@dataclass(slots=True)
class Passbook:
    """Entries by value date, those of one day in the order they came; each checkpoint is the standing before the first
    entry of its day (the first one: before any entry at all)."""

    entries: list[Entry] = field(default_factory=list)
    by_id: dict[UUID, Entry] = field(default_factory=dict)
    checkpoints: list[tuple[date, Standing]] = field(default_factory=list)
    advances: dict[UUID, Advance] = field(default_factory=dict)
    reversed_repayments: set[UUID] = field(default_factory=set)

    def add(self, entry: Entry, before: Standing) -> None:
        """Note an entry that comes last by value date; `before` is the standing it was applied to."""
        if not self.entries:
            self.checkpoints = [(date.min, before)]
        elif self.entries[-1].on < entry.on and before.day <= entry.on:
            self.checkpoints.append((entry.on, before))
        self.entries.append(entry)
        self.by_id[entry.id] = entry

    def insert(self, entry: Entry) -> None:
        """Note an entry that comes earlier than others by value date."""
        insort(self.entries, entry, key=_value_date)
        self.by_id[entry.id] = entry
        self._forget_checkpoints_after(entry.on)

    def take_back(self, entry_id: UUID) -> None:
        """Take an entry out again."""
        entry = self.by_id.pop(entry_id)
        first = bisect_left(self.entries, entry.on, key=_value_date)
        del self.entries[next(i for i in range(first, len(self.entries)) if self.entries[i] is entry)]
        self._forget_checkpoints_after(entry.on)

    def reschedule(self, rescheduled: tuple[Rescheduled, ...]) -> None:
        """Note what advances set anew in a restatement."""
        for each in rescheduled:
            self.drawn(each.advance_id).schedule = each.schedule

    def drawn(self, advance_id: UUID) -> Drawn:
        entry = self.by_id[advance_id]
        assert isinstance(entry, Drawn)
        return entry

    def received(self, repayment_id: UUID) -> Received:
        entry = self.by_id[repayment_id]
        assert isinstance(entry, Received)
        return entry

    def _forget_checkpoints_after(self, day: date) -> None:
        del self.checkpoints[bisect_right(self.checkpoints, day, key=lambda each: each[0]) :]

    def before(self, day: date, standing: Standing) -> tuple[date, Standing]:
        """The last checkpoint that an entry of this day cannot have touched; the standing itself if there is none."""
        if not self.checkpoints:
            return date.min, standing
        return self.checkpoints[bisect_right(self.checkpoints, day, key=lambda each: each[0]) - 1]


def _value_date(entry: Entry) -> date:
    return entry.on
