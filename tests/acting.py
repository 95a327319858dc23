"""Given, when, then over facts: who acts at what time, what was recorded, and the fold of it from nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid5

import msgspec

from ledger.aggregates.fact import Aggregate, Cause, Event, Fact
from ledger.terms import TermsBook

A = TypeVar("A", bound=Aggregate)

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
TERMS = TermsBook.load(None).at(date(2026, 4, 1))
STREAM = UUID("11111111-1111-4111-8111-111111111111")
MEMBER_ID = UUID("22222222-2222-4222-8222-222222222222")


class Acting:
    """One aggregate under test, on a clock that moves only when told."""

    def __init__(self, kind: type[A]) -> None:
        self.kind = kind
        self.now = NOW
        self.aggregate: Any = kind.blank(STREAM)
        self.attempts = 0
        self.by()

    def by(self, subject: str = "anonymous", role: str = "anonymous", channel: str = "web") -> Any:
        """The aggregate, with the next act done by this caller."""
        cause = Cause(
            actor=subject, role=role, channel=channel, command_id=uuid5(STREAM, subject), correlation_id="test"
        )
        return self.aggregate.instructed_by(cause, self.now)

    def later(self, **units: float) -> Acting:
        self.now += timedelta(**units)
        self.by()
        return self

    def attempt_id(self) -> UUID:
        self.attempts += 1
        return uuid5(STREAM, str(self.attempts))

    @property
    def events(self) -> list[Event]:
        return list(self.aggregate.pending_events)

    @property
    def facts(self) -> list[Fact]:
        return [event.fact for event in self.events]

    @property
    def topics(self) -> list[str]:
        return [fact.topic.partition(".")[2] for fact in self.facts]

    def count(self, topic: str) -> int:
        return self.topics.count(topic)

    def fold(self) -> Any:
        """The same aggregate out of nothing but its recorded facts."""
        folded = self.kind.blank(STREAM)
        for event in self.events:
            event.mutate(folded)
        return folded


def through_json(state: Any) -> Any:
    """The state as a read model would give it back."""
    return msgspec.json.decode(msgspec.json.encode(state), type=type(state))
