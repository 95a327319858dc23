"""A second, slow and obvious account: every day of a card's life walked through with fractions.

It shares nothing with the ledger's arithmetic but the calendar of closed days. What has happened is a list in value-
date order; every question walks the whole list again.
"""

from __future__ import annotations

import itertools
from calendar import isleap, monthrange
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from math import floor
from typing import Any

from ledger.calendar import is_open

DAY = timedelta(days=1)


def shifted(day: date) -> date:
    return day if is_open(day) else shifted(day + DAY)


def in_month(year: int, month: int, due_day: Any) -> date:
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return date(year, month, monthrange(year, month)[1] if due_day == "end" else due_day)


def first_nominal(due_day: Any, day: date) -> date:
    ahead = {5: 1 if day.day < 20 else 2, 15: 1, 25: 0 if day.day < 10 else 1, "end": 0 if day.day < 15 else 1}[due_day]
    return in_month(day.year, day.month + ahead, due_day)


def instalment(balance: int) -> int:
    percent = Fraction("3.61") if balance <= 300_000 else Fraction("2.53") if balance <= 1_000_000 else Fraction("1.99")
    thousands = balance * percent / 100 / 1000
    return 1000 * (-floor(-thousands))


@dataclass
class Entry:
    kind: str  # draw, receipt, refund, rate
    on: date
    amount: int
    method: str = ""
    decided: dict[str, Any] | None = None
    parts: dict[str, int] = field(default_factory=dict)
    outcome: str = ""
    balance: int = 0  # right after an advance


@dataclass
class Walk:
    """Where the account stands at the end of a day."""

    rate: int
    principal: int = 0
    interest_due: int = 0
    damages_due: int = 0
    interest: Fraction = Fraction(0)
    damages: Fraction = Fraction(0)
    credit: int = 0
    instalment: int = 0
    due: date | None = None
    nominal: date | None = None
    opens: date | None = None
    paid: int = 0
    missed: list[list[Any]] = field(default_factory=list)
    all_missed: list[date] = field(default_factory=list)
    free: tuple[date, date] | None = None
    remainder: bool = False

    @property
    def interest_owed(self) -> int:
        return self.interest_due + floor(self.interest)

    @property
    def damages_owed(self) -> int:
        return self.damages_due + floor(self.damages)

    @property
    def owed(self) -> int:
        return self.principal + self.interest_owed + self.damages_owed


class SlowCard:
    def __init__(self, issued_on: date, rate: int, due_day: Any, interest_free: bool) -> None:
        self.issued_on, self.rate, self.due_day, self.interest_free = issued_on, rate, due_day, interest_free
        self.entries: list[Entry] = []

    def add(self, entry: Entry) -> Entry:
        place = next((i for i, other in enumerate(self.entries) if other.on > entry.on), len(self.entries))
        self.entries.insert(place, entry)
        if entry.kind == "draw":
            self._decide_anew(entry.on)
        else:
            self.walk(max(other.on for other in self.entries))
        return entry

    def take_back(self, entry: Entry) -> None:
        self.entries.remove(entry)
        if entry.kind == "draw":
            self._decide_anew(entry.on)

    def _decide_anew(self, since: date) -> None:
        for entry in self.entries:
            if entry.kind == "draw" and entry.on >= since:
                entry.decided = None
        if self.entries:
            self.walk(self.entries[-1].on)

    def walk(self, until: date) -> Walk:
        """Walk from the issue to the end of a day; the instalments due on that day are not judged yet."""
        now = Walk(self.rate)
        day = self.issued_on
        while day <= until:
            if day > self.issued_on:
                self._judge(now, day - DAY)
            entries = [entry for entry in self.entries if entry.on == day]
            for entry in itertools.takewhile(lambda each: each.kind != "receipt", entries):
                now.rate = entry.amount if entry.kind == "rate" else now.rate
            if day > self.issued_on:
                self._accrue(now, day)
            for entry in entries:
                getattr(self, f"_{entry.kind}")(now, entry, day)
            day += DAY
        return now

    def _accrue(self, now: Walk, day: date) -> None:
        if now.remainder:
            return
        year = 366 if isleap(day.year) else 365
        if now.missed:
            now.damages += Fraction(now.principal * 20, 100 * year)
        elif not (now.free and now.free[0] <= day <= now.free[1]):
            now.interest += Fraction(now.principal * now.rate, 10_000 * year)

    def _judge(self, now: Walk, day: date) -> None:
        if now.due == day:
            now.missed.append([day, min(now.instalment, now.paid + now.owed) - now.paid])
            now.all_missed.append(day)
            if now.free and day < now.free[1]:
                now.free = (now.free[0], day)
            self._next(now)

    def _next(self, now: Walk) -> None:
        assert now.nominal is not None
        assert now.due is not None
        now.opens, now.paid = now.due + DAY, 0
        now.nominal = in_month(now.nominal.year, now.nominal.month + 1, self.due_day)
        now.due = shifted(now.nominal)

    def _schedule(self, now: Walk, decided: dict[str, Any], day: date) -> None:
        now.instalment = decided["instalment"]
        nominal = decided["first"] or (first_nominal(self.due_day, day) if now.due is None else None)
        if nominal is not None and now.due != shifted(nominal):
            now.nominal, now.due, now.opens, now.paid = nominal, shifted(nominal), day, 0
        if now.paid >= now.instalment:
            self._next(now)

    def _draw(self, now: Walk, entry: Entry, day: date) -> None:
        now.principal += entry.amount
        entry.balance = now.principal
        now.remainder = False
        if self.interest_free and now.free is None:
            now.free = (day + DAY, day + 30 * DAY)
        if entry.decided is None:
            first = first_nominal(self.due_day, day) if now.due is None else None
            entry.decided = {"instalment": instalment(now.principal), "first": first}
        self._schedule(now, entry.decided, day)

    def _receipt(self, now: Walk, entry: Entry, day: date) -> None:
        owed, left, parts = now.owed, entry.amount, {}
        for name, claim in (
            ("late_damages", now.damages_owed),
            ("interest", now.interest_owed),
            ("principal", now.principal),
        ):
            parts[name] = min(left, claim)
            left -= parts[name]
        parts["overpayment"] = left
        now.damages_due = now.damages_owed - parts["late_damages"]
        now.interest_due = now.interest_owed - parts["interest"]
        now.damages = now.interest = Fraction(0)
        now.principal -= parts["principal"]
        now.credit += left
        entry.parts, entry.outcome = parts, self._count(now, entry, day, owed)

    def _count(self, now: Walk, entry: Entry, day: date, owed: int) -> str:
        late, extra = bool(now.missed), now.opens is not None and day < now.opens
        if owed == 0 or now.remainder and entry.amount < owed:
            return "none"
        if entry.amount >= owed or (entry.method == "atm" and owed - entry.amount < 1000):
            scheduled = now.due is not None
            now.due = now.nominal = now.opens = None
            now.missed, now.paid, now.instalment = [], 0, 0
            now.remainder = entry.amount < owed
            if not now.remainder:
                return "settled"
            return "none" if not scheduled else "cured" if late else "extra" if extra else "satisfied"
        left = entry.amount
        while left and now.missed:
            part = min(left, now.missed[0][1])
            now.missed[0][1] -= part
            left -= part
            if now.missed[0][1] == 0:
                now.missed.pop(0)
        filled = False
        if left and now.opens is not None and day >= now.opens:
            now.paid += left
            if now.paid >= now.instalment:
                filled = True
                self._next(now)
        if late:
            return "partial" if now.missed else "cured"
        return "extra" if extra else "satisfied" if filled else "partial"

    def _refund(self, now: Walk, entry: Entry, day: date) -> None:
        short = max(0, entry.amount - now.credit)
        now.credit -= entry.amount - short
        if short:
            now.principal += short
            now.remainder = False
            if now.due is None:
                first = first_nominal(self.due_day, day)
                self._schedule(now, {"instalment": instalment(now.principal), "first": first}, day)

    def _rate(self, now: Walk, entry: Entry, day: date) -> None:
        now.rate = entry.amount
