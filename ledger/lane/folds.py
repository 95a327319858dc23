"""The aggregates that a lane keeps in memory: streams folded to the version that it last saw.

What must stay true: what is kept was recorded. A stream that an unrecorded act touched is forgotten and folded anew.
The event loop is never held by a fold for longer than a few events take.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final
from uuid import UUID

import msgspec
import structlog

from ledger.aggregates.card import Card
from ledger.aggregates.fact import Aggregate
from ledger.aggregates.passbook import PassbookCut
from ledger.store.kept import ENTRIES_KEPT, KeptState, kept, restored
from ledger.store.log import Standing

log = structlog.get_logger(__name__)

KEEP_EVERY: Final = 300
"""A card's state is kept when it has grown by so many events since it was last kept."""
ENTRIES_HELD: Final = 2 * ENTRIES_KEPT
"""A card in memory with more entries than this is cut to what a kept state holds."""
_BREATH: Final = 50
"""Events that are folded before others have their turn."""
_FROM_THE_FIRST: Final = -1
"""The version to ask for so that no kept state is used."""


class Folds:
    """At most `size` aggregates, the least recently used one leaves first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[UUID, Aggregate] = OrderedDict()
        self._state_kept_at: dict[UUID, int] = {}
        self._from_the_first: set[UUID] = set()

    def get(self, stream: UUID) -> Aggregate | None:
        return self._kept.get(stream)

    def keep(self, aggregate: Aggregate) -> None:
        # A card whose issue was refused has no passbook.
        passbook = aggregate.passbook if isinstance(aggregate, Card) else None
        if passbook is not None and len(passbook.entries) > ENTRIES_HELD:
            _cut(aggregate)
        self._kept[aggregate.id] = aggregate
        self._kept.move_to_end(aggregate.id)

    def forget(self, streams: Iterable[UUID]) -> None:
        for stream in streams:
            self._kept.pop(stream, None)
            self._state_kept_at.pop(stream, None)

    def fold_from_the_first(self, streams: Iterable[UUID]) -> None:
        """Forget the streams, and use no kept state of them the next time."""
        for stream in streams:
            self.forget([stream])
            self._from_the_first.add(stream)

    def versions(self, streams: Iterable[UUID]) -> dict[UUID, int]:
        """The version that is kept of each stream, none above 0 of one that is not; they are the last to leave."""
        found: dict[UUID, int] = {}
        for stream in streams:
            if (aggregate := self._kept.get(stream)) is not None:
                found[stream] = aggregate.version
                self._kept.move_to_end(stream)
            else:
                found[stream] = _FROM_THE_FIRST if stream in self._from_the_first else 0
        return found

    async def fold(self, standing: Standing) -> None:
        """Apply what was recorded since, in order; what cannot be brought up this time joins the unfinished streams."""
        for state in standing.kept:
            self._restore(state, standing)
        folded = 0
        for stream, news in standing.events.items():
            try:
                for event in news:
                    folded += 1
                    if folded % _BREATH == 0:
                        await asyncio.sleep(0)
                    self._kept[stream] = event.mutate(self._kept.get(stream))
                if stream in standing.unfinished and stream not in self._from_the_first:
                    _cut(self._kept[stream])
            except PassbookCut:
                self._begin_again(stream, standing)
        self._from_the_first &= standing.unfinished

    def _restore(self, state: KeptState, standing: Standing) -> None:
        try:
            self._kept[state.stream] = restored(state)
        except msgspec.MsgspecError:
            log.error("lane.kept-state-unreadable", stream=str(state.stream), version=state.version)
            standing.events.pop(state.stream, None)
            self._begin_again(state.stream, standing)
        else:
            self._state_kept_at[state.stream] = state.version

    def _begin_again(self, stream: UUID, standing: Standing) -> None:
        self.fold_from_the_first([stream])
        standing.unfinished.add(stream)

    def state_to_keep(self, aggregate: Aggregate) -> KeptState | None:
        """The state to be recorded with the act just decided; None where the last one will do."""
        grown = aggregate.version - self._state_kept_at.get(aggregate.id, 0)
        if grown < KEEP_EVERY or not isinstance(aggregate, Card):
            return None
        self._state_kept_at[aggregate.id] = aggregate.version
        _cut(aggregate)
        return kept(aggregate)

    def shrink(self, in_use: int) -> None:
        """Come back to size, but never below what the present batch uses."""
        while len(self._kept) > max(self._size, in_use):
            stream, _ = self._kept.popitem(last=False)
            self._state_kept_at.pop(stream, None)


def _cut(aggregate: Aggregate) -> None:
    """Hold no more entries in memory than a kept state does."""
    if isinstance(aggregate, Card):
        aggregate.passbook = aggregate.written.cut_to(ENTRIES_KEPT)
