"""What the parts of the ledger count of themselves: plain numbers that cost next to nothing to raise.

What must stay true: a figure is raised on the one event loop, so that it needs no lock; nothing here knows who reads
it, and nothing that a caller sent is ever a name.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
ACTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1023, 1024)


class Histogram:
    """How often a value was at most so much; the last count is of those above every bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def seconds() -> Histogram:
    """A histogram of times."""
    return Histogram(SECONDS)


@dataclass(slots=True)
class LaneMeters:
    """The lane: acts of a batch, its record call, how long an act waited for it, clashes by kind, full queues."""

    batch_acts: Histogram = field(default_factory=lambda: Histogram(ACTS))
    commit_seconds: Histogram = field(default_factory=seconds)
    wait_seconds: Histogram = field(default_factory=seconds)
    clashes: Counter[str] = field(default_factory=Counter)
    busy: int = 0

    async def recording(self, acts: int, call: Awaitable[T]) -> T:
        """The answer of a record call, timed; one that fails is no commit."""
        began = time.perf_counter()
        answer = await call
        self.commit_seconds.add(time.perf_counter() - began)
        self.batch_acts.add(acts)
        return answer

    def began(self, waiting_since: Sequence[float]) -> None:
        """Acts that waited since then are decided now."""
        now = time.perf_counter()
        for since in waiting_since:
            self.wait_seconds.add(now - since)


@dataclass(slots=True)
class HashMeters:
    """Hashing: the wait for the owner's turn, the wait for a thread, and who was told that there is no room."""

    turn_seconds: Histogram = field(default_factory=seconds)
    thread_seconds: Histogram = field(default_factory=seconds)
    busy: int = 0


@dataclass(slots=True)
class ProjectorMeters:
    """The projector: events of a page and the time to apply it; pages without an event are none."""

    page_events: Histogram = field(default_factory=lambda: Histogram(EVENTS))
    page_seconds: Histogram = field(default_factory=seconds)

    async def page(self, step: Awaitable[int]) -> int:
        """The events of a page that was applied, timed."""
        began = time.perf_counter()
        events = await step
        if events:
            self.page_seconds.add(time.perf_counter() - began)
            self.page_events.add(events)
        return events
