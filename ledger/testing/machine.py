"""The rule-based state machine: random lives of a member with a card, on any driver, watched by the model.

What must stay true: a rule only chooses acts. What they must be answered is the model's to say, and every counter that
is long has a rule of its own, since chance does not get there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from ledger.testing.access_rules import AccessRules
from ledger.testing.account_rules import AccountRules
from ledger.testing.acts import Opening
from ledger.testing.driver import Driver
from ledger.testing.policy import Policy
from ledger.testing.strategies import amounts, openings
from ledger.testing.telling import Telling
from ledger.testing.trial import Trial


class AccessLife(AccessRules):
    """Logins, secrets, sessions, stops and suspensions of a member who owes nothing."""

    @initialize(opening=openings())
    def begin(self, opening: Opening) -> None:
        self.trial = Trial(self.driver, opening, self.policy)


class AccountLife(AccountRules):
    """Advances, repayments and lateness of a member who is let in."""

    @initialize(opening=openings(), loan=st.none() | amounts(100_000))
    def begin(self, opening: Opening, loan: int | None) -> None:
        self.trial = Trial(self.driver, opening, self.policy)
        if loan is not None:
            self.borrow(loan)


class WholeLife(AccountLife, AccessRules):
    """All of it together."""


LIVES: Final[dict[str, type[Telling]]] = {"whole": WholeLife, "account": AccountLife, "access": AccessLife}


def machine(
    driver: Driver, policy: Policy | None = None, *, life: str = "whole", told: Callable[[], None] | None = None
) -> type[Telling]:
    """The machine on one driver: give it to `run_state_machine_as_test`, or use its `TestCase`.

    `told` is called at the end of every life.
    """
    chosen = LIVES[life]
    names = {"driver": driver, "policy": policy or Policy(), "told": staticmethod(told) if told else None}
    return type(chosen.__name__, (chosen,), names)
