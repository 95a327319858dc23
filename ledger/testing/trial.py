"""A trial: a driver and the model, told the same act by act, until they disagree.

What must stay true: a discrepancy tells everything that is needed to see it again, and no secret of a real person.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import fields, replace

from ledger.faults import EnvironmentFault
from ledger.testing.acts import Act, Opening, Outcome
from ledger.testing.driver import Driver, Seen
from ledger.testing.model import Model
from ledger.testing.policy import Policy


class Discrepancy(Exception):
    """What is tested answered otherwise than the model; `story` and `script` lead there."""

    def __init__(self, what: str, opening: Opening, story: tuple[Act, ...], script: str) -> None:
        super().__init__(what)
        self.what = what
        self.opening = opening
        self.story = story
        self.script = script

    def __str__(self) -> str:
        told = [f"{number:3}. {act}" for number, act in enumerate(self.story, 1)]
        return "\n".join([self.what, f"     {self.opening}", *told])


class Trial:
    """One story on a driver, watched by a model."""

    def __init__(self, driver: Driver, opening: Opening, policy: Policy | None = None) -> None:
        self.driver = driver
        self.opening = replace(opening, starts=driver.begin(opening))
        self.story: list[Act] = []
        self.model = Model(self.opening, self.opening.starts, policy or Policy())
        self.compare()

    def tell(self, act: Act) -> Outcome | None:
        """Perform the act on both and compare; None for an act that speaks of something that is not there."""
        if not self.model.knows(act):
            return None
        self.story.append(act)
        expected = self.model.perform(act)
        try:
            answered = self.driver.perform(act)
        except EnvironmentFault:
            raise
        except Exception as fault:
            raise self._discrepancy(f"expected {expected}, but it broke: {fault!r}") from fault
        if not expected.agrees_with(answered):
            raise self._discrepancy(f"expected {expected}, answered {answered}")
        self.compare()
        return answered

    def tell_all(self, story: Iterable[Act]) -> None:
        for act in story:
            self.tell(act)

    def fork(self) -> Trial:
        """The same trial, to go on with in another way; only where the driver can be forked."""
        branch = copy(self)
        branch.driver, branch.story = self.driver.fork(), list(self.story)
        branch.model = pickle.loads(pickle.dumps(self.model, pickle.HIGHEST_PROTOCOL))  # noqa: S301 - our own bytes
        return branch

    def compare(self) -> None:
        """What can be read must be what the model expects."""
        try:
            seen = self.driver.see()
        except EnvironmentFault:
            raise
        except Exception as fault:
            raise self._discrepancy(f"it could not be read: {fault!r}") from fault
        differences = list(_differences(self.model.see(), seen))
        if differences:
            raise self._discrepancy("; ".join(differences))

    def end(self) -> None:
        """Close the story; what is tested must not contradict itself."""
        try:
            self.driver.end()
        except AssertionError as fault:
            raise self._discrepancy(f"it contradicts itself: {fault}") from fault

    def _discrepancy(self, what: str) -> Discrepancy:
        script = self.driver.script()
        return Discrepancy(what, self.opening, tuple(self.story), f"{script}# {what}\n" if script else "")


def _differences(expected: Seen, seen: Seen) -> Iterator[str]:
    for each in fields(Seen):
        wanted, found = getattr(expected, each.name), getattr(seen, each.name)
        if wanted != found:
            yield f"{each.name}: expected {wanted}, read {found}"
