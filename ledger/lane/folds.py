"""The aggregates that a lane keeps in memory: streams folded to the version that it last saw.

What must stay true: what is kept was recorded. A stream that an unrecorded act touched is forgotten and folded anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from ledger.aggregates.fact import Aggregate, Event


class Folds:
    """At most `size` aggregates, the least recently used one leaves first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[UUID, Aggregate] = OrderedDict()

    def get(self, stream: UUID) -> Aggregate | None:
        return self._kept.get(stream)

    def keep(self, aggregate: Aggregate) -> None:
        self._kept[aggregate.id] = aggregate
        self._kept.move_to_end(aggregate.id)

    def forget(self, streams: Iterable[UUID]) -> None:
        for stream in streams:
            self._kept.pop(stream, None)

    def versions(self, streams: Iterable[UUID]) -> dict[UUID, int]:
        """The version that is kept of each stream, 0 of one that is not; they are the last to leave."""
        found: dict[UUID, int] = {}
        for stream in streams:
            found[stream] = 0
            if (kept := self._kept.get(stream)) is not None:
                found[stream] = kept.version
                self._kept.move_to_end(stream)
        return found

    def fold(self, events: Mapping[UUID, Sequence[Event]]) -> None:
        """Apply what was recorded since, in order."""
        for stream, news in events.items():
            aggregate = self._kept.get(stream)
            for event in news:
                aggregate = event.mutate(aggregate)
            if aggregate is not None:
                self.keep(aggregate)

    def shrink(self, in_use: int) -> None:
        """Come back to size, but never below what the present batch uses."""
        while len(self._kept) > max(self._size, in_use):
            self._kept.popitem(last=False)
