"""The driver of the application: the whole ledger on a sandbox database, without HTTP.

What must stay true: it calls the acts of `Ledger` as the routes do, and reads by folding what the database holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, time, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

from ledger import forms, refusals
from ledger.aggregates.card import Card
from ledger.aggregates.fact import Cause
from ledger.aggregates.member import Member
from ledger.application import Ledger
from ledger.calendar import JST, ONE_DAY, business_day
from ledger.instruction import Answer, Caller, Instruction
from ledger.refusals import Refusal
from ledger.store.credentials import HashCost
from ledger.store.keys import Keyring
from ledger.terms import TermsBook
from ledger.testing import acts
from ledger.testing.acts import OK, Act, Opening, Outcome
from ledger.testing.driver import Seen
from ledger.testing.in_memory import seen
from ledger.testing.made_up import Secrets, profile

T = TypeVar("T")

NINE = time(9)
STALE = timedelta(minutes=16)


class OnPostgres:
    """A ledger that is open from `__enter__` to `__exit__`, on the database of a sandbox."""

    past_the_door = False
    time_is_free = False
    closes_days = False

    def __init__(self, dsn: str, keys: Keyring, terms: TermsBook | None = None) -> None:
        self._dsn, self._keys, self._terms = dsn, keys, terms or TermsBook.load()
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._ledger: Ledger = self._run(Ledger.open(self._dsn, self._keys, self._terms, cost=HashCost.for_tests()))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._ledger.close_down())
        self._runner.close()

    # The interface ----------------------------------------------------------------------------------------------------

    def begin(self, opening: Opening) -> datetime:
        """At nine o'clock of the next day: the clock is everybody's and does not go back."""
        self._secrets = Secrets()
        self._sessions: list[str] = []
        self._mails: list[str] = []
        self._stops: list[UUID] = []
        self._suspensions: list[UUID] = []
        self._advances: list[UUID] = []
        self._repayments: list[UUID] = []
        tomorrow = business_day(self._now()) + ONE_DAY
        starts = self._run(self._ledger.sandbox.move_clock(datetime.combine(tomorrow, NINE, JST)))
        name = f"t{uuid4().hex[:20]}"
        person = profile(name, interest_free=opening.interest_free, payout_account=opening.payout_account)
        ledger, counter = self._ledger, self._order("counter")
        self._member_id = UUID(self._run(ledger.enrol_member(counter, person)).body["member_id"])
        issue = (opening.credit_limit, opening.annual_rate_bps, opening.due_day)
        card = self._run(ledger.issue_card(counter, self._member_id, self._secrets.first_pin, *issue)).body
        self._card_id, self._number, self._web_id = UUID(card["card_id"]), card["card_number"], name
        self._secrets.has_card(self._number)
        password = self._secrets.first_password
        self._run(ledger.set_web_credentials(counter, self._member_id, name, password, None))
        return starts

    def perform(self, act: Act) -> Outcome:
        try:
            outcome: Outcome = getattr(self, act.word)(act)
        except Refusal as refusal:
            return Outcome(refusal.code, refusal.details)
        return outcome

    def see(self) -> Seen:
        return seen(self._card(), self._member(), self._now(), self._terms)

    def end(self) -> None:
        """What is read here was folded from the database at every step."""

    def fork(self) -> Self:
        raise NotImplementedError("a database goes on in one way")

    def script(self) -> str:
        return ""

    # Logging in -------------------------------------------------------------------------------------------------------

    def try_pin(self, act: acts.TryPin) -> Outcome:
        pin = self._secrets.pin(act.typed)
        if forms.holds_full_width(pin):  # told at the door of the service
            raise refusals.InputNotHalfWidth
        return self._let_in(self._ledger.log_in_by_card(self._anonymous(act.at), self._number, pin))

    def try_password(self, act: acts.TryPassword) -> Outcome:
        password = self._secrets.password(act.typed)
        return self._let_in(self._ledger.log_in_by_web(self._anonymous("web"), self._web_id, password))

    def _let_in(self, login: Coroutine[Any, Any, Answer]) -> Outcome:
        opened = self._run(login).body
        self._sessions.append(opened["token"])
        return Outcome("ok", {"outcome": opened["outcome"]})

    def use_session(self, act: acts.UseSession) -> Outcome:
        self._member_order(act.session)
        return OK

    # Secrets ----------------------------------------------------------------------------------------------------------

    def reset_pin(self, act: acts.ResetPin) -> Outcome:
        pin = self._secrets.new_pin(act.new)
        verified_at = self._now() - (STALE if act.document == "stale" else timedelta())
        kind = "diary" if act.document == "unknown" else "passport"
        self._run(self._ledger.reset_pin(self._order(act.by), self._card_id, pin, kind, verified_at))
        self._secrets.pin_is_set(pin)
        return OK

    def mail_reset(self, _: acts.MailReset) -> Outcome:
        self._run(self._ledger.send_password_reset_mail(self._order("counter"), self._member_id))
        tokens = [mail["token"] for mail in self._run(self._ledger.sandbox.outbox())
                  if mail["member_id"] == str(self._member_id) and "token" in mail]  # fmt: skip
        fresh = [token for token in tokens if token not in self._mails]
        self._mails += fresh
        return Outcome("ok", {"mailed": bool(fresh)})

    def complete_reset(self, act: acts.CompleteReset) -> Outcome:
        password = self._secrets.new_password(act.new)
        self._run(self._ledger.complete_password_reset(self._anonymous("web"), self._mails[act.mail], password))
        self._secrets.password_is_set()
        return OK

    # Stops and suspensions --------------------------------------------------------------------------------------------

    def stop_card(self, act: acts.StopCard) -> Outcome:
        answer = self._run(self._ledger.stop(self._order("credit"), self._card_id, act.reason))
        self._stops.append(UUID(answer.body["stop_id"]))
        return OK

    def request_lifting(self, act: acts.RequestLifting) -> Outcome:
        order, stop = self._order(act.by), self._stops[act.stop]
        self._run(self._ledger.request_lifting(order, self._card_id, stop, "check"))
        return OK

    def approve_lifting(self, act: acts.ApproveLifting) -> Outcome:
        self._run(self._ledger.approve_lifting(self._order(act.by), self._card_id, self._stops[act.stop]))
        return OK

    def suspend(self, act: acts.Suspend) -> Outcome:
        answer = self._run(self._ledger.suspend(self._order("credit"), self._card_id, act.reason))
        self._suspensions.append(UUID(answer.body["suspension_id"]))
        return OK

    def resume(self, act: acts.Resume) -> Outcome:
        order, suspension = self._order("credit"), self._suspensions[act.suspension]
        self._run(self._ledger.resume(order, self._card_id, suspension, "check"))
        return OK

    # Time -------------------------------------------------------------------------------------------------------------

    def wait(self, act: acts.Wait) -> Outcome:
        self._run(self._ledger.sandbox.move_clock(self._now() + timedelta(minutes=act.minutes)))
        return OK

    # Money ------------------------------------------------------------------------------------------------------------

    def draw(self, act: acts.Draw) -> Outcome:
        assert act.session is not None
        order = self._member_order(act.session)
        answer = self._run(self._ledger.draw_advance(order, self._card_id, act.amount, act.purpose))
        self._advances.append(UUID(answer.body["advance_id"]))
        return _advance(answer)

    def confirm(self, act: acts.Confirm) -> Outcome:
        order, advance = self._order("service"), self._advances[act.advance]
        return _advance(self._run(self._ledger.confirm_advance(order, self._card_id, advance, None)))

    def fail(self, act: acts.Fail) -> Outcome:
        order, advance = self._order("service"), self._advances[act.advance]
        return _advance(self._run(self._ledger.fail_advance(order, self._card_id, advance)))

    def reverse_advance(self, act: acts.ReverseAdvance) -> Outcome:
        order, advance = self._order("service"), self._advances[act.advance]
        return _advance(self._run(self._ledger.reverse_advance(order, self._card_id, advance)))

    def repay(self, act: acts.Repay) -> Outcome:
        role = {"atm": "atm", "counter": "counter"}.get(act.method, "service")
        order = self._order(role) if act.session is None else self._member_order(act.session)
        body = self._run(self._ledger.repay(order, self._card_id, act.amount, act.method, None)).body
        self._repayments.append(UUID(body["repayment_id"]))
        told = ("allocation", "principal_after", "instalment", "next_due")
        return Outcome("ok", {name: body[name] for name in told})

    def reverse_repayment(self, act: acts.ReverseRepayment) -> Outcome:
        order, repayment = self._order("service"), self._repayments[act.repayment]
        answer = self._run(self._ledger.reverse_repayment(order, self._card_id, repayment))
        return Outcome("ok", {"principal_after": answer.body["principal_after"]})

    # In between -------------------------------------------------------------------------------------------------------

    def _run(self, act: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(act)

    def _now(self) -> datetime:
        return self._run(self._ledger.sandbox.now())

    def _order(self, subject: str) -> Instruction:
        role = "credit" if subject == "second-credit" else subject
        return _instruction(Caller(subject=subject, role=role, channel=role))

    def _anonymous(self, channel: str) -> Instruction:
        return _instruction(Caller(subject="anonymous", role="anonymous", channel=channel))

    def _member_order(self, session: int) -> Instruction:
        """An order of the session's member; raises SessionEnded."""
        caller = self._run(self._ledger.doorkeeper.caller(self._sessions[session]))
        assert caller is not None, "the token was a session's"
        return _instruction(caller)

    def _card(self) -> Card:
        card: object = self._ledger.repository.get(self._card_id)
        assert isinstance(card, Card)
        return card

    def _member(self) -> Member:
        member: object = self._ledger.repository.get(self._member_id)
        assert isinstance(member, Member)
        return member


def _instruction(caller: Caller) -> Instruction:
    cause = Cause(actor=caller.subject, role=caller.role, channel=caller.channel, command_id=uuid4(),
                  correlation_id="testing")  # fmt: skip
    return Instruction(caller=caller, cause=cause)


def _advance(answer: Answer) -> Outcome:
    return Outcome("ok", {name: answer.body[name] for name in ("state", "available_credit")})
