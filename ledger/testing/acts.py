"""What can be done to one member with one card, in the words of the domain, and how it is answered.

What must stay true: an act is plain data and means the same to every driver and to the model. Secrets are named by what
they are ("right", "wrong", "old"), things that earlier acts made by their number in the order in which they were made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from ledger.money import Yen

Typed = str
"""`right`; `wrong`: never a secret of this member; `old`: the one before the present one; a PIN also `full-width`."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a member with a card begins. `starts` counts only where the driver can choose its own time."""

    starts: datetime
    credit_limit: Yen = Yen(500_000)
    annual_rate_bps: int = 1780
    due_day: int | str = 5
    interest_free: bool = False
    payout_account: bool = True

    def __str__(self) -> str:
        extras = ["interest-free"] * self.interest_free + ["no payout account"] * (not self.payout_account)
        told = [f"a card of {self.credit_limit} yen at {self.annual_rate_bps} bp, due day {self.due_day}", *extras]
        return ", ".join(told) + f", from {self.starts.isoformat()}"


@dataclass(frozen=True, slots=True)
class Act:
    """One step of a story."""

    @property
    def word(self) -> str:
        """The act's name as drivers and model name their methods: `TryPin` is `try_pin`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()

    def __str__(self) -> str:
        told = ", ".join(str(getattr(self, each.name)) for each in fields(self))
        return f"{self.word.replace('_', ' ')}" + (f" ({told})" if told else "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to an act: `ok`, or the code of the refusal, and some of its fields.

    An expected outcome may name several codes (`a|b`) and tells only the fields that it is sure of.
    """

    code: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def agrees_with(self, answered: Outcome) -> bool:
        """Whether an answer is what this outcome expects."""
        told = all(answered.fields.get(name) == value for name, value in self.fields.items())
        return answered.code in self.code.split("|") and told

    def __str__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.fields.items())
        return f"{self.code} ({told})" if told else self.code


OK = Outcome("ok")


# Logging in and out ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TryPin(Act):
    """Log in by card number and PIN, at `web`, `app` or `atm`."""

    typed: Typed
    at: str = "web"


@dataclass(frozen=True, slots=True)
class TryPassword(Act):
    """Log in by Web-ID and password."""

    typed: Typed


@dataclass(frozen=True, slots=True)
class UseSession(Act):
    """Do something harmless in a session."""

    session: int


# Secrets --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResetPin(Act):
    """Set `another` PIN, the `present` one or a `common` one, on a `fresh`, `stale` or `unknown` document."""

    by: str = "counter"
    new: str = "another"
    document: str = "fresh"


@dataclass(frozen=True, slots=True)
class MailReset(Act):
    """Let a mail with a password reset token go out."""


@dataclass(frozen=True, slots=True)
class CompleteReset(Act):
    """Spend the token of a mail on `another` password or a `common` one."""

    mail: int
    new: str = "another"


# Stops and suspensions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StopCard(Act):
    reason: str


@dataclass(frozen=True, slots=True)
class RequestLifting(Act):
    """Ask to lift a stop, as `credit` or `second-credit`."""

    stop: int
    by: str = "credit"


@dataclass(frozen=True, slots=True)
class ApproveLifting(Act):
    stop: int
    by: str = "second-credit"


@dataclass(frozen=True, slots=True)
class Suspend(Act):
    reason: str


@dataclass(frozen=True, slots=True)
class Resume(Act):
    suspension: int


# Time -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wait(Act):
    minutes: int


@dataclass(frozen=True, slots=True)
class CloseDay(Act):
    """Close every business day before the present one."""


# Money ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draw(Act):
    """Draw an advance in a session; without one: past the door, which only a driver of aggregates can do."""

    amount: int
    purpose: str = "transfer"
    session: int | None = None


@dataclass(frozen=True, slots=True)
class Confirm(Act):
    advance: int


@dataclass(frozen=True, slots=True)
class Fail(Act):
    advance: int


@dataclass(frozen=True, slots=True)
class ReverseAdvance(Act):
    advance: int


@dataclass(frozen=True, slots=True)
class Repay(Act):
    """Money comes in; `internet` in a session of the member, every other method without one."""

    amount: int
    method: str = "bank-transfer"
    session: int | None = None


@dataclass(frozen=True, slots=True)
class ReverseRepayment(Act):
    repayment: int
