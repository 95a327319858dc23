"""Recompute: every act of the log decided again, from the inputs on record and under the terms on record.

What must stay true: the facts that come out must equal the recorded ones to the last field: each interest segment,
allocation, instalment, lock and what followed from it. It reads and decides; it records nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import msgspec

from ledger.aggregates.fact import STREAMS, Aggregate, Event, Fact
from ledger.audit.acts import TermsNotHere, act_of
from ledger.audit.fold import Finding
from ledger.refusals import Refusal
from ledger.store.pages import Connection, Recorded, recorded_rows
from ledger.terms import TermsBook

PAGE: Final = 2000
_STREAMS = """
select notification_id, recorded_at, originator_id, originator_version, topic, state from ledger_events
where (originator_id, originator_version) > (%s, %s) and originator_id <= %s and notification_id <= %s
order by originator_id, originator_version limit %s
"""
Share = tuple[UUID, UUID]
"""The streams from one id to another, both included."""
ALL: Final = (UUID(int=0), UUID(int=2**128 - 1))


@dataclass(slots=True)
class Recomputed:
    """How many acts were decided again, and how many facts came out of them as they are on record.

    `told` counts facts that hold no decision; `undecided` are acts under terms that this program does not have.
    """

    acts: int = 0
    facts: int = 0
    told: int = 0
    undecided: list[Finding] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Recomputed) -> None:
        """Add what was found in another share of the streams."""
        self.acts, self.facts, self.told = self.acts + other.acts, self.facts + other.facts, self.told + other.told
        self.undecided += other.undecided
        self.findings += other.findings


async def recompute(connection: Connection, book: TermsBook, until: int, share: Share = ALL) -> Recomputed:
    """Decide every act up to a position again, stream by stream; those of a share of the streams where one is given."""
    done = Recomputed()
    async for events in _streams(connection, until, share):
        recompute_stream(events, book, done)
    return done


async def _streams(connection: Connection, until: int, share: Share) -> AsyncIterator[list[Recorded]]:
    """The events of one stream after the other."""
    (first, end), version = share, 0
    events: list[Recorded] = []
    while True:
        cursor = await connection.cursor(binary=True).execute(_STREAMS, (first, version, end, until, PAGE))
        rows = await cursor.fetchall()
        for recorded in recorded_rows(rows):
            if events and events[-1].event.originator_id != recorded.event.originator_id:
                yield events
                events = []
            events.append(recorded)
        if len(rows) < PAGE:
            break
        first, version = events[-1].event.originator_id, events[-1].event.originator_version
    if events:
        yield events


def recompute_stream(events: Sequence[Recorded], book: TermsBook, done: Recomputed) -> None:
    """Decide the acts of one whole stream again."""
    first = events[0].event
    kind = STREAMS[first.fact.topic.partition(".")[0]]
    aggregate, taken = kind.blank(first.originator_id), 0
    for _, group in groupby(events, key=_command):
        command = list(group)
        try:
            fits = _decide(aggregate, command, book, done)
        except TermsNotHere:
            fits = False
            done.undecided.append(_finding("terms-not-here", command[0], "terms_version", _terms_of(command), None))
        except Exception as error:  # noqa: BLE001 - whatever a fact that fits no other one breaks is told
            fits = False
            done.findings.append(_broken("recomputed-broken", command[0], error))
        taken += len(command)
        if not fits:  # go on from what is on record
            aggregate = kind.blank(first.originator_id)
            stuck = _folded(aggregate, events[:taken])
            if stuck is not None:
                done.findings.append(stuck)
                return


def _command(recorded: Recorded) -> tuple[Any, ...]:
    cause = recorded.event.cause
    return cause.command_id, cause.causation_id, recorded.event.at


def _folded(aggregate: Aggregate, events: Iterable[Recorded]) -> Finding | None:
    """Fold what is on record into the aggregate; the first fact that cannot be folded, where there is one."""
    for recorded in events:
        try:
            recorded.event.mutate(aggregate)
        except Exception as error:  # noqa: BLE001 - as above
            return _broken("not-foldable", recorded, error)
    return None


def _terms_of(command: Sequence[Recorded]) -> list[str]:
    return sorted({getattr(each.event.fact, "terms_version", "") for each in command} - {""})


def _decide(aggregate: Aggregate, command: list[Recorded], book: TermsBook, done: Recomputed) -> bool:
    """Decide the acts of a command on the aggregate before it; whether all came out as they are on record."""
    while command:
        act = act_of([recorded.event for recorded in command], book)
        if act is None:
            command[0].event.mutate(aggregate)
            done.told += 1
            command = command[1:]
            continue
        event = command[0].event
        refused = None
        try:
            act(aggregate.instructed_by(event.cause, event.at))
        except Refusal as refusal:
            refused = refusal.code
        made: Sequence[Event] = aggregate.collect_events()  # type: ignore[assignment]  # the library's own type
        different = next(_differences(command, made, refused), None)
        if different is not None:
            done.findings.append(different)
            return False
        done.acts += 1
        done.facts += len(made)
        command = command[len(made) :]
    return True


def _differences(command: Sequence[Recorded], made: Sequence[Event], refused: str | None) -> Iterator[Finding]:
    if refused is not None or not made:
        yield _finding("recomputed-refused", command[0], None, command[0].event.fact.topic, refused or "no fact")
    for number, event in enumerate(made):
        if number >= len(command):
            yield _finding("recomputed-more", command[-1], None, None, event.fact.topic)
            return
        recorded = command[number]
        if recorded.event.fact != event.fact:
            yield from _fields(recorded, event.fact)


def _fields(recorded: Recorded, made: Fact) -> Iterator[Finding]:
    fact = recorded.event.fact
    if type(fact) is not type(made):
        yield _finding("recomputed-other", recorded, None, fact.topic, made.topic)
        return
    stored, computed = msgspec.to_builtins(fact), msgspec.to_builtins(made)
    for name in stored:
        if stored[name] != computed[name]:
            yield _finding("recomputed-field", recorded, name, stored[name], computed[name])


def _broken(what: str, recorded: Recorded, error: Exception) -> Finding:
    return _finding(what, recorded, None, recorded.event.fact.topic, type(error).__name__)


def _finding(what: str, recorded: Recorded, name: str | None, stored: Any, replayed: Any) -> Finding:
    return Finding(
        what=what,
        position=recorded.position,
        subject=recorded.event.originator_id,
        row=recorded.event.fact.topic,
        field=name,
        stored=stored,
        replayed=replayed,
    )
