"""Fold: the whole log in the order of its positions, one page after the other, into accounts and books.

What must stay true: memory grows with the number of cards and not with the length of the log, and a log that is not
dense, not in order, or not in balance is found at its first such position.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger.aggregates.balance import Account, AccountFact
from ledger.aggregates.card import CardIssued
from ledger.aggregates.closed_days import DayClosed
from ledger.aggregates.restatement import AllocationRevised
from ledger.audit.day_totals import DayTotals
from ledger.postings import BALANCES, postings
from ledger.store.mapper import MapperDeserialisationError
from ledger.store.pages import PAGE, Connection, Recorded, page_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as the log says, or a log that is not as it must be; None where a part does not apply."""

    what: str
    position: int | None
    subject: UUID | None = None
    row: str | None = None
    field: str | None = None
    stored: Any = None
    replayed: Any = None


@dataclass(slots=True)
class Subledger:
    """What the books hold of one card, and its folded account."""

    account: Account
    balances: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class LogFold:
    """The log as far as it was folded."""

    position: int = 0
    recorded_at: datetime | None = None
    versions: dict[UUID, int] = field(default_factory=dict)
    cards: dict[UUID, Subledger] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    days: DayTotals = field(default_factory=DayTotals)
    principal: int = 0

    @classmethod
    async def of_the_log(cls, connection: Connection, until: int) -> LogFold:
        """A fold that is to go over the log up to a position, with the totals of its closed days."""
        return cls(days=await DayTotals.on_record(connection, until))

    def take(self, events: Iterable[Recorded]) -> None:
        """Fold the next events."""
        for recorded in events:
            self._check_order(recorded)
            try:
                self._fold(recorded)
            except Exception as error:  # noqa: BLE001 - whatever a fact that fits no other one breaks is told
                self._find("not-foldable", recorded, None, recorded.event.fact.topic, type(error).__name__)
            self._total(recorded)

    def _fold(self, recorded: Recorded) -> None:
        event = recorded.event
        fact = event.fact
        card = self.cards.get(event.originator_id)
        if isinstance(fact, AccountFact) and card is not None:
            before = card.account.principal
            try:
                fact.apply(card.account, event.at)
                self._book(recorded, card)
            finally:
                self.principal += card.account.principal - before
        elif isinstance(fact, CardIssued):
            self.cards[event.originator_id] = Subledger(fact.opened_account(event.at))

    def _check_order(self, recorded: Recorded) -> None:
        """Positions and versions without a hole, recorded times that never run backward."""
        stream, version = recorded.event.originator_id, recorded.event.originator_version
        if recorded.position != self.position + 1:
            self._find("position", recorded, "position", recorded.position, self.position + 1)
        if version != self.versions.get(stream, 0) + 1:
            self._find("version", recorded, "version", version, self.versions.get(stream, 0) + 1)
        if self.recorded_at is not None and recorded.recorded_at < self.recorded_at:
            self._find("recorded-time", recorded, "recorded_at", recorded.recorded_at, self.recorded_at)
        self.position, self.recorded_at = recorded.position, recorded.recorded_at
        self.versions[stream] = version

    def _book(self, recorded: Recorded, card: Subledger) -> None:
        both_sides = 0
        for posting in postings(recorded.event.fact):
            card.balances[posting.account] += posting.signed
            self.totals[posting.account] += posting.signed
            both_sides += posting.signed
        if both_sides:
            self._find("unbalanced", recorded, "debits - credits", both_sides, 0)

    def _total(self, recorded: Recorded) -> None:
        fact = recorded.event.fact
        self.days.count(recorded.event)
        self.days.passed(recorded.position, len(self.cards), self.principal)
        if isinstance(fact, DayClosed):
            for name, stored, counted in self.days.differences(fact):
                self._find("closed-day", recorded, name, stored, counted)

    def _find(self, what: str, recorded: Recorded, name: str | None, stored: Any, replayed: Any) -> None:
        self.findings.append(
            Finding(
                what=what,
                position=recorded.position,
                subject=recorded.event.originator_id,
                field=name,
                stored=stored,
                replayed=replayed,
            )
        )

    def compare_books(self) -> list[Finding]:
        """Each control account against its sub-ledgers, and each sub-ledger against the folded account of its card."""
        found = [
            Finding(
                what="sub-ledger",
                position=self.position,
                subject=card_id,
                field=account,
                stored=card.balances[account],
                replayed=amount(card.account.standing),
            )
            for card_id, card in self.cards.items()
            for account, amount in BALANCES.items()
            if card.balances[account] != amount(card.account.standing)
        ]
        for account, amount in BALANCES.items():
            folded = sum(amount(card.account.standing) for card in self.cards.values())
            if self.totals[account] != folded:
                found.append(
                    Finding(
                        what="control-account",
                        position=self.position,
                        field=account,
                        stored=self.totals[account],
                        replayed=folded,
                    )
                )
        return found


def collect_seldom() -> None:
    """For a process that does nothing but fold: facts hold no cycles, and looking for them costs a quarter of it."""
    gc.set_threshold(50_000, 20, 100)


async def pages(connection: Connection, until: int, after: int = 0) -> AsyncIterator[list[Recorded]]:
    """The log up to a position in pages, each read in a transaction of its own."""
    while after < until:
        events = await page_after(connection, after, min(PAGE, until - after))
        if not events:
            return
        yield events
        after = events[-1].position


async def head(connection: Connection) -> int:
    """The last position of the log, 0 while it is empty; acts are committed whole, so none is cut there."""
    row = await (await connection.execute("select coalesce(max(notification_id), 0) from ledger_events")).fetchone()
    return int(row[0]) if row is not None else 0


async def whole_act(connection: Connection, position: int) -> int:
    """The position, or the one after it where the act there goes on to revise what it caused: until then the books
    hold a part of the act, while the account holds all of it."""
    following = await page_after(connection, position, 1)
    revises = bool(following) and isinstance(following[0].event.fact, AllocationRevised)
    return position + 1 if revises else position


async def unreadable(connection: Connection, after: int) -> int | None:
    """The first position after one that no fact explains; None where all of its page can be read."""
    for position in range(after, after + PAGE):
        try:
            if not await page_after(connection, position, 1):
                return None
        except MapperDeserialisationError:
            return position + 1
    return None
