"""What every life has: a driver, the policy expected, and the telling of acts.

What must stay true: a session that ends by an act is tried at once, whatever the act was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from ledger.testing import acts
from ledger.testing.acts import Act
from ledger.testing.driver import Driver
from ledger.testing.model import Model
from ledger.testing.policy import Policy
from ledger.testing.trial import Trial

NUMBERS: Final = st.integers(0, 5)
SURFACES: Final = st.sampled_from(["web", "app", "atm"])


def has(things: Callable[[Model], Sequence[object]]) -> Callable[[Any], bool]:
    """Whether there are such things yet."""
    return lambda life: life.trial is not None and bool(things(life.trial.model))


def driver_can(name: str) -> Callable[[Any], bool]:
    return lambda life: bool(getattr(life.driver, name))


class Telling(RuleBasedStateMachine):
    """One member with one card."""

    driver: Driver
    policy: Policy = Policy()
    told: Callable[[], None] | None = None
    trial: Trial = None  # type: ignore[assignment]  # there is one from the first rule on

    @property
    def model(self) -> Model:
        return self.trial.model

    def tell(self, *story: Act) -> None:
        for act in story:
            sessions = self.model.access.sessions
            good = [number for number, session in enumerate(sessions) if session.alive]
            self.trial.tell(act)
            if good and not sessions[good[-1]].alive:
                self.trial.tell(acts.UseSession(good[-1]))

    def settle(self) -> None:
        """Pay all that is owed."""
        owed = self.owed()
        if owed:
            self.tell(acts.Repay(owed, "counter"))

    def owed(self) -> int:
        seen = self.model.see()
        return seen.principal + seen.interest + seen.late_damages

    def teardown(self) -> None:
        if self.told is not None:
            self.told()
        if self.trial is not None:
            self.trial.end()

    def newest_session(self, number: int) -> int:
        """A session by its number, counted from the newest one."""
        sessions = len(self.model.access.sessions)
        return sessions - 1 - number % sessions

    def newest_advance(self, number: int) -> int:
        advances = len(self.model.advances)
        return advances - 1 - number % advances
