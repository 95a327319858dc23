"""Rounds: every arm gets a slice in each, in an order that turns by one, and ratios are taken inside a round.

What must stay true: the first round warms up and is thrown away; a round is dropped whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from ledger.bench.arms import Arm, Sample
from ledger.bench.machine import sync_milliseconds

SLOW_SYNC_MILLISECONDS = 5.0
"""A round in which the disk was slower than this says more of the disk than of the program."""

Of = Callable[[Sample], float]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds with the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))


@dataclass(slots=True)
class Rounds:
    """What was measured: samples by arm, one for each kept round, and the disk's sync time of each."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    syncs: list[float] = field(default_factory=list)
    dropped: int = 0

    def spread(self, arm: str, of: Of) -> Spread:
        return Spread.of([of(sample) for sample in self.samples[arm]])

    def ratio(self, arm: str, to: str, of: Of) -> Spread:
        """The arm's figure over the other's, each pair out of one round."""
        pairs = zip(self.samples[arm], self.samples[to], strict=True)
        return Spread.of([of(one) / max(of(other), 1e-9) for one, other in pairs])

    def errors(self, arm: str) -> int:
        return sum(sample.errors for sample in self.samples[arm])


def run(arms: Sequence[Arm], folder: Path, *, rounds: int, seconds: float, told: Callable[[str], None]) -> Rounds:
    """Measure until `rounds` are kept; one more warms up, and at most as many again are dropped."""
    done = Rounds({arm.name: [] for arm in arms})
    number = 0
    while len(done.syncs) < rounds:
        turn = number % len(arms)
        sync = sync_milliseconds(folder)
        taken = {arm.name: arm.slice(seconds) for arm in (*arms[turn:], *arms[:turn])}
        told(f"round {number}: sync {sync:.2f} ms")
        number += 1
        if number == 1:
            continue
        if sync > SLOW_SYNC_MILLISECONDS and done.dropped < rounds:
            done.dropped += 1
            continue
        done.syncs.append(sync)
        for name, sample in taken.items():
            done.samples[name].append(sample)
    return done
