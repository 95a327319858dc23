"""Acts on a card itself: issue, a new PIN, suspensions, stops and closing."""

from __future__ import annotations

import secrets
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from ledger import forms
from ledger.aggregates import limits
from ledger.aggregates.card import Card
from ledger.aggregates.member import Member
from ledger.application.parts import Parts, require_fresh
from ledger.instruction import Answer, Instruction
from ledger.lane import Desk, GatheredStale
from ledger.money import Yen
from ledger.refusals import CardExists, IncomeProofRequired, InputRefused, NotFound, RoleNotPermitted
from ledger.store.directory import CARD_NUMBER, PERSONAL, Personal

ANYBODYS_STOP_REASONS = ("lost", "stolen")


class CardActs(Parts):
    """What is done to a card by members, staff and machines."""

    async def issue_card(
        self,
        order: Instruction,
        member_id: UUID,
        pin: str,
        credit_limit: int,
        annual_rate_bps: int,
        due_day: int | str,
    ) -> Answer:
        """Issue the member's one card; the answer alone tells its number."""
        stored = await self._stored(order)
        answer = stored or await self._gathered(
            lambda: self._issue_card(order, member_id, pin, credit_limit, annual_rate_bps, due_day)
        )
        if not answer.replayed:
            return answer
        number = await self.directory.sealed(member_id, UUID(answer.body["card_id"]), CARD_NUMBER)
        return Answer(answer.position, {**answer.body, "card_number": number}, replayed=True)

    async def _issue_card(
        self,
        order: Instruction,
        member_id: UUID,
        pin: str,
        credit_limit: int,
        annual_rate_bps: int,
        due_day: int | str,
    ) -> Answer:
        # Drawn anew for each attempt: a number may turn out to be another card's.
        card_id, number = uuid4(), _draw_number(pin)
        personal = await self._personal(member_id)
        earlier = await self.directory.cards(member_id)
        row = await self.room.run(lambda: self.room.vault.row(card_id, "pin", 1, pin))

        def decide(desk: Desk) -> dict[str, Any]:
            member = desk.member(member_id)
            require_fresh(member, personal)
            if any(not closed for _, closed in earlier):
                raise CardExists
            means = means_of(member, personal, desk.today)
            limits.check_credit(credit_limit, annual_rate_bps, means=means, on=desk.today, terms=desk.terms)
            desk.new(Card, card_id).issue(
                member_id=member_id,
                number_last4=number[-4:],
                credit_limit=Yen(credit_limit),
                annual_rate_bps=annual_rate_bps,
                due_day=due_day,
                interest_free=member.web_statements and not earlier,
                pin_refused=_too_near(pin, personal, number),
                terms=desk.terms,
            )
            desk.row("credentials", **row)
            index = self.directory.keys.index("card-number", number)
            desk.row("cards", card_id=card_id, member_id=member_id, number_index=index, closed=False)
            desk.row("personal_boxes", **personal.key.row(card_id, 1, CARD_NUMBER, number))
            return {"card_id": str(card_id)}

        answer = await self._execute(order, (member_id, card_id), decide)
        return answer if answer.replayed else Answer(answer.position, {**answer.body, "card_number": number})

    async def reset_pin(
        self, order: Instruction, card_id: UUID, new_pin: str, document_kind: str, verified_at: datetime
    ) -> Answer:
        """Set a new PIN in person; ends a PIN lock and nothing else."""
        stored = await self._stored(order)
        return stored or await self._gathered(
            lambda: self._reset_pin(order, card_id, new_pin, document_kind, verified_at)
        )

    async def _reset_pin(
        self, order: Instruction, card_id: UUID, new_pin: str, document_kind: str, verified_at: datetime
    ) -> Answer:
        entry = await self.directory.card(card_id)
        present = await self.directory.verifier(card_id, "pin")
        if entry is None or present is None:
            raise NotFound
        personal = await self._personal(entry.member_id)
        number = await self.directory.sealed(entry.member_id, card_id, CARD_NUMBER)
        same = await self.room.run(lambda: self.room.vault.matches(card_id, "pin", present, new_pin))
        generation = present.generation + 1
        row = await self.room.run(lambda: self.room.vault.row(card_id, "pin", generation, new_pin))

        def decide(desk: Desk) -> dict[str, Any]:
            card = desk.card(card_id)
            if card.access.generation != present.generation:
                raise GatheredStale
            card.reset_pin(
                document_kind=document_kind,
                verified_at=verified_at,
                refused=same or _too_near(new_pin, personal, number),
                terms=desk.terms,
            )
            desk.row("credentials", **row)
            return {"card_id": str(card_id)}

        return await self._execute(order, (card_id,), decide)

    async def suspend(self, order: Instruction, card_id: UUID, reason: str) -> Answer:
        """Suspend borrowing."""

        def decide(desk: Desk) -> dict[str, Any]:
            return {"suspension_id": str(desk.card(card_id).suspend(reason))}

        return await self._execute(order, (card_id,), decide)

    async def resume(self, order: Instruction, card_id: UUID, suspension_id: UUID, check_ref: str) -> Answer:
        """End a suspension on the strength of a check."""

        def decide(desk: Desk) -> dict[str, Any]:
            desk.card(card_id).resume(suspension_id, check_ref)
            return {"suspension_id": str(suspension_id)}

        return await self._execute(order, (card_id,), decide)

    async def stop(self, order: Instruction, card_id: UUID, reason: str) -> Answer:
        """Stop the card; for loss and theft anybody near the member may, otherwise only credit."""

        def decide(desk: Desk) -> dict[str, Any]:
            card = desk.card(card_id)
            if reason not in ANYBODYS_STOP_REASONS and order.caller.role != "credit":
                raise RoleNotPermitted
            return {"stop_id": str(card.stop(reason))}

        return await self._execute(order, (card_id,), decide)

    async def request_lifting(self, order: Instruction, card_id: UUID, stop_id: UUID, check_ref: str) -> Answer:
        """Ask that a stop be lifted."""

        def decide(desk: Desk) -> dict[str, Any]:
            desk.card(card_id).request_lifting(stop_id, check_ref)
            return {"stop_id": str(stop_id)}

        return await self._execute(order, (card_id,), decide)

    async def approve_lifting(self, order: Instruction, card_id: UUID, stop_id: UUID) -> Answer:
        """Lift a stop that somebody else asked to lift."""

        def decide(desk: Desk) -> dict[str, Any]:
            desk.card(card_id).approve_lifting(stop_id)
            return {"stop_id": str(stop_id)}

        return await self._execute(order, (card_id,), decide)

    async def close_card(self, order: Instruction, card_id: UUID) -> Answer:
        """End the agreement; its sessions end in the same commit, and a new card may be issued to the member."""
        entry = await self.directory.card(card_id)
        if entry is None:
            raise NotFound

        def decide(desk: Desk) -> dict[str, Any]:
            desk.card(card_id).close()
            desk.row("cards", card_id=card_id, member_id=entry.member_id, number_index=entry.number_index, closed=True)
            return {"card_id": str(card_id)}

        return await self._execute(order, (card_id,), decide)

    async def decide_limit_change(
        self, order: Instruction, member_id: UUID, request_id: UUID, approve: bool, limit: int | None, reason: str
    ) -> Answer:
        """Decide a member's request; an approval is the new limit of the member's card in the same commit."""
        return await self._gathered(
            lambda: self._decide_limit_change(order, member_id, request_id, approve, limit, reason)
        )

    async def _decide_limit_change(
        self, order: Instruction, member_id: UUID, request_id: UUID, approve: bool, limit: int | None, reason: str
    ) -> Answer:
        personal = await self._personal(member_id)
        card_id = await self.directory.latest_card(member_id)
        if card_id is None:
            raise NotFound

        def decide(desk: Desk) -> dict[str, Any]:
            member, card = desk.member(member_id), desk.card(card_id)
            require_fresh(member, personal)
            if not approve:
                version = member.decline_limit_change(request_id)
                given: Yen | None = None
            else:
                request = member.open_limit_request(request_id)
                wanted = Yen(limit) if limit is not None else request.requested_limit
                refuse_unaffordable(desk, member, card, personal, wanted)
                # The card first: it may still refuse, and a refusal must not follow a fact.
                card.change_limit(
                    wanted, annual_rate_bps=None, request_id=request_id, reason="requested", terms=desk.terms
                )
                given, version = member.approve_limit_change(request_id, wanted)
            desk.row("personal_boxes", **personal.key.row(member_id, version, "reason", reason))
            return {
                "request_id": str(request_id),
                "state": "approved" if approve else "declined",
                "credit_limit": given,
            }

        return await self._execute(order, (member_id, card_id), decide)

    async def confirm_workplace(self, order: Instruction, member_id: UUID) -> Answer:
        """Somebody made sure today that the member's workplace is the one on file; tells how long the proof is good."""
        personal = await self._personal(member_id)

        def decide(desk: Desk) -> dict[str, Any]:
            member = desk.member(member_id)
            if limits.proof_good_until(means_of(member, personal, desk.today), desk.terms) is None:
                raise IncomeProofRequired
            member.confirm_workplace()
            until = limits.proof_good_until(means_of(member, personal, desk.today), desk.terms)
            return {"confirmed_on": desk.today.isoformat(), "proof_good_until": until and until.isoformat()}

        return await self._execute(order, (member_id,), decide)

    async def record_credit_report(
        self, order: Instruction, member_id: UUID, others_balance: int, reported_on: date
    ) -> Answer:
        """Keep a report of the credit bureau; over the one-third base borrowing is suspended in the same commit."""
        return await self._gathered(lambda: self._record_credit_report(order, member_id, others_balance, reported_on))

    async def _record_credit_report(
        self, order: Instruction, member_id: UUID, others_balance: int, reported_on: date
    ) -> Answer:
        personal = await self._personal(member_id)
        card_id = await self.directory.latest_card(member_id)
        streams = (member_id,) if card_id is None else (member_id, card_id)

        def decide(desk: Desk) -> dict[str, Any]:
            _refuse_future(reported_on, desk.today, "/reported_on")
            member = desk.member(member_id)
            require_fresh(member, personal)
            version = member.report_credit(reported_on=reported_on)
            row = personal.key.row(member_id, version, PERSONAL, {"others_balance": others_balance})
            desk.row("personal_boxes", **row)
            suspended = False
            if card_id is not None and not desk.card(card_id).access.closed:
                card = desk.card(card_id)
                income = int(personal.facts["annual_income"])
                limit = card.account.credit_limit
                suspended = limits.over_one_third(limit, others_balance, income, desk.terms)
                if suspended:
                    card.suspend("over-one-third", rule=True)
            return {"member_id": str(member_id), "reported_on": reported_on.isoformat(), "suspended": suspended}

        return await self._execute(order, streams, decide)


def _draw_number(pin: str) -> str:
    """A card number that does not contain the PIN."""
    while True:
        number = "9" + "".join(secrets.choice("0123456789") for _ in range(15))
        if pin not in number:
            return number


def _too_near(pin: str, personal: Personal, number: str | None) -> bool:
    facts = personal.facts
    return forms.pin_refused(
        pin, birth_date=date.fromisoformat(facts["birth_date"]), phone=facts["phone"], card_number=number
    )


def _refuse_future(day: date, today: date, pointer: str) -> None:
    if day > today:
        raise InputRefused(errors=[{"pointer": pointer, "code": "range"}])


def means_of(member: Member, personal: Personal, today: date) -> limits.Means:
    """What is known of the member's ability to repay."""
    facts = personal.facts
    return limits.Means(
        annual_income=int(facts["annual_income"]),
        others_balance=int(facts.get("others_balance", 0)),
        age=forms.age(date.fromisoformat(facts["birth_date"]), today),
        proof_issued_on=member.income_proof_issued_on,
        workplace_changed_on=member.workplace_changed_on,
        workplace_confirmed_on=member.workplace_confirmed_on,
    )


def refuse_unaffordable(desk: Desk, member: Member, card: Card, personal: Personal, wanted: Yen) -> None:
    """Refuse a raise that the member's means do not allow; a cut is always possible."""
    if wanted > card.account.credit_limit:
        rate = min(card.account.standing.annual_rate_bps, desk.terms.limit.rate_cap(wanted))
        means = means_of(member, personal, desk.today)
        limits.check_credit(wanted, rate, means=means, on=desk.today, terms=desk.terms)
