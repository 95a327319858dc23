"""Facts, their causes, and the aggregate that records them.

What must stay true: a public act decides and then calls `record`; a fact's `evolve` only applies what was decided.
It has no guard, no clock and no random, so that a stream written under old rules can always be folded again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self, cast, dataclass_transform
from uuid import UUID, uuid5

import msgspec
from eventsourcing.domain import BaseAggregate

FACTS: dict[str, type[Fact]] = {}
"""Every fact by its topic. A stored topic that is not here is refused: rows never name code to import."""


STREAMS: dict[str, type[Aggregate]] = {}
"""The aggregate of every kind of stream, by the first word of its topics."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class _Declared(msgspec.StructMeta):
    """Declares a fact by its topic: frozen, its fields by keyword, and registered for the log's rows."""

    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, topic: str = "", **options: Any
    ) -> _Declared:
        if not topic:
            return super().__new__(cls, name, bases, namespace, frozen=True, kw_only=True, **options)
        assert topic not in FACTS, f"topic {topic} is taken by {FACTS[topic]}"
        named = {**namespace, "topic": topic}
        fact = super().__new__(cls, name, bases, named, frozen=True, kw_only=True, **options)
        FACTS[topic] = cast("type[Fact]", fact)
        return fact


class Fact(msgspec.Struct, metaclass=_Declared):
    """Something that happened, in the past tense of the business: a frozen struct with a registered topic.

    The topic (`card.login-failed`) is written for ever and is never a Python path. Fields are plain JSON-able
    values: int, str, bool, date, datetime, UUID, and tuples of such or of frozen dataclasses.
    """

    topic: ClassVar[str]
    schema_version: ClassVar[int] = 1
    notice: ClassVar[str] = ""
    """The kind of notice that the member is mailed about this fact; none for most."""

    @classmethod
    def upcast(cls, schema: int, data: dict[str, Any]) -> dict[str, Any]:
        """The stored fields of schema version `schema` as the next version has them; pure, and kept for ever."""
        raise NotImplementedError(f"{cls.topic} has no upcast from schema {schema}")

    @property
    def ends_sessions(self) -> bool:
        """Whether every session opened under this stream ends with this fact."""
        return False

    def evolve(self, aggregate: Any, at: datetime) -> None:
        """Apply the fact to the aggregate it belongs to; `at` is the business time of the decision."""
        raise NotImplementedError


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it, in which role, through which channel, by which command, and what led to it."""

    actor: str
    role: str
    channel: str
    command_id: UUID
    correlation_id: str
    causation_id: str | None = None


class Event(msgspec.Struct, frozen=True):
    """A fact at its place in a stream, with its cause and the business time of the decision."""

    originator_id: UUID
    originator_version: int
    fact: Fact
    cause: Cause
    at: datetime

    def mutate(self, aggregate: Aggregate | None) -> Aggregate:
        """The aggregate one fact further; of None, the one that this first fact begins."""
        if aggregate is None:
            aggregate = STREAMS[self.fact.topic.partition(".")[0]].blank(self.originator_id)
        assert aggregate.id == self.originator_id, (aggregate.id, self)
        assert aggregate.version + 1 == self.originator_version, (aggregate.version, self)
        self.fact.evolve(aggregate, self.at)
        if self.fact.ends_sessions:
            aggregate.epoch += 1
        aggregate.version = self.originator_version
        return aggregate


class Aggregate(BaseAggregate[UUID]):
    """A stream of facts folded to the present; `version` 0 is the state before the first one.

    `epoch` counts the facts that end sessions: a session opened under an older epoch is dead.
    """

    epoch: int
    _cause: Cause | None
    _at: datetime | None

    def __init_subclass__(cls, *, stream: str = "") -> None:
        super().__init_subclass__()
        if stream:
            STREAMS[stream] = cls

    @classmethod
    def blank(cls, aggregate_id: UUID) -> Self:
        """The aggregate before its first fact (the library's own constructor would record a fact)."""
        self = cls.__new__(cls)
        self._id = aggregate_id
        self._version = 0
        self._pending_events = []
        self._cause = None
        self._at = None
        self.epoch = 0
        self.begin()
        return self

    def begin(self) -> None:
        """Set the state that holds before the first fact."""
        raise NotImplementedError

    def instructed_by(self, cause: Cause, at: datetime) -> Self:
        """Name the cause and the business time of the facts that the next act records."""
        self._cause, self._at = cause, at
        return self

    @property
    def at(self) -> datetime:
        """The business time of the act being decided."""
        assert self._at is not None, "an act needs instructed_by(cause, at)"
        return self._at

    @property
    def cause(self) -> Cause:
        """The cause of the act being decided."""
        assert self._cause is not None, "an act needs instructed_by(cause, at)"
        return self._cause

    def record(self, fact: Fact) -> None:
        """Take the fact into the stream: evolve by it and keep it for the store."""
        event = Event(self.id, self.version + 1, fact, self.cause, self.at)
        event.mutate(self)
        self._pending_events.append(event)  # type: ignore[arg-type]  # the library's protocol, not its base class

    def new_id(self, kind: str) -> UUID:
        """An id for what the next fact brings about: the same for the same place in the same stream."""
        return uuid5(self.id, f"{kind}:{self.version + 1}")
