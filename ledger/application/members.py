"""Acts on a member: enrolment, profile, web credentials and the mailed password reset."""

from __future__ import annotations

import secrets
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from ledger import forms
from ledger.aggregates import limits
from ledger.aggregates.limit_requests import policy_for
from ledger.aggregates.member import CHANGEABLE_FIELDS, PAYOUT_ACCOUNT, PROFILE_FIELDS, Member
from ledger.application.mails import notice, password_mail
from ledger.application.parts import Parts, require_fresh
from ledger.instruction import Answer, Instruction
from ledger.lane import Desk, GatheredStale
from ledger.money import Yen
from ledger.refusals import (
    BadCredentials,
    ChannelNotPermitted,
    InputRefused,
    PasswordRefused,
    Refusal,
    ResetTokenSpent,
)
from ledger.remedies import PROVE_IDENTITY_AGAIN, RESET_PASSWORD
from ledger.store.credentials import Verifier
from ledger.store.directory import PERSONAL, WEB_ID, Personal
from ledger.store.tokens import hash_of

FRESH_SESSION_SECONDS = 300


class MemberActs(Parts):
    """What is done for and by a member, apart from the card."""

    async def enrol_member(self, order: Instruction, profile: dict[str, Any]) -> Answer:
        """Take a person on; `profile` holds the fields of `POST /v1/members`, of the right form already."""
        member_id = uuid4()
        key, key_row = self.directory.vault.new_key(member_id)
        email_index = self.directory.keys.index("email", profile["email"].lower())

        def decide(desk: Desk) -> dict[str, Any]:
            if (code := forms.birth_date(profile["birth_date"], desk.today)) is not None:
                raise InputRefused(errors=[{"pointer": "/birth_date", "code": code}])
            member = desk.new(Member, member_id)
            version = member.enrol(web_statements=profile["web_statements"])
            facts = {name: profile[name] for name in PROFILE_FIELDS}
            desk.row("member_keys", **key_row)
            desk.row("personal_boxes", **key.row(member_id, version, PERSONAL, facts))
            desk.row("email_index", member_id=member_id, email_index=email_index)
            if profile.get(PAYOUT_ACCOUNT):
                version = member.register_payout_account()
                content = {PAYOUT_ACCOUNT: profile[PAYOUT_ACCOUNT]}
                desk.row("personal_boxes", **key.row(member_id, version, PERSONAL, content))
            return {"member_id": str(member_id)}

        return await self._execute(order, (member_id,), decide)

    async def change_profile(self, order: Instruction, member_id: UUID, changes: dict[str, Any]) -> Answer:
        """Change any of email, phone, address, workplace and payout account."""
        return await self._gathered(lambda: self._change_profile(order, member_id, changes))

    async def _change_profile(self, order: Instruction, member_id: UUID, changes: dict[str, Any]) -> Answer:
        personal = await self._personal(member_id)
        account = changes.get(PAYOUT_ACCOUNT)
        fields = {name: value for name, value in changes.items() if name in CHANGEABLE_FIELDS}

        def decide(desk: Desk) -> dict[str, Any]:
            member = desk.member(member_id)
            if "email" in fields:  # the address that hears of its going is the present one
                require_fresh(member, personal)
            if fields:
                version = member.change_profile(tuple(sorted(fields)))
                desk.row("personal_boxes", **personal.key.row(member_id, version, PERSONAL, fields))
            if "email" in fields:
                index = self.directory.keys.index("email", fields["email"].lower())
                desk.row("email_index", member_id=member_id, email_index=index)
                # A token that lies in a mailbox which is no longer the member's opens nothing.
                desk.row("spent_reset_tokens", member_id=member_id)
                for address in (personal.facts["email"], fields["email"]):
                    mail_id = uuid4()
                    box = personal.key.seal(mail_id, 0, "mail", notice("email-changed", address))
                    desk.notify(member, "email-changed", box, mail_id)
            if account is not None:
                version = member.register_payout_account()
                row = personal.key.row(member_id, version, PERSONAL, {PAYOUT_ACCOUNT: account})
                desk.row("personal_boxes", **row)
            return {"member_id": str(member_id), "changed": sorted(changes)}

        return await self._execute(order, (member_id,), decide)

    async def set_web_credentials(
        self, order: Instruction, member_id: UUID, web_id: str, password: str, present_password: str | None
    ) -> Answer:
        """Register or replace the Web-ID and its password.

        A member proves the present password, unless the session is a fresh one of the card route; a wrong one counts as
        at the login. One act decides both, so that what was done under a key neither counts nor changes again.
        """
        if (stored := await self._stored(order)) is not None:
            return stored
        caller = order.caller
        fresh = caller.route == "card" and (caller.session_age_seconds or 0) < FRESH_SESSION_SECONDS
        must_prove = caller.is_member and not fresh
        if must_prove and present_password is None:
            raise ChannelNotPermitted(remedy=PROVE_IDENTITY_AGAIN)
        proof = present_password if must_prove else None
        return await self._gathered(
            lambda: self._set_web_credentials(order, member_id, forms.web_id_key(web_id), password, proof)
        )

    async def _set_web_credentials(
        self, order: Instruction, member_id: UUID, web_id: str, password: str, proof: str | None
    ) -> Answer:
        refused = forms.password_refused(password, web_id)
        async with self.room.turn(member_id):
            await self._look(order, (member_id,), lambda desk: _refuse_if_barred(desk, member_id, proof))
            personal = await self._personal(member_id)
            present = await self.directory.verifier(member_id, "password")
            if proof is not None and present is None:
                raise BadCredentials(remedy=RESET_PASSWORD)
            before = present.generation if present is not None else 0
            right = proof is None or (present is not None and await self._matches(member_id, present, proof))
            row = await self.room.run(lambda: self.room.vault.row(member_id, "password", before + 1, password))
            attempt_id = uuid4()

            def decide(desk: Desk) -> dict[str, Any] | Refusal:
                member = _refuse_if_barred(desk, member_id, proof)
                if refused:
                    raise PasswordRefused
                if member.web.generation != before:
                    raise GatheredStale
                refusal = (
                    member.decide_password_attempt(
                        attempt_id=attempt_id, right=right, generation=before, access=None, terms=desk.terms
                    )
                    if proof is not None
                    else None
                )
                if refusal is not None:
                    return refusal
                member.register_web_id(refused=refused)
                desk.row("credentials", **row)
                desk.row("web_ids", web_id_index=self.directory.keys.index("web-id", web_id), member_id=member_id)
                desk.row("spent_reset_tokens", member_id=member_id)
                desk.row("personal_boxes", **personal.key.row(member_id, member.version, WEB_ID, web_id))
                return {"member_id": str(member_id)}

            return await self._execute(order, (member_id,), decide)

    async def _matches(self, member_id: UUID, verifier: Verifier, password: str) -> bool:
        return await self.room.run(lambda: self.room.vault.matches(member_id, "password", verifier, password))

    async def request_password_reset(self, order: Instruction, email: str, birth_date: date) -> Answer:
        """Mail a reset token where e-mail and birth date belong to one member; the answer never tells."""
        async with self._evenly():
            for member_id in await self.directory.members_by_email(email):
                personal = await self.directory.personal(member_id)
                if personal is not None and personal.facts["birth_date"] == birth_date.isoformat():
                    await self._mail_reset(order, member_id, personal)
        return Answer(0, {})

    async def send_password_reset_mail(self, order: Instruction, member_id: UUID) -> Answer:
        """Mail a reset token to the registered address, which is neither told nor changed."""
        return await self._mail_reset(order, member_id, await self._personal(member_id))

    async def _mail_reset(self, order: Instruction, member_id: UUID, personal: Personal) -> Answer:
        web_id = await self.directory.sealed(member_id, member_id, WEB_ID)
        token, mail_id = secrets.token_urlsafe(32), uuid4()
        mail = password_mail(personal.facts["email"], web_id or "", token)

        def decide(desk: Desk) -> dict[str, Any]:
            reset_id = desk.member(member_id).request_password_reset(terms=desk.terms)
            if reset_id is not None:
                expires = desk.member(member_id).web.resets[reset_id]
                desk.row("spent_reset_tokens", member_id=member_id)
                desk.row(
                    "reset_tokens", token_hash=hash_of(token), member_id=member_id, reset_id=reset_id, expires=expires
                )
                box = personal.key.seal(mail_id, 0, "mail", mail)
                desk.notify(desk.member(member_id), "password-reset", box, mail_id)
            return {}

        return await self._execute(order, (member_id,), decide)

    async def complete_password_reset(self, order: Instruction, token: str, new_password: str) -> Answer:
        """Spend a mailed token on a new password."""
        return await self._gathered(lambda: self._complete_password_reset(order, token, new_password))

    async def _complete_password_reset(self, order: Instruction, token: str, new_password: str) -> Answer:
        reset = await self.directory.reset_by_token(hash_of(token))
        verifier = await self.directory.verifier(reset[0], "password") if reset else None
        if reset is None or verifier is None:
            raise ResetTokenSpent
        member_id, reset_id = reset
        web_id = await self.directory.sealed(member_id, member_id, WEB_ID)
        refused = forms.password_refused(new_password, web_id or "")
        generation = verifier.generation + 1
        row = await self.room.run(lambda: self.room.vault.row(member_id, "password", generation, new_password))

        def decide(desk: Desk) -> dict[str, Any]:
            member = desk.member(member_id)
            if member.web.generation != verifier.generation:
                raise GatheredStale
            member.reset_password(reset_id=reset_id, refused=refused)
            desk.row("credentials", **row)
            desk.row("spent_reset_tokens", member_id=member_id, token_hash=hash_of(token))
            return {}

        return await self._execute(order, (member_id,), decide)

    async def request_limit_change(self, order: Instruction, member_id: UUID, requested_limit: int) -> Answer:
        """Ask for another credit limit; a person decides it, or a policy in the same commit."""
        personal = await self._personal(member_id)
        card_id = await self.directory.latest_card(member_id)
        wanted = Yen(requested_limit)

        def decide(desk: Desk) -> dict[str, Any]:
            limits.check_limit(wanted, desk.terms)
            member = desk.member(member_id)
            card = desk.card(card_id) if card_id is not None else None
            policy = None
            if card is not None and not card.access.closed:
                policy = policy_for(wanted, card.account.credit_limit, desk.terms)
            request_id = member.request_limit_change(wanted)
            if card is None or policy is None:
                return {"request_id": str(request_id), "state": "requested"}
            card.change_limit(
                wanted, annual_rate_bps=None, request_id=request_id, reason=policy.rule, terms=desk.terms
            )
            _, version = member.approve_limit_change(request_id, policy=policy)
            desk.row("personal_boxes", **personal.key.row(member_id, version, "reason", policy.rule))
            return {"request_id": str(request_id), "state": "approved", "credit_limit": wanted}

        return await self._execute(order, (member_id,) if card_id is None else (member_id, card_id), decide)

    async def record_income_proof(
        self, order: Instruction, member_id: UUID, annual_income: int, issued_on: date
    ) -> Answer:
        """Keep a proof of income; it counts as the member's income from now on."""
        return await self._gathered(lambda: self._record_income_proof(order, member_id, annual_income, issued_on))

    async def _record_income_proof(
        self, order: Instruction, member_id: UUID, annual_income: int, issued_on: date
    ) -> Answer:
        personal = await self._personal(member_id)

        def decide(desk: Desk) -> dict[str, Any]:
            if issued_on > desk.today:
                raise InputRefused(errors=[{"pointer": "/issued_on", "code": "range"}])
            member = desk.member(member_id)
            require_fresh(member, personal)
            version = member.receive_income_proof(issued_on=issued_on)
            content = {"annual_income": annual_income}
            desk.row("personal_boxes", **personal.key.row(member_id, version, PERSONAL, content))
            return {"member_id": str(member_id), "issued_on": issued_on.isoformat()}

        return await self._execute(order, (member_id,), decide)


def _refuse_if_barred(desk: Desk, member_id: UUID, proof: str | None) -> Member:
    """The member, unless a password is to be proved and none may be tried at all."""
    member = desk.member(member_id)
    if proof is not None:
        member.refuse_if_web_locked()
        member.refuse_if_waiting()
    return member
