"""Who may use a card: PIN lock, stops, suspensions and closing, as four facets that never stand in for one another.

What must stay true: one function says what bars a login and one what bars borrowing; the refusals, the answer of a
login and the lockout view all ask these two and cannot disagree. Nothing here ends by the passing of time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ledger import refusals, remedies
from ledger.aggregates.fact import Aggregate, Fact
from ledger.refusals import Refusal
from ledger.remedies import Remedy

SUSPENSION_REMEDIES: Final[dict[str, Remedy]] = {
    "over-one-third": remedies.REDUCE_TOTAL,
    "income-proof-missing": remedies.SUBMIT_INCOME_PROOF,
    "late": remedies.REPAY_ARREARS,
    "unreachable": remedies.CALL_CENTRE,
    "self-exclusion": remedies.CALL_CENTRE,
    "own-wish": remedies.CALL_CENTRE,
}
"""Every reason of a suspension, with what the member can do about it."""

CREDIT_REASONS: Final = frozenset({"others-loans", "repeated-lateness", "false-statement", "bankruptcy"})
"""The reasons of a stop that its member does not read."""

STOP_REASONS: Final = CREDIT_REASONS | {"lost", "stolen", "fraud", "death", "contract-ended"}


REFUSED_LOGIN_NOTED_EVERY: Final = timedelta(hours=1)
"""A right secret on a stopped card is put on record, but nobody can fill the log with it."""


class VerdictStale(Exception):
    """The secret was replaced while it was being tested: test again, against the verifier of now."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A standing stop; `by_rule` if no person set it."""

    reason: str
    since: datetime
    by_rule: bool
    lifting_requested_by: str | None = None


@dataclass(frozen=True, slots=True)
class Suspension:
    """A standing suspension of borrowing; `by_rule` if no person set it."""

    reason: str
    since: datetime
    by_rule: bool


@dataclass(slots=True)
class Access:
    """What the facts of a card say about its use. Plain values only: a read model stores it as JSON.

    `consecutive`, `recent` (the failures inside the window) and `in_generation` count wrong PINs; `generation` counts
    the PINs the card has had. Ended ids are kept so that `already-ended` can be told from an unknown id.
    """

    generation: int = 0
    consecutive: int = 0
    recent: tuple[datetime, ...] = ()
    in_generation: int = 0
    locked_since: datetime | None = None
    closed_since: datetime | None = None
    refusal_noted_at: datetime | None = None
    stops: dict[UUID, Stop] = field(default_factory=dict)
    suspensions: dict[UUID, Suspension] = field(default_factory=dict)
    ended_stops: tuple[UUID, ...] = ()
    ended_suspensions: tuple[UUID, ...] = ()

    @property
    def locked(self) -> bool:
        return self.locked_since is not None

    @property
    def closed(self) -> bool:
        return self.closed_since is not None

    def login_bar(self, *, lock_counts: bool = True) -> Refusal | None:
        """What a right secret runs into. `lock_counts` is False on the web where the terms let a PIN lock pass."""
        if self.locked and lock_counts:
            return refusals.CardLocked()
        if self.stops or self.closed:
            return refusals.CardStopped()
        return None

    def borrowing_bar(self) -> Refusal | None:
        """What an advance runs into: first a stop or closing, then the lock, then a suspension."""
        if self.closed:
            return refusals.CardClosed()
        if self.stops:
            return refusals.CardStopped()
        if self.locked:
            return refusals.CardLocked()
        return next(iter(self.restrictions()), None)

    def restrictions(self) -> list[Refusal]:
        """What a member who was let in may not do: one refusal for each different remedy, the oldest first."""
        by_remedy = {SUSPENSION_REMEDIES[each.reason]: each for each in self.suspensions.values()}
        return [refusals.BorrowingSuspended(remedy=remedy) for remedy in by_remedy]


# Facts ----------------------------------------------------------------------------------------------------------------


class BorrowingSuspended(Fact, topic="card.borrowing-suspended"):
    suspension_id: UUID
    reason: str
    by_rule: bool

    def evolve(self, card: CardAccess, at: datetime) -> None:
        card.access.suspensions[self.suspension_id] = Suspension(self.reason, at, self.by_rule)


class BorrowingResumed(Fact, topic="card.borrowing-resumed"):
    """`check_ref` names the check that Act 13-3 asks for; None where a rule ended what a rule had begun."""

    suspension_id: UUID
    reason: str
    by_rule: bool
    check_ref: str | None

    def evolve(self, card: CardAccess, at: datetime) -> None:
        del card.access.suspensions[self.suspension_id]
        card.access.ended_suspensions += (self.suspension_id,)


class CardStopped(Fact, topic="card.card-stopped"):
    ends_sessions = True

    stop_id: UUID
    reason: str
    by_rule: bool

    def evolve(self, card: CardAccess, at: datetime) -> None:
        card.access.stops[self.stop_id] = Stop(self.reason, at, self.by_rule)


class StopLiftingRequested(Fact, topic="card.stop-lifting-requested"):
    """`requested_by` is the subject who may not approve it."""

    stop_id: UUID
    check_ref: str
    requested_by: str

    def evolve(self, card: CardAccess, at: datetime) -> None:
        stop = card.access.stops[self.stop_id]
        card.access.stops[self.stop_id] = Stop(stop.reason, stop.since, stop.by_rule, self.requested_by)


class StopLifted(Fact, topic="card.stop-lifted"):
    stop_id: UUID
    reason: str

    def evolve(self, card: CardAccess, at: datetime) -> None:
        del card.access.stops[self.stop_id]
        card.access.ended_stops += (self.stop_id,)


# Acts -----------------------------------------------------------------------------------------------------------------


class CardAccess(Aggregate):
    """The part of a card that says who may use it."""

    access: Access

    def begin(self) -> None:
        self.access = Access()

    @property
    def borrowing_barred(self) -> bool:
        return self.access.borrowing_bar() is not None

    def refuse_if_locked(self) -> None:
        if self.access.locked:
            raise refusals.CardLocked

    def refuse_if_closed(self) -> None:
        if self.access.closed:
            raise refusals.CardClosed

    def refuse_if_barred_from_borrowing(self) -> None:
        bar = self.access.borrowing_bar()
        if bar is not None:
            raise bar

    def suspend(self, reason: str, *, rule: bool = False) -> UUID:
        """Suspend borrowing. A rule that finds its own suspension standing leaves it and records nothing."""
        assert reason in SUSPENSION_REMEDIES, reason
        standing = _standing_by_rule(self.access.suspensions, reason) if rule else None
        if standing is not None:
            return standing
        if not rule:
            self.refuse_if_closed()
        suspension_id = self.new_id("suspension")
        self.record(BorrowingSuspended(suspension_id=suspension_id, reason=reason, by_rule=rule))
        return suspension_id

    def resume(self, suspension_id: UUID, check_ref: str) -> None:
        """End one suspension by a person, on the strength of a check."""
        suspension = self.access.suspensions.get(suspension_id)
        if suspension is None:
            raise _ended_or_unknown(suspension_id, self.access.ended_suspensions)
        self._resume(suspension_id, suspension, by_rule=False, check_ref=check_ref)

    def resume_by_rule(self, reason: str) -> None:
        """End every suspension that a rule began for this reason; those a person set stay."""
        for suspension_id, suspension in tuple(self.access.suspensions.items()):
            if suspension.by_rule and suspension.reason == reason:
                self._resume(suspension_id, suspension, by_rule=True, check_ref=None)

    def _resume(self, suspension_id: UUID, suspension: Suspension, *, by_rule: bool, check_ref: str | None) -> None:
        self.record(
            BorrowingResumed(
                suspension_id=suspension_id, reason=suspension.reason, by_rule=by_rule, check_ref=check_ref
            )
        )

    def stop(self, reason: str, *, rule: bool = False) -> UUID:
        """Stop the card. A rule that finds its own stop standing leaves it and records nothing."""
        assert reason in STOP_REASONS, reason
        standing = _standing_by_rule(self.access.stops, reason) if rule else None
        if standing is not None:
            return standing
        if not rule:
            self.refuse_if_closed()
        stop_id = self.new_id("stop")
        self.record(CardStopped(stop_id=stop_id, reason=reason, by_rule=rule))
        return stop_id

    def request_lifting(self, stop_id: UUID, check_ref: str) -> None:
        """Ask that a stop be lifted; a later request takes the place of an earlier one."""
        self._standing_stop(stop_id)
        self.record(StopLiftingRequested(stop_id=stop_id, check_ref=check_ref, requested_by=self.cause.actor))

    def approve_lifting(self, stop_id: UUID) -> None:
        """Lift a stop that another person asked to lift. A PIN lock is not touched by it."""
        stop = self._standing_stop(stop_id)
        if stop.lifting_requested_by is None:
            raise refusals.LiftingNotRequested
        if stop.lifting_requested_by == self.cause.actor:
            raise refusals.SecondPersonRequired
        self.record(StopLifted(stop_id=stop_id, reason=stop.reason))

    def _standing_stop(self, stop_id: UUID) -> Stop:
        stop = self.access.stops.get(stop_id)
        if stop is None:
            raise _ended_or_unknown(stop_id, self.access.ended_stops)
        return stop


def _standing_by_rule(standing: dict[UUID, Stop] | dict[UUID, Suspension], reason: str) -> UUID | None:
    return next((key for key, each in standing.items() if each.by_rule and each.reason == reason), None)


def _ended_or_unknown(asked_for: UUID, ended: tuple[UUID, ...]) -> Refusal:
    return refusals.AlreadyEnded() if asked_for in ended else refusals.NotFound()


def to_be_noted(last_noted_at: datetime | None, at: datetime) -> bool:
    """Whether a refused login with the right secret is to be put on record again."""
    return last_noted_at is None or at - last_noted_at >= REFUSED_LOGIN_NOTED_EVERY
