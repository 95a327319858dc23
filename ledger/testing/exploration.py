"""Exploring: so many random lives by one seed, and the shortest story to what they found.

What must stay true: the same seed tells the same lives to the same policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from ledger.testing.acts import Act, Opening
from ledger.testing.driver import Driver
from ledger.testing.machine import machine
from ledger.testing.policy import Policy
from ledger.testing.trial import Discrepancy, Trial

BATCH = 10
"""Lives under one seed. Hypothesis soon goes on from lives it has already told; a fresh seed tells others."""


def tell_on_purpose(
    driver: Driver, story: Sequence[Act], opening: Opening, *, policy: Policy | None = None
) -> Discrepancy | None:
    """Tell one story; where it is answered otherwise, the shortest part of it that still is."""
    try:
        trial = Trial(driver, opening, policy)
        trial.tell_all(story)
        trial.end()
    except Discrepancy as found:
        return _shortened(driver, found, policy)
    return None


def _shortened(driver: Driver, found: Discrepancy, policy: Policy | None) -> Discrepancy:
    """Leave out halves, quarters and at last single acts, as long as something is found without them."""
    size = len(found.story) // 2
    while size:
        for first in range(0, len(found.story), size):
            shorter = found.story[:first] + found.story[first + size :]
            try:
                Trial(driver, found.opening, policy).tell_all(shorter)
            except Discrepancy as again:
                found = again
                break
        else:
            size //= 2
    return found


def explore(
    driver: Driver,
    *,
    examples: int,
    seeded: int,
    policy: Policy | None = None,
    life: str = "whole",
    steps: int = 30,
    shrink: bool = True,
    told: Callable[[], None] | None = None,
) -> Discrepancy | None:
    """Tell random lives until one is answered otherwise than the model expects; the shortest story that shows it.

    `told` is called after every life, also after those that only look for a shorter story.
    """
    telling = machine(driver, policy, life=life, told=told)
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    for begun in range(0, examples, BATCH):
        chosen = settings(
            max_examples=min(BATCH, examples - begun),
            stateful_step_count=steps,
            phases=phases,
            database=None,
            deadline=None,
            derandomize=False,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        try:
            run_state_machine_as_test(seed(seeded + begun)(telling), settings=chosen)
        except Discrepancy as found:
            return _shortened(driver, found, policy) if shrink else found
        except FlakyFailure as flaky:
            # Where the clock is shared, a story may depend on the day it began on: the last one that showed it counts.
            found_once = [each for each in flaky.exceptions if isinstance(each, Discrepancy)]
            if not found_once:
                raise
            return found_once[-1]
    return None
