"""The desk: what one act sees while it is decided, and where it leaves what must be written with its events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid5

from ledger.aggregates.card import Card
from ledger.aggregates.fact import Aggregate
from ledger.aggregates.member import Member
from ledger.calendar import business_day
from ledger.instruction import Instruction
from ledger.refusals import NotFound, Refusal, RoleNotPermitted, SessionEnded
from ledger.remedies import SECOND_PERSON
from ledger.store.kept import KeptState
from ledger.terms import Terms

A = TypeVar("A", bound=Aggregate)


class GatheredStale(Exception):
    """What was read for the act before it was decided is no longer so: gather again."""


@dataclass(slots=True)
class Desk:
    """One act's view of its streams, at one business time, under one version of the terms.

    `streams` holds the aggregates of the streams that the act declared, brought up to date; a new one joins by `new`.
    """

    order: Instruction
    now: datetime
    terms: Terms
    streams: dict[UUID, Aggregate | None]
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    kept: list[KeptState] = field(default_factory=list)

    @property
    def today(self) -> date:
        return business_day(self.now)

    def card(self, card_id: UUID) -> Card:
        """The card; raises NotFound for an unknown one, and for a member's session for any card but its own."""
        caller = self.order.caller
        if caller.is_member and caller.card_id != card_id:
            raise NotFound
        card = self._known(Card, card_id)
        self._refuse_own(card.member_id)
        return card

    def member(self, member_id: UUID) -> Member:
        """The member; raises NotFound for an unknown one, and for a member's session for anybody else."""
        caller = self.order.caller
        if caller.is_member and caller.member_id != member_id:
            raise NotFound
        self._refuse_own(member_id)
        return self._known(Member, member_id)

    def new(self, kind: type[A], stream: UUID) -> A:
        """A stream that the act begins; the act declared its id."""
        assert stream in self.streams, "an undeclared stream would not be forgotten when the act fails"
        begun = kind.blank(stream).instructed_by(self.order.cause, self.now)
        self.streams[stream] = begun
        return begun

    def row(self, table: str, **values: Any) -> None:
        """Write a row of a vault or an index in the transaction of the act's events."""
        self.rows.append((table, values))

    def notify(self, about: Aggregate, kind: str, box: bytes | None = None, mail_id: UUID | None = None) -> None:
        """Write a mail to the member in the act's transaction; without a box it is a notice worded when it is sent."""
        member_id = about.member_id if isinstance(about, Card) else about.id
        mail_id = mail_id or uuid5(about.id, f"{kind}:{about.version}")
        self.row("outbox", mail_id=mail_id, member_id=member_id, kind=kind, box=box, written_at=self.now)

    def refuse_ended_session(self) -> None:
        """Raise SessionEnded when a fact ended the caller's session, in this batch or before it."""
        for stream, epoch in self.order.caller.epochs:
            aggregate = self.streams.get(stream)
            if aggregate is None or aggregate.epoch != epoch:
                raise SessionEnded

    def _refuse_own(self, member_id: UUID) -> None:
        """Nobody acts in a staff role on the own card: raise RoleNotPermitted."""
        caller = self.order.caller
        if not caller.is_member and caller.subject == str(member_id):
            raise RoleNotPermitted(remedy=SECOND_PERSON)

    def _known(self, kind: type[A], stream: UUID) -> A:
        aggregate = self.streams.get(stream)
        if not isinstance(aggregate, kind):
            raise NotFound
        return aggregate.instructed_by(self.order.cause, self.now)


Decision = Callable[[Desk], "dict[str, Any] | Refusal"]


@dataclass(slots=True)
class Act:
    """What the lane is given: the streams to bring up, and the decision.

    A decision returns the answer's body, or a Refusal whose facts must be committed (a wrong PIN); it raises a Refusal
    that leaves no fact. It may be called several times, on fresher state each time.
    """

    order: Instruction
    streams: tuple[UUID, ...]
    decide: Decision
