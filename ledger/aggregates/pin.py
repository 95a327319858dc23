"""PIN attempts, the lock and the new PIN of a card.

What must stay true: an attempt is counted only on the state it is recorded on; of any number of guesses at one time no
more than the limits of the terms are answered; and only a new PIN, set in person on a document, ends a lock. Verifying
is done elsewhere: what comes in here is a verdict, never a PIN.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ledger import refusals
from ledger.aggregates.access import CardAccess, VerdictStale, to_be_noted
from ledger.aggregates.fact import Fact
from ledger.refusals import Refusal
from ledger.terms import Terms

PIN_RESET_CHANNELS: Final = ("counter", "contract-machine")
IDENTITY_DOCUMENTS: Final = ("driving-licence", "passport", "my-number-card", "residence-card")


class LoginSucceeded(Fact, topic="card.login-succeeded"):
    """The right PIN of this generation, on a card that could be used."""

    attempt_id: UUID
    generation: int

    def evolve(self, card: CardPin, at: datetime) -> None:
        card.access.consecutive = 0


class LoginFailed(Fact, topic="card.login-failed"):
    """A wrong PIN, with the three counters as they stand with it."""

    attempt_id: UUID
    generation: int
    consecutive: int
    in_window: int
    in_generation: int
    terms_version: str

    def evolve(self, card: CardPin, at: datetime) -> None:
        access = card.access
        access.consecutive = self.consecutive
        access.in_generation = self.in_generation
        access.recent = (*access.recent, at)[-self.in_window :]


class LoginRefused(Fact, topic="card.login-refused"):
    """The right PIN on a card that cannot be used; `code` is what was answered."""

    attempt_id: UUID
    code: str

    def evolve(self, card: CardPin, at: datetime) -> None:
        card.access.refusal_noted_at = at


class CardLocked(Fact, topic="card.card-locked"):
    """`limit` is the one that was reached: `consecutive`, `window` or `generation`."""

    ends_sessions = True
    notice = "card-locked"

    limit: str
    generation: int
    terms_version: str

    def evolve(self, card: CardPin, at: datetime) -> None:
        card.access.locked_since = at


class PinReset(Fact, topic="card.pin-reset"):
    """A new PIN was set in person; stops and suspensions stay as they are."""

    ends_sessions = True
    notice = "pin-reset"

    generation: int
    document_kind: str
    document_verified_at: datetime
    terms_version: str

    def evolve(self, card: CardPin, at: datetime) -> None:
        access = card.access
        access.generation = self.generation
        access.consecutive, access.recent, access.in_generation = 0, (), 0
        access.locked_since = None


class CardPin(CardAccess):
    """The part of a card that counts PIN attempts."""

    def decide_pin_attempt(self, *, attempt_id: UUID, right: bool, generation: int, terms: Terms) -> Refusal | None:
        """Decide on the verdict of a hash made for `generation`; None lets the member in.

        A refusal is returned, not raised, since its facts must be committed with it.
        """
        if self.access.locked:
            return refusals.CardLocked()
        if generation != self.access.generation:
            raise VerdictStale
        if not right:
            return self._count_failure(attempt_id, terms)
        bar = self.access.login_bar()
        if bar is None:
            self.record(LoginSucceeded(attempt_id=attempt_id, generation=generation))
        elif to_be_noted(self.access.refusal_noted_at, self.at):
            self.record(LoginRefused(attempt_id=attempt_id, code=bar.code))
        return bar

    def _count_failure(self, attempt_id: UUID, terms: Terms) -> Refusal:
        access = self.access
        window_begins = self.at - timedelta(days=terms.lock.pin_window_days)
        self.record(
            LoginFailed(
                attempt_id=attempt_id,
                generation=access.generation,
                consecutive=access.consecutive + 1,
                in_window=1 + sum(failed_at > window_begins for failed_at in access.recent),
                in_generation=access.in_generation + 1,
                terms_version=terms.version,
            )
        )
        left = self._tries_left(terms)
        limit = next((name for name, tries in left.items() if tries <= 0), None)
        if limit is not None:
            self.record(CardLocked(limit=limit, generation=access.generation, terms_version=terms.version))
            return refusals.CardLocked()
        if self.cause.channel == "atm":
            return refusals.BadCredentials(tries_left=min(left.values()))
        return refusals.BadCredentials()

    def _tries_left(self, terms: Terms) -> dict[str, int]:
        access, lock = self.access, terms.lock
        return {
            "consecutive": lock.pin_max_failures - access.consecutive,
            "window": lock.pin_window_failures - len(access.recent),
            "generation": lock.pin_generation_failures - access.in_generation,
        }

    def reset_pin(self, *, document_kind: str, verified_at: datetime, refused: bool, terms: Terms) -> int:
        """Set a new PIN in person, locked or not, stopped or not; returns the generation to keep its verifier under.

        `refused` is the finding on the new PIN itself: common, near to the member, or the present one.
        """
        if self.cause.channel not in PIN_RESET_CHANNELS:
            raise refusals.ChannelNotPermitted
        self.refuse_if_closed()
        oldest = self.at - timedelta(minutes=terms.pin_document_max_age_minutes)
        if document_kind not in IDENTITY_DOCUMENTS or not oldest <= verified_at <= self.at:
            raise refusals.DocumentRefused
        if refused:
            raise refusals.PinRefused
        generation = self.access.generation + 1
        self.record(
            PinReset(
                generation=generation,
                document_kind=document_kind,
                document_verified_at=verified_at,
                terms_version=terms.version,
            )
        )
        return generation
