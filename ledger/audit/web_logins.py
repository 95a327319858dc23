"""Web logins against the state of the card: a right password is let in or refused by another stream than its own.

What must stay true: events are taken in the order of the log, so that each login meets its member's cards as they stood
then; which of several cards was asked is not on record, so a login is found wrong only where none of them explains it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from ledger.aggregates import access, card, pin
from ledger.aggregates.access import Access
from ledger.aggregates.card import Card, CardIssued
from ledger.aggregates.fact import FACTS, Event
from ledger.aggregates.web_login import LoginRefused, LoginSucceeded, right_password_bar
from ledger.audit.fold import Finding
from ledger.calendar import business_day
from ledger.store.pages import PAGE, Connection, Recorded, recorded_rows
from ledger.terms import TermsBook

_CARD_FACTS: Final = (access, pin, card)
_EVENTS = """
select notification_id, recorded_at, originator_id, originator_version, topic, state from ledger_events
where notification_id > %s and notification_id <= %s and topic = any(%s) order by notification_id limit %s
"""


@dataclass(slots=True)
class WebLogins:
    """The cards so far, each with the state of its access, and whose they are."""

    book: TermsBook
    cards: dict[UUID, Card] = field(default_factory=dict)
    of_member: dict[UUID, list[Access]] = field(default_factory=dict)

    def take(self, recorded: Recorded) -> Finding | None:
        """Fold a fact of a card; of a login, what is on record and what the cards say, where the two differ."""
        event = recorded.event
        if isinstance(event.fact, LoginSucceeded | LoginRefused):
            return self._judge(recorded, event.fact)
        of = self.cards.setdefault(event.originator_id, Card.blank(event.originator_id))
        with suppress(Exception):  # recompute of the card tells of a fact that cannot be folded
            event.fact.evolve(of, event.at)
        if isinstance(event.fact, CardIssued):
            self.of_member.setdefault(event.fact.member_id, []).append(of.access)
        return None

    def _judge(self, recorded: Recorded, fact: LoginSucceeded | LoginRefused) -> Finding | None:
        event = recorded.event
        answered = fact.code if isinstance(fact, LoginRefused) else None
        possible = self._bars(event)
        if answered in possible:
            return None
        return Finding(
            what="web-login",
            position=recorded.position,
            subject=event.originator_id,
            field="code",
            stored=answered,
            replayed=possible[-1],
        )

    def _bars(self, event: Event) -> list[str | None]:
        """What a right password runs into on each card of the member, None where it is let in."""
        terms = self.book.at(business_day(event.at))
        bars = [right_password_bar(each, terms) for each in self.of_member.get(event.originator_id, [None])]
        return [None if bar is None else bar.code for bar in bars]


async def web_logins(connection: Connection, book: TermsBook, until: int) -> AsyncIterator[Finding]:
    """Each web login up to a position that the cards of its member do not explain."""
    logins, position = WebLogins(book), 0
    topics = [topic for topic, fact in FACTS.items() if fact.__module__ in {each.__name__ for each in _CARD_FACTS}]
    topics += [LoginSucceeded.topic, LoginRefused.topic]
    while True:
        cursor = await connection.cursor(binary=True).execute(_EVENTS, (position, until, topics, PAGE))
        rows: list[tuple[Any, ...]] = await cursor.fetchall()
        for recorded in recorded_rows(rows):
            found = logins.take(recorded)
            if found is not None:
                yield found
        if len(rows) < PAGE:
            return
        position = rows[-1][0]
