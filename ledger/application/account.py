"""Acts on a card's revolving account: advances, repayments, refunds."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import msgspec

from ledger.aggregates.advances import AdvanceAnswer
from ledger.application.parts import Parts, refuse_in_outage
from ledger.instruction import Answer, Instruction
from ledger.lane import Desk
from ledger.money import Yen
from ledger.refusals import ChannelNotPermitted, ValueDateRefused

METHODS_OF_ROLE = {
    "member": ("internet",),
    "counter": ("counter",),
    "contract-machine": ("atm",),
    "atm": ("atm",),
    "service": ("internet", "bank-transfer", "direct-debit"),
}


class AccountActs(Parts):
    """Money that is lent and money that comes back."""

    async def draw_advance(self, order: Instruction, card_id: UUID, amount: int, purpose: str) -> Answer:
        """Reserve an advance for the member; cash only in a session that an ATM opened."""
        caller = order.caller
        if caller.member_id is None:
            raise ChannelNotPermitted
        member_id = caller.member_id

        def decide(desk: Desk) -> dict[str, Any]:
            card = desk.card(card_id)
            if purpose == "cash" and caller.channel != "atm":
                raise ChannelNotPermitted
            refuse_in_outage(desk, "advance")
            reserved = card.reserve_advance(
                Yen(amount),
                purpose,
                channel=caller.channel,
                payout_account=desk.member(member_id).has_payout_account,
                terms=desk.terms,
            )
            return _advance(reserved)

        return await self._execute(order, (card_id, member_id), decide)

    async def confirm_advance(
        self, order: Instruction, card_id: UUID, advance_id: UUID, value_date: date | None
    ) -> Answer:
        """The money has left: the advance is principal from its value date."""

        def decide(desk: Desk) -> dict[str, Any]:
            return _advance(desk.card(card_id).confirm_advance(advance_id, value_date=value_date, terms=desk.terms))

        return await self._execute(order, (card_id,), decide)

    async def fail_advance(self, order: Instruction, card_id: UUID, advance_id: UUID) -> Answer:
        """The money did not leave: the credit is available again."""

        def decide(desk: Desk) -> dict[str, Any]:
            return _advance(desk.card(card_id).fail_advance(advance_id))

        return await self._execute(order, (card_id,), decide)

    async def reverse_advance(self, order: Instruction, card_id: UUID, advance_id: UUID) -> Answer:
        """The money came back: as if it had never been lent."""

        def decide(desk: Desk) -> dict[str, Any]:
            return _advance(desk.card(card_id).reverse_advance(advance_id, desk.terms))

        return await self._execute(order, (card_id,), decide)

    async def repay(
        self, order: Instruction, card_id: UUID, amount: int, method: str, value_date: date | None
    ) -> Answer:
        """Take money in and allocate it in the agreed order."""

        def decide(desk: Desk) -> dict[str, Any]:
            card = desk.card(card_id)
            if method not in METHODS_OF_ROLE.get(order.caller.role, ()):
                raise ChannelNotPermitted
            # A member who could date a payment back would choose the interest owed.
            if order.caller.is_member and value_date not in (None, desk.today):
                raise ValueDateRefused
            made = card.repay(
                Yen(amount),
                method=method,
                by_member=order.caller.is_member,
                value_date=value_date,
                terms=desk.terms,
            )
            return {
                "repayment_id": str(made.repayment_id),
                "allocation": msgspec.to_builtins(made.allocation),
                "principal_after": made.principal_after,
                "instalment": made.instalment,
                "next_due": made.next_due and made.next_due.isoformat(),
            }

        return await self._execute(order, (card_id,), decide)

    async def reverse_repayment(self, order: Instruction, card_id: UUID, repayment_id: UUID) -> Answer:
        """The money was not there, or not this member's: undo the repayment by a fact of its own."""

        def decide(desk: Desk) -> dict[str, Any]:
            reversed_ = desk.card(card_id).reverse_repayment(repayment_id, desk.terms)
            return {"repayment_id": str(repayment_id), "principal_after": reversed_.principal_after}

        return await self._execute(order, (card_id,), decide)

    async def send_refund(self, order: Instruction, card_id: UUID, amount: int, value_date: date | None) -> Answer:
        """Money that was kept for the member has been sent back to the registered account."""

        def decide(desk: Desk) -> dict[str, Any]:
            sent = desk.card(card_id).send_refund(Yen(amount), value_date=value_date, terms=desk.terms)
            return {
                "refund_id": str(sent.refund_id),
                "amount": sent.amount,
                "value_date": sent.value_date.isoformat(),
                "customer_credit": sent.customer_credit,
            }

        return await self._execute(order, (card_id,), decide)


def _advance(answer: AdvanceAnswer) -> dict[str, Any]:
    body = {
        "advance_id": str(answer.advance_id),
        "state": answer.state,
        "amount": answer.amount,
        "fee": answer.fee,
        "available_credit": answer.available_credit,
    }
    if answer.value_date is not None:
        body["value_date"] = answer.value_date.isoformat()
    return body
