"""The value-dated entries of an account, and the checkpoints from which it can be restated.

What must stay true: it only notes what facts say, and every checkpoint is a standing that no entry of its day or later
has touched. The write side alone keeps it; a read model lives by the `Account`. One that was cut raises where it is
asked for what it may have held, and never answers as if that had not been.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import msgspec

from ledger.aggregates.schedule import Schedule
from ledger.aggregates.standing import Standing
from ledger.calendar import ONE_DAY
from ledger.money import Yen
from ledger.repayment import Allocation


class PassbookCut(Exception):
    """Older entries are asked for than the passbook holds: the card must be folded from its first fact."""


class Drawn(msgspec.Struct, tag="drawn"):
    """A confirmed advance. `schedule` is what it set; None before that was decided."""

    id: UUID
    on: date
    amount: Yen
    fee: Yen
    schedule: Schedule | None = None


class Received(msgspec.Struct, tag="received"):
    """A receipt with its allocation as last revised."""

    id: UUID
    on: date
    amount: Yen
    method: str
    allocation: Allocation = Allocation()


class Refunded(msgspec.Struct, tag="refunded"):
    id: UUID
    on: date
    amount: Yen


class Repriced(msgspec.Struct, tag="repriced"):
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

    def belongs_after(self, day: date) -> bool:
        """Whether it is still under way, or its money left after a day."""
        return self.state == "reserved" if self.value_date is None else self.value_date > day


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """What an advance sets after a restatement that an advance caused."""

    advance_id: UUID
    schedule: Schedule


@dataclass(slots=True)
class Passbook:
    """Entries by value date, those of one day in the order they came; each checkpoint is the standing before the first
    entry of its day (the first one: before any entry at all).

    `cut_through`: entries and checkpoints up to this day, and the advances and reversals that belong to them, are left
    out; None where everything is here.
    """

    entries: list[Entry] = field(default_factory=list)
    by_id: dict[UUID, Entry] = field(default_factory=dict)
    checkpoints: list[tuple[date, Standing]] = field(default_factory=list)
    advances: dict[UUID, Advance] = field(default_factory=dict)
    reversed_repayments: set[UUID] = field(default_factory=set)
    cut_through: date | None = None

    def add(self, entry: Entry, before: Standing) -> None:
        """Note an entry that comes last by value date; `before` is the standing it was applied to."""
        if self._cut_off(entry.on):
            return
        last = self.entries[-1].on if self.entries else self.cut_through
        if last is None:
            self.checkpoints = [(date.min, before)]
        elif last < entry.on and before.day <= entry.on:
            self.checkpoints.append((entry.on, before))
        self.entries.append(entry)
        self.by_id[entry.id] = entry

    def insert(self, entry: Entry) -> None:
        """Note an entry that comes earlier than others by value date."""
        if self._cut_off(entry.on):
            raise PassbookCut
        insort(self.entries, entry, key=_value_date)
        self.by_id[entry.id] = entry
        self._forget_checkpoints_after(entry.on)

    def take_back(self, entry_id: UUID) -> None:
        """Take an entry out again."""
        entry = self.by_id.pop(entry_id, None)
        if entry is None:
            raise self._missing(entry_id)
        first = bisect_left(self.entries, entry.on, key=_value_date)
        del self.entries[next(i for i in range(first, len(self.entries)) if self.entries[i] is entry)]
        self._forget_checkpoints_after(entry.on)

    def reschedule(self, rescheduled: tuple[Rescheduled, ...]) -> None:
        """Note what advances set anew in a restatement."""
        for each in rescheduled:
            self.drawn(each.advance_id).schedule = each.schedule

    def entry(self, entry_id: UUID) -> Entry:
        """The entry; raises KeyError for an id that is none, and PassbookCut where that cannot be told."""
        entry = self.by_id.get(entry_id)
        if entry is None:
            raise self._missing(entry_id)
        return entry

    def advance(self, advance_id: UUID) -> Advance:
        """The advance; raises as `entry` does."""
        advance = self.advances.get(advance_id)
        if advance is None:
            raise self._missing(advance_id)
        return advance

    def drawn(self, advance_id: UUID) -> Drawn:
        entry = self.entry(advance_id)
        assert isinstance(entry, Drawn)
        return entry

    def received(self, repayment_id: UUID) -> Received:
        entry = self.entry(repayment_id)
        assert isinstance(entry, Received)
        return entry

    def last_drawn(self) -> Drawn | None:
        """The last advance by value date."""
        last = next((entry for entry in reversed(self.entries) if isinstance(entry, Drawn)), None)
        if last is None and self.cut_through is not None:
            raise PassbookCut
        return last

    def drawn_in(self, first_day: date, last_day: date) -> list[Drawn]:
        """The advances with a value date from one day to another."""
        if self._cut_off(first_day):
            raise PassbookCut
        begin = bisect_left(self.entries, first_day, key=_value_date)
        return [entry for entry in self.entries[begin:] if isinstance(entry, Drawn) and entry.on <= last_day]

    def _forget_checkpoints_after(self, day: date) -> None:
        del self.checkpoints[bisect_right(self.checkpoints, day, key=_first_day) :]

    def before(self, day: date, standing: Standing) -> tuple[date, Standing]:
        """The last checkpoint that an entry of this day cannot have touched; the standing itself if there is none."""
        number = bisect_right(self.checkpoints, day, key=_first_day)
        if number:
            return self.checkpoints[number - 1]
        if self.cut_through is not None:
            raise PassbookCut
        return date.min, standing

    # Cutting ---------------------------------------------------------------------------------------------------------

    def _cut_off(self, day: date) -> bool:
        return self.cut_through is not None and day <= self.cut_through

    def _missing(self, entry_id: UUID) -> Exception:
        return KeyError(entry_id) if self.cut_through is None else PassbookCut()

    def cut_to(self, most: int) -> Passbook:
        """The passbook with its last entries only, at most so many, and from a checkpoint on if there is one."""
        if len(self.entries) <= most:
            return self if self.cut_through is None else self.cut(self.cut_through)
        dropped = self.entries[-most - 1].on
        number = bisect_right(self.checkpoints, dropped, key=_first_day)
        kept = self.checkpoints[number:]
        return self.cut(kept[0][0] - ONE_DAY if kept else self.entries[-1].on)

    def cut(self, through: date) -> Passbook:
        """The passbook without what belongs to the days up to this one. An advance under way belongs to none yet."""
        entries = self.entries[bisect_right(self.entries, through, key=_value_date) :]
        advances = {key: each for key, each in self.advances.items() if each.belongs_after(through)}
        checkpoints = self.checkpoints[bisect_right(self.checkpoints, through, key=_first_day) :]
        return Passbook(entries, {entry.id: entry for entry in entries}, checkpoints, advances, set(), through)


def _value_date(entry: Entry) -> date:
    return entry.on


def _first_day(checkpoint: tuple[date, Standing]) -> date:
    return checkpoint[0]
