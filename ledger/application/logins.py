"""The two logins, and the sessions they open.

What must stay true: the lock is looked at before a secret is tested, the verdict is counted on the state it is recorded
on, and an unknown identifier costs and answers what an untouched known one does.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4, uuid5

from ledger import forms
from ledger.application.parts import Parts, refuse_in_outage
from ledger.instruction import Answer, Caller, Instruction
from ledger.lane import Desk
from ledger.refusals import BadCredentials, CardLocked, NotFound, Refusal
from ledger.remedies import RESET_PASSWORD
from ledger.store.directory import CardEntry
from ledger.store.sessions import new_session
from ledger.store.unknown_numbers import UnknownNumbers

_UNKNOWN = UUID("0f0bb2a2-58b5-5c41-a2c5-9e1b6a7d6a01")


class LoginActs(Parts):
    """Card number and PIN, or Web-ID and password: nothing else lets a member in."""

    unknown_numbers: UnknownNumbers

    async def refuse_during_outage(self, order: Instruction, scope: str) -> None:
        """Raise Maintenance inside an outage window of the terms."""
        await self._look(order, (), lambda desk: refuse_in_outage(desk, scope))

    async def log_in_by_card(self, order: Instruction, card_number: str, pin: str) -> Answer:
        """Open a session by card number and PIN."""
        await self.refuse_during_outage(order, "login")
        async with self._evenly(BadCredentials, CardLocked):
            entry = await self.directory.card_by_number(card_number)
            if entry is None:
                return await self._try_unknown_number(order, card_number)
            return await self._gathered(lambda: self._try_pin(order, entry, pin))

    async def _try_pin(self, order: Instruction, entry: CardEntry, pin: str) -> Answer:
        card_id, attempt_id = entry.card_id, uuid4()
        async with self.room.turn(card_id):
            await self._look(order, (card_id,), lambda desk: desk.card(card_id).refuse_if_locked())
            verifier = await self.directory.verifier(card_id, "pin")
            assert verifier is not None, "a card is issued with a PIN"
            right = await self.room.run(lambda: self.room.vault.matches(card_id, "pin", verifier, pin))

            def decide(desk: Desk) -> dict[str, Any] | Refusal:
                refusal = desk.card(card_id).decide_pin_attempt(
                    attempt_id=attempt_id, right=right, generation=verifier.generation, terms=desk.terms
                )
                return refusal or self._open_session(desk, entry.member_id, card_id, "card")

            return await self._execute(order, (card_id, entry.member_id), decide)

    async def _try_unknown_number(self, order: Instruction, card_number: str) -> Answer:
        """Answer as an untouched card would; nothing but the bounded table of such numbers grows."""
        index = self.directory.keys.index("card-number", card_number)
        async with self.room.turn(uuid5(_UNKNOWN, index.hex())):
            allowed = await self._pin_failures_allowed(order)
            if await self.unknown_numbers.failures(index) >= allowed:
                raise CardLocked
            await self.room.run(lambda: self.room.vault.decoy("pin"))
            failures = await self.unknown_numbers.count(index)
        if failures >= allowed:
            raise CardLocked
        told: dict[str, Any] = {"tries_left": allowed - failures} if order.caller.channel == "atm" else {}
        raise BadCredentials(**told)

    async def _pin_failures_allowed(self, order: Instruction) -> int:
        allowed: list[int] = []
        await self._look(order, (), lambda desk: allowed.append(desk.terms.lock.pin_max_failures))
        return allowed[-1]

    async def log_in_by_web(self, order: Instruction, web_id: str, password: str) -> Answer:
        """Open a session by Web-ID and password."""
        await self.refuse_during_outage(order, "login")
        async with self._evenly(BadCredentials):
            member_id = await self.directory.member_by_web_id(forms.web_id_key(web_id))
            if member_id is None:
                await self.room.run(lambda: self.room.vault.decoy("password"))
                raise BadCredentials(remedy=RESET_PASSWORD)
            return await self._gathered(lambda: self._try_password(order, member_id, password))

    async def _try_password(self, order: Instruction, member_id: UUID, password: str) -> Answer:
        attempt_id = uuid4()
        async with self.room.turn(member_id):
            await self._look(order, (member_id,), lambda desk: _refuse_web_bar(desk, member_id))
            verifier = await self.directory.verifier(member_id, "password")
            assert verifier is not None, "a Web-ID is registered with a password"
            right = await self.room.run(lambda: self.room.vault.matches(member_id, "password", verifier, password))
            card_id = await self.directory.latest_card(member_id)

            def decide(desk: Desk) -> dict[str, Any] | Refusal:
                access = desk.card(card_id).access if card_id is not None else None
                refusal = desk.member(member_id).decide_password_attempt(
                    attempt_id=attempt_id,
                    right=right,
                    generation=verifier.generation,
                    access=access,
                    terms=desk.terms,
                )
                return refusal or self._open_session(desk, member_id, card_id, "web")

            streams = (member_id,) if card_id is None else (member_id, card_id)
            return await self._execute(order, streams, decide)

    def _open_session(self, desk: Desk, member_id: UUID, card_id: UUID | None, route: str) -> dict[str, Any]:
        """The session's row, and the answer that tells its token once."""
        card = desk.card(card_id) if card_id is not None else None
        token, row = new_session(
            desk.now,
            member=(member_id, desk.member(member_id).epoch),
            card=(card.id, card.epoch) if card is not None else None,
            route=route,
            channel=desk.order.caller.channel,
        )
        desk.row("sessions", **row)
        restrictions = card.access.restrictions() if card is not None else []
        return {
            "token": token,
            "expires_at": row["ends"].isoformat().replace("+00:00", "Z"),
            "member_id": str(member_id),
            "card_id": str(card_id) if card_id is not None else None,
            "outcome": "ok-restricted" if restrictions else "ok",
            "restrictions": [{"code": each.code, "remedy": each.remedy.code} for each in restrictions],
        }

    async def list_sessions(self, caller: Caller) -> dict[str, Any]:
        """The caller's own open sessions."""
        assert caller.member_id is not None
        return {"data": await self.doorkeeper.open_sessions(caller.member_id)}

    async def end_session(self, order: Instruction, session_id: UUID | None) -> Answer:
        """End one of the caller's own sessions, the present one where none is named."""
        caller = order.caller
        assert caller.member_id is not None
        wanted = session_id or caller.session_id
        open_now = await self.doorkeeper.open_sessions(caller.member_id)
        if wanted not in [each["session_id"] for each in open_now]:
            raise NotFound

        def decide(desk: Desk) -> dict[str, Any]:
            desk.row("ended_sessions", session_id=wanted)
            return {}

        return await self._execute(order, (), decide)


def _refuse_web_bar(desk: Desk, member_id: UUID) -> None:
    member = desk.member(member_id)
    member.refuse_if_web_locked()
    member.refuse_if_waiting()
