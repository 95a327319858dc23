"""One act's turn in the lane: it waits, it is decided, and its caller is told.

What must stay true: a caller is told once, and under an idempotency key the same every time.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from ledger.aggregates.fact import Event
from ledger.instruction import Answer
from ledger.lane.desk import Act, Desk
from ledger.refusals import REFUSALS, IdempotencyKeyReused, Refusal
from ledger.remedies import REMEDIES
from ledger.store.batch import Batch, Outcome
from ledger.store.log import Standing
from ledger.store.mapper import encode


@dataclass(slots=True, eq=False)
class Waiting:
    """An act in the queue and the caller who waits for it.

    `found` is what the record function found (a name is taken): the next turn records that refusal under the key.
    An act that is unsure was decided on something that was not so: the log is asked before it is decided again.
    """

    act: Act
    future: asyncio.Future[Answer]
    clashes: int = 0
    attempts: int = 0
    found: Refusal | None = None
    unsure: bool = False
    since: float = field(default_factory=time.perf_counter)

    @property
    def watched(self) -> tuple[UUID, ...]:
        """The streams that the act declares, and those whose epochs its caller's session rests on."""
        return (*self.act.streams, *(stream for stream, _ in self.act.order.caller.epochs))

    @property
    def alone(self) -> bool:
        """An act that clashed twice is decided under the lock, by itself, so that there is always progress."""
        return self.clashes >= 2

    @property
    def told(self) -> bool:
        return self.future.done()

    def answer(self, answer: Answer) -> None:
        if not self.told:
            self.future.set_result(answer)

    def fail(self, error: Exception) -> None:
        if not self.told:
            self.future.set_exception(error)

    def refuse(self, refusal: Refusal, position: int | None) -> None:
        refusal.position = position
        self.fail(refusal)

    def repeat(self, standing: Standing) -> bool:
        """Answer a repeated request as the first one was answered; False where nothing is stored under the key."""
        key = self.act.order.key
        stored = standing.answers.get((key.subject, key.key)) if key is not None else None
        if key is None or stored is None:
            return False
        body = msgspec.json.decode(stored.body)
        if stored.fingerprint != key.fingerprint:
            self.refuse(IdempotencyKeyReused(), None)
        elif stored.refusal is not None:
            refusal = REFUSALS[stored.refusal](remedy=REMEDIES[body.pop("remedy")], **body)
            refusal.replayed = True
            self.refuse(refusal, stored.position)
        else:
            self.answer(Answer(stored.position, body, replayed=True))
        return True


@dataclass(slots=True)
class Decided:
    """An act as it was decided: its facts' events, its rows and what it will answer, once that stands."""

    waiting: Waiting
    desk: Desk
    outcome: dict[str, Any] | Refusal
    events: list[Event] = field(default_factory=list)
    written: set[UUID] = field(init=False)
    """The streams that it wrote."""

    def __post_init__(self) -> None:
        self.written = {event.originator_id for event in self.events}

    def tell(self, outcome: Outcome) -> None:
        """Tell the caller; the act is committed, or needed no commit."""
        if isinstance(self.outcome, Refusal):
            self.waiting.refuse(self.outcome, outcome.position)
        else:
            self.waiting.answer(Answer(outcome.position, self.outcome))

    def write_to(self, batch: Batch, number: int, versions: dict[UUID, int]) -> None:
        """Put the act into a batch; `versions` are those of the streams before the batch."""
        for stream in self.desk.streams:
            batch.look(stream, versions.get(stream, 0))
            batch.touch(number, stream, writes=stream in self.written)
        for event in self.events:
            batch.add_event(number, event.originator_id, event.originator_version, event.fact.topic, encode(event))
        for table, row in self.desk.rows:
            batch.add_row(number, table, row)
        for state in self.desk.kept:
            batch.keep(number, state)
        self._write_key(batch, number)

    def _write_key(self, batch: Batch, number: int) -> None:
        key, outcome = self.waiting.act.order.key, self.outcome
        if key is None or (isinstance(outcome, Refusal) and not outcome.stored):
            return
        refusal, body = (outcome.code, outcome.kept) if isinstance(outcome, Refusal) else (None, outcome)
        batch.add_key(number, key.subject, key.key, key.fingerprint, refusal, msgspec.json.encode(body))
