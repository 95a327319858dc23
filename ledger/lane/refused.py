"""A declined act as a row beside the log, with the state that it saw.

What must stay true: the same refusal of the same caller on the same day and the same state is the same row, so that
whoever repeats it raises a count and fills nothing; and no row holds what a caller typed.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import msgspec

from ledger.aggregates.card import Card
from ledger.aggregates.member import Member
from ledger.aggregates.seen import seen_of_card, seen_of_member
from ledger.lane.desk import Desk
from ledger.refusals import ChannelNotPermitted, Maintenance, Refusal, RoleNotPermitted, SecondPersonRequired

_DECIDED_BUT_NOT_KEPT = (ChannelNotPermitted, Maintenance, RoleNotPermitted, SecondPersonRequired)
"""Refusals of the business that a repeated request is not given again from its key."""


def put_on_record(desk: Desk, refusal: Refusal) -> None:
    """Add the row; none where it was not the business that refused, or for nobody whom the caller may act for."""
    order = desk.order
    if not order.operation or not (refusal.stored or isinstance(refusal, _DECIDED_BUT_NOT_KEPT)):
        return
    card, member = _concerned(desk)
    member_id = card.member_id if card is not None else member.id if member is not None else None
    if member_id is None or (order.caller.is_member and order.caller.member_id != member_id):
        return
    card_id = card.id if card is not None else None
    desk.row("refused_acts", **_row(desk, refusal, card_id, member_id, _seen(card, member)))


def _concerned(desk: Desk) -> tuple[Card | None, Member | None]:
    known = [aggregate for aggregate in desk.streams.values() if aggregate is not None and aggregate.version]
    card = next((aggregate for aggregate in known if isinstance(aggregate, Card)), None)
    member = next((aggregate for aggregate in known if isinstance(aggregate, Member)), None)
    return card, member


def _seen(card: Card | None, member: Member | None) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    if card is not None:
        seen["card"] = seen_of_card(card)
    if member is not None:
        seen["member"] = seen_of_member(member)
    return seen


def _row(desk: Desk, refusal: Refusal, card_id: UUID | None, member_id: UUID, seen: dict[str, Any]) -> dict[str, Any]:
    cause, operation = desk.order.cause, desk.order.operation
    # Whatever differs in one of these is a row of its own; what is the same in all of them is counted.
    same = (desk.today, cause.actor, cause.role, cause.channel, operation, refusal.code, refusal.kept, card_id, seen)
    return {
        "refusal_id": uuid5(member_id, msgspec.json.encode(same, order="sorted").decode()),
        "card_id": card_id,
        "member_id": member_id,
        "operation": operation,
        "actor": cause.actor,
        "role": cause.role,
        "channel": cause.channel,
        "command_id": cause.command_id,
        "correlation_id": cause.correlation_id,
        "code": refusal.code,
        "remedy": refusal.remedy.code,
        "details": refusal.details,
        "seen": seen,
        "refused_at": desk.now,
    }
