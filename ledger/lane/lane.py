"""The lane: whatever waits while one commit runs goes together into the next. No timer, no tuning knob but the caps.

What must stay true: a future is resolved only after its act is committed (or found to clash with nothing left to
decide), a refusal or a defect touches only its own caller, and an act that clashed is decided again on fresher state.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import structlog

from ledger.aggregates.access import VerdictStale
from ledger.aggregates.adoption import ADOPTION_ID, Adoption
from ledger.aggregates.fact import Aggregate, Event
from ledger.aggregates.passbook import PassbookCut
from ledger.calendar import business_day
from ledger.faults import kind_and_place
from ledger.instruction import Answer
from ledger.lane.desk import Act, Desk, GatheredStale
from ledger.lane.folds import Folds
from ledger.lane.presumption import Presumption
from ledger.lane.refused import put_on_record
from ledger.lane.turn import Decided, Waiting
from ledger.meters import LaneMeters
from ledger.refusals import (
    Busy,
    CardExists,
    DatabaseUnavailable,
    IdempotencyKeyInUse,
    Refusal,
    ResetTokenSpent,
    WebIdTaken,
)
from ledger.store.batch import Batch, Outcome
from ledger.store.log import Log, Standing, UnclearCommit
from ledger.terms import Terms, TermsBook

log = structlog.get_logger(__name__)

ACTS_MAX = 256
EVENTS_MAX = 500
STALE = (GatheredStale, VerdictStale)
"""What was gathered for an act has moved: its caller gathers again."""
_REFUSED_CLAIMS: dict[str, type[Refusal]] = {
    "web-id": WebIdTaken,
    "card-exists": CardExists,
    "reset-token": ResetTokenSpent,
}


@dataclass(slots=True)
class _Recorded:
    """A batch after its call: what became of each act, the acts it had no room for, and whether it was presumed."""

    acts: list[tuple[Decided, Outcome]]
    left: list[Waiting]
    presumed: bool


class Defect(Exception):
    """A decision failed with something that is no refusal."""


class Lane:
    """One queue, one task, one writing connection.

    `queue_max` bounds what waits (over it: Busy, nothing recorded); `streams_max` bounds the aggregates kept in memory.
    """

    def __init__(self, log: Log, terms: TermsBook, *, queue_max: int = 4096, streams_max: int = 20_000) -> None:
        self._log = log
        self._terms = terms
        self._queue: deque[Waiting] = deque()
        self._queue_max = queue_max
        self._folds = Folds(streams_max)
        self._presumption = Presumption()
        self._streams_max = streams_max
        self._keys_in_flight: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()
        self._draining = False
        self._task: asyncio.Task[None] | None = None
        self.meters = LaneMeters()
        self.acknowledged: OrderedDict[UUID, int] = OrderedDict()
        """The last position that this process acknowledged on a stream."""

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="lane")

    async def stop(self) -> None:
        """Drain, then close the connection."""
        await self.drain()
        await self._log.close()

    async def drain(self) -> None:
        """Refuse new acts and return when those that wait are answered."""
        self._draining = True
        self._wake.set()
        if self._task is not None:
            await asyncio.shield(self._task)

    @property
    def depth(self) -> int:
        """Acts that wait."""
        return len(self._queue)

    async def execute(self, act: Act) -> Answer:
        """Decide and commit the act.

        Raises its Refusal; Busy when the queue is full; DatabaseUnavailable when the log cannot be reached;
        GatheredStale when the act asks to be gathered again.
        """
        if self._draining or len(self._queue) >= self._queue_max:
            self.meters.busy += 1
            raise Busy(retry_after=1)
        key = act.order.key
        waiting = Waiting(act, asyncio.get_running_loop().create_future())
        waiting.future.add_done_callback(asyncio.Future.exception)  # heard, also where the caller went away
        if key is not None:
            if (key.subject, key.key) in self._keys_in_flight:
                raise IdempotencyKeyInUse(retry_after=1)
            self._keys_in_flight.add((key.subject, key.key))
            waiting.future.add_done_callback(lambda _: self._keys_in_flight.discard((key.subject, key.key)))
        self._queue.append(waiting)
        self._wake.set()
        # The act stands whether or not its caller stays to hear of it.
        return await asyncio.shield(waiting.future)

    async def _run(self) -> None:
        while self._queue or not self._draining:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            group = self._next_group()
            try:
                await self._commit(group)
            except Exception as error:  # noqa: BLE001  # the lane outlives everything; the callers are told
                log.error("lane.failed", **kind_and_place(error))
                self._fail(group, error)

    def _next_group(self) -> list[Waiting]:
        group = [self._queue.popleft()]
        while self._queue and not group[0].alone and not self._queue[0].alone and len(group) < ACTS_MAX:
            group.append(self._queue.popleft())
        return group

    async def _commit(self, group: list[Waiting]) -> None:
        """Decide and record the group; what cannot be settled now goes back to the head of the queue."""
        try:
            if group[0].alone:
                async with self._log.locked():
                    recorded = await self._decide_and_record(group)
            else:
                recorded = await self._decide_and_record(group)
        except UnclearCommit as unclear:
            log.error("lane.unclear-commit", batch=str(unclear))
            self._fail(group, DatabaseUnavailable(retry_after=1))
        except psycopg.Error as error:
            await self._after_error(group, error)
        except Exception as fault:  # noqa: BLE001  # one act or one stream is at fault, and the others stand
            await self._halve(group, fault)
        else:
            # Only here: what was recorded under the lock is committed when the lock is given up.
            self._settle_all(recorded)

    async def _after_error(self, group: list[Waiting], error: psycopg.Error) -> None:
        """Nothing was recorded: repeat what may pass, halve what is a fault of the data, answer 503 to the rest."""
        self._forget(group)
        kind = (error.sqlstate or "08000")[:2]
        for waiting in group:
            waiting.attempts += 1
            waiting.unsure = True
        if kind in ("21", "22", "23", "54", "P0") or isinstance(error, psycopg.DataError):
            await self._halve(group, error)
        elif kind in ("40", "55") and all(waiting.attempts <= 3 for waiting in group):
            self._queue.extendleft(reversed([waiting for waiting in group if not waiting.told]))
        else:
            log.warning("lane.database-unavailable", sqlstate=error.sqlstate)
            self._fail(group, DatabaseUnavailable(retry_after=1))

    async def _halve(self, group: list[Waiting], fault: Exception) -> None:
        """Decide the halves of the group apart, until the one faulty act stands alone and fails alone."""
        self._forget(group)
        left = [waiting for waiting in group if not waiting.told]
        if len(left) > 1:
            await self._commit(left[: len(left) // 2])
            await self._commit(left[len(left) // 2 :])
        elif left and not left[0].unsure:
            left[0].unsure = True  # what it failed on may only have been presumed
            await self._commit(left)
        elif left:
            cause = fault.__cause__ if isinstance(fault, Defect) and isinstance(fault.__cause__, Exception) else fault
            log.error("lane.defect", **kind_and_place(cause))
            self._fail(left, cause)

    def _fail(self, group: Iterable[Waiting], error: Exception) -> None:
        self._forget(group)
        for waiting in group:
            waiting.fail(error)

    def _forget(self, group: Iterable[Waiting]) -> None:
        for waiting in group:
            self._folds.forget(waiting.watched)
        self._folds.forget([ADOPTION_ID])

    async def _decide_and_record(self, group: list[Waiting]) -> _Recorded:
        self.meters.began([waiting.since for waiting in group])
        standing, versions = await self._bring_up(group)
        terms = self._terms.at(business_day(standing.now))
        decided: list[Decided] = []
        events, left, behind = 0, deque(group), []
        while left and events < EVENTS_MAX:
            waiting = left.popleft()
            if waiting.repeat(standing):
                continue
            if not standing.unfinished.isdisjoint(waiting.watched):
                waiting.unsure = True  # a stream that is not whole yet is asked for again, never presumed
                behind.append(waiting)
                continue
            try:
                decided.append(self._decide(waiting, standing, terms))
            except STALE as stale:
                if standing.presumed:
                    waiting.unsure = True
                    behind.append(waiting)
                else:
                    waiting.fail(stale)
                continue
            except PassbookCut:
                # Its streams are folded anew; who comes after it in the batch may need them too.
                self._folds.fold_from_the_first(waiting.watched)
                behind.append(waiting)
                break
            events += len(decided[-1].events)
        batch = _batch_of(decided, standing, versions)
        if batch.event_acts or batch.key_acts or batch.rows:
            outcomes = await self.meters.recording(len(decided), self._log.record(batch))
        elif standing.presumed:
            # No record call will show whether it was so, and asking costs less than a commit.
            return _Recorded([], [*_unsure(decided), *behind, *left], presumed=True)
        else:
            outcomes = [Outcome(None, standing.head)] * len(decided)
        return _Recorded(list(zip(decided, outcomes, strict=True)), [*behind, *left], standing.presumed)

    async def _bring_up(self, group: list[Waiting]) -> tuple[Standing, dict[UUID, int]]:
        """Learn or presume what is new on the group's streams; with it, the version of each stream before the group."""
        streams = {ADOPTION_ID}
        for waiting in group:
            streams.update(waiting.watched)
        versions = self._folds.versions(streams)
        self._folds.shrink(len(streams))
        if min(versions.values()) > 0 and not any(waiting.unsure for waiting in group):
            presumed = self._presumption.standing()
            if presumed is not None:
                return presumed, versions
        keys = [waiting.act.order.key for waiting in group if waiting.act.order.key is not None]
        standing = await self._log.bring_up(versions, keys)
        self._presumption.asked(standing)
        await self._folds.fold(standing)
        return standing, self._folds.versions(streams)

    def _decide(self, waiting: Waiting, standing: Standing, terms: Terms) -> Decided:
        """Let the act decide; raises Defect when it fails, or refuses after it recorded a fact."""
        act = waiting.act
        streams: dict[UUID, Aggregate | None] = {stream: self._folds.get(stream) for stream in waiting.watched}
        epochs = {stream: aggregate.epoch for stream, aggregate in streams.items() if aggregate is not None}
        desk = Desk(act.order, standing.now, terms, streams)
        outcome: dict[str, Any] | Refusal
        try:
            desk.refuse_ended_session()
            outcome = waiting.found or act.decide(desk)
        except (Refusal, *STALE) as refusal:
            if any(aggregate is not None and aggregate.pending_events for aggregate in desk.streams.values()):
                raise Defect("the act refused after it had recorded a fact") from refusal
            if not isinstance(refusal, Refusal):
                raise
            desk.rows.clear()
            outcome = refusal
        except PassbookCut:
            raise
        except Exception as error:
            raise Defect("the decision failed") from error
        events = self._collect(desk, epochs)
        if isinstance(outcome, Refusal) and not events:
            if standing.presumed and act.order.key is not None and not outcome.stored:
                raise GatheredStale  # recording it would not look at the key, which may have an answer already
            # Now: a later act of the batch may change what this one saw.
            put_on_record(desk, outcome)
        return Decided(waiting, desk, outcome, events)

    def _collect(self, desk: Desk, epochs: dict[UUID, int]) -> list[Event]:
        """The act's events, the adoption of the terms first where they are new; raised epochs become rows."""
        events: list[Event] = []
        for stream, aggregate in desk.streams.items():
            if aggregate is None:
                continue
            recorded: list[Event] = aggregate.collect_events()  # type: ignore[assignment]  # the library's own type
            events.extend(recorded)
            for event in recorded:
                if event.fact.notice:
                    desk.notify(aggregate, event.fact.notice)
            if aggregate.epoch != epochs.get(stream, 0):
                desk.row("epochs", subject=stream, epoch=aggregate.epoch)
            self._folds.keep(aggregate)
            if recorded and (state := self._folds.state_to_keep(aggregate)) is not None:
                desk.kept.append(state)
        if not events:
            return events
        adoption = self._folds.get(ADOPTION_ID) or Adoption.blank(ADOPTION_ID)
        assert isinstance(adoption, Adoption)
        adoption.instructed_by(desk.order.cause, desk.now).adopt(desk.terms.version, self._terms.digest)
        adopted: list[Event] = adoption.collect_events()  # type: ignore[assignment]  # as above
        if adopted:
            desk.streams[ADOPTION_ID] = adoption
            self._folds.keep(adoption)
        return [*adopted, *events]

    def _settle_all(self, recorded: _Recorded) -> None:
        """Tell the callers whose acts stand; what clashed, and what found no room, comes first in the queue."""
        again: list[Waiting] = []
        for one, outcome in recorded.acts:
            if outcome.clash is None:
                self._settle(one, outcome)
                continue
            self.meters.clashes[outcome.clash] += 1
            # What the streams of an act that clashed hold was never recorded.
            self._folds.forget(one.desk.streams)
            one.waiting.unsure = True
            if recorded.presumed and outcome.clash in ("stale", "clock"):
                self._presumption.doubt()
            if outcome.clash == "card-number":
                # The number drawn is another card's; deciding again with it could go on for ever.
                one.waiting.fail(GatheredStale())
            elif (refused := _REFUSED_CLAIMS.get(outcome.clash)) is not None:
                one.waiting.found = refused()
                again.append(one.waiting)
            else:
                one.waiting.clashes += not recorded.presumed
                again.append(one.waiting)
        self._queue.extendleft(reversed([*again, *recorded.left]))

    def _settle(self, one: Decided, outcome: Outcome) -> None:
        """Tell the caller; the act is committed, or needed no commit."""
        for event in one.events:
            self.acknowledged[event.originator_id] = outcome.position
            self.acknowledged.move_to_end(event.originator_id)
        while len(self.acknowledged) > self._streams_max:
            self.acknowledged.popitem(last=False)
        one.tell(outcome)


def _unsure(decided: list[Decided]) -> list[Waiting]:
    for one in decided:
        one.waiting.unsure = True
    return [one.waiting for one in decided]


def _batch_of(decided: list[Decided], standing: Standing, versions: dict[UUID, int]) -> Batch:
    batch = Batch(uuid4(), standing.clock_offset, acts=len(decided))
    adopting = False
    for number, one in enumerate(decided, start=1):
        adopting = adopting or ADOPTION_ID in one.written
        if adopting and one.events:
            # Behind an adoption that clashes nothing may stand.
            batch.touch(number, ADOPTION_ID, writes=False)
        one.write_to(batch, number, versions)
    return batch
