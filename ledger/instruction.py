"""What reaches the ledger with an act: who calls, under which idempotency key; and what goes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ledger.aggregates.fact import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who was let in: a member by a session, or a subject in one role by a token.

    `channel` follows from the caller and never from a request body. `epochs` are the (subject, epoch) pairs that the
    session was opened under: an act of the session is refused if one of them moved since.
    """

    subject: str
    role: str
    channel: str
    member_id: UUID | None = None
    card_id: UUID | None = None
    session_id: UUID | None = None
    route: str | None = None
    session_age_seconds: int | None = None
    epochs: tuple[tuple[UUID, int], ...] = ()

    @property
    def is_member(self) -> bool:
        return self.role == "member"


ANONYMOUS = Caller(subject="anonymous", role="anonymous", channel="web")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """The caller's key for one act; `fingerprint` is an HMAC over method, path and raw body."""

    subject: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One act as it was asked for.

    `operation` names what was asked for, where a refusal of it goes on record; it is empty for a login, which has facts
    of its own, and for what nobody outside asked for.
    """

    caller: Caller
    cause: Cause
    key: IdempotencyKey | None = None
    operation: str = ""

    @property
    def keyless(self) -> Instruction:
        """The same caller and cause for an act whose answer is nobody's to repeat."""
        return Instruction(caller=self.caller, cause=self.cause)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an act answers once it is committed: the position of its last event and a body of plain JSON values."""

    position: int
    body: dict[str, Any] = field(default_factory=dict)
    replayed: bool = False
