"""The driver of aggregates: a card and its member in memory, with the little that the store adds to them.

What must stay true: every decision is the aggregates' own. Here are only a clock, the verifiers by generation, and the
sessions with the epochs they were opened under, as `store/sessions.py` keeps them.
"""

from __future__ import annotations

import pickle
from copy import copy
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID, uuid5

from ledger import forms, refusals
from ledger.aggregates.access import VerdictStale
from ledger.aggregates.advances import AdvanceAnswer
from ledger.aggregates.card import Card
from ledger.aggregates.fact import Aggregate, Cause, Event
from ledger.aggregates.member import Member
from ledger.calendar import ONE_DAY, business_day
from ledger.lockout import lockout
from ledger.money import Yen
from ledger.refusals import Refusal
from ledger.terms import Terms, TermsBook
from ledger.testing import acts
from ledger.testing.acts import OK, Act, Opening, Outcome
from ledger.testing.driver import Seen

A = TypeVar("A", bound=Aggregate)

IDLE: Final = timedelta(minutes=15)
ABSOLUTE: Final = timedelta(hours=12)
STALE: Final = timedelta(minutes=16)
CARD, MEMBER = UUID(int=1), UUID(int=2)
FORKED: Final = ("_card", "_member", "_sessions", "_mails", "_stops", "_suspensions", "_advances", "_repayments")
FULL_WIDTH_PIN: Final = "３７４９"


@dataclass(slots=True)
class _Session:
    channel: str
    idle_until: datetime
    ends: datetime
    epochs: tuple[int, int]


@dataclass(slots=True)
class InMemory:
    """`terms` are those of the policy that is tested; the shipped ones unless given. `folds` is whether a life ends
    with its facts folded again: without it, only answers and reads can tell a fault."""

    terms: TermsBook = field(default_factory=TermsBook.load)
    folds: bool = True
    past_the_door: bool = True
    time_is_free: bool = True
    closes_days: bool = True
    now: datetime = field(init=False)
    _card: Card = field(init=False)
    _member: Member = field(init=False)
    _pin_generation: int = 0
    _password_generation: int = 0
    _attempts: int = 0
    _sessions: list[_Session] = field(default_factory=list)
    _mails: list[UUID] = field(default_factory=list)
    _good_mail: int | None = None
    _stops: list[UUID] = field(default_factory=list)
    _suspensions: list[UUID] = field(default_factory=list)
    _advances: list[UUID] = field(default_factory=list)
    _repayments: list[UUID] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)

    # The interface ----------------------------------------------------------------------------------------------------

    def begin(self, opening: Opening) -> datetime:
        self.__init__(self.terms, self.folds)  # type: ignore[misc]  # another member: nothing of the last one stays
        self.now = opening.starts
        self._card, self._member = Card.blank(CARD), Member.blank(MEMBER)
        member = self._by(self._member, "counter")
        member.enrol(web_statements=opening.interest_free)
        if opening.payout_account:
            member.register_payout_account()
        self._password_generation = member.register_web_id(refused=False)
        self._pin_generation = self._by(self._card, "counter").issue(
            member_id=MEMBER,
            number_last4="0000",
            credit_limit=opening.credit_limit,
            annual_rate_bps=opening.annual_rate_bps,
            due_day=opening.due_day,
            interest_free=opening.interest_free,
            pin_refused=False,
            terms=self._terms,
        )
        self._collect()
        return self.now

    def perform(self, act: Act) -> Outcome:
        try:
            outcome: Outcome = getattr(self, act.word)(act)
        except Refusal as refusal:
            assert not self._collect(), "a refusal that was raised left a fact"
            return _refused(refusal)
        self._collect()
        return outcome

    def see(self) -> Seen:
        return seen(self._card, self._member, self.now, self.terms)

    def end(self) -> None:
        """The facts alone make the same card and the same member."""
        if not self.folds:
            return
        folded: dict[UUID, Aggregate] = {}
        for event in self._events:
            folded[event.originator_id] = event.mutate(folded.get(event.originator_id))
        card, member = folded[CARD], folded[MEMBER]
        assert isinstance(card, Card)
        assert isinstance(member, Member)
        assert (card.access, card.account, card.epoch) == (self._card.access, self._card.account, self._card.epoch)
        assert (member.web, member.epoch) == (self._member.web, self._member.epoch)

    def script(self) -> str:
        return ""

    def fork(self) -> InMemory:
        fork = copy(self)
        mutable = tuple(getattr(self, name) for name in FORKED)
        copies = pickle.loads(pickle.dumps(mutable, pickle.HIGHEST_PROTOCOL))  # noqa: S301 - our own bytes
        for name, value in zip(FORKED, copies, strict=True):
            setattr(fork, name, value)
        fork._events = list(self._events)
        return fork

    # Logging in -------------------------------------------------------------------------------------------------------

    def try_pin(self, act: acts.TryPin) -> Outcome:
        if act.typed == "full-width" and forms.pin(FULL_WIDTH_PIN) is not None:
            raise refusals.InputNotHalfWidth
        card, present = self._by(self._card, act.at), self._pin_generation
        for right, generation in _verdicts(act.typed, present):
            try:
                refusal = card.decide_pin_attempt(
                    attempt_id=self._attempt_id(), right=right, generation=generation, terms=self._terms
                )
            except VerdictStale:
                continue
            return _refused(refusal) if refusal else self._let_in(act.at)
        raise AssertionError("a verdict on the present PIN is stale")

    def try_password(self, act: acts.TryPassword) -> Outcome:
        member, present = self._by(self._member, "web"), self._password_generation
        for right, generation in _verdicts(act.typed, present):
            try:
                refusal = member.decide_password_attempt(
                    attempt_id=self._attempt_id(),
                    right=right,
                    generation=generation,
                    access=self._card.access,
                    terms=self._terms,
                )
            except VerdictStale:
                continue
            return _refused(refusal) if refusal else self._let_in("web")
        raise AssertionError("a verdict on the present password is stale")

    def _let_in(self, channel: str) -> Outcome:
        epochs = (self._member.epoch, self._card.epoch)
        self._sessions.append(_Session(channel, self.now + IDLE, self.now + ABSOLUTE, epochs))
        return Outcome("ok", {"outcome": "ok-restricted" if self._card.access.restrictions() else "ok"})

    def use_session(self, act: acts.UseSession) -> Outcome:
        self._enter(act.session)
        return OK

    def _enter(self, number: int) -> _Session:
        session = self._sessions[number]
        fresh = self.now < session.idle_until and self.now < session.ends
        if not fresh or session.epochs != (self._member.epoch, self._card.epoch):
            raise refusals.SessionEnded
        session.idle_until = self.now + IDLE
        return session

    # Secrets ----------------------------------------------------------------------------------------------------------

    def reset_pin(self, act: acts.ResetPin) -> Outcome:
        self._pin_generation = self._by(self._card, act.by).reset_pin(
            document_kind="diary" if act.document == "unknown" else "passport",
            verified_at=self.now - (STALE if act.document == "stale" else timedelta()),
            refused=act.new != "another",
            terms=self._terms,
        )
        return OK

    def mail_reset(self, _: acts.MailReset) -> Outcome:
        reset_id = self._by(self._member, "counter").request_password_reset(terms=self._terms)
        if reset_id is not None:
            self._good_mail = len(self._mails)
            self._mails.append(reset_id)
        return Outcome("ok", {"mailed": reset_id is not None})

    def complete_reset(self, act: acts.CompleteReset) -> Outcome:
        if act.mail != self._good_mail:
            raise refusals.ResetTokenSpent
        self._password_generation = self._by(self._member, "web").reset_password(
            reset_id=self._mails[act.mail], refused=act.new != "another"
        )
        return OK

    # Stops and suspensions --------------------------------------------------------------------------------------------

    def stop_card(self, act: acts.StopCard) -> Outcome:
        self._stops.append(self._by(self._card, "credit").stop(act.reason))
        return OK

    def request_lifting(self, act: acts.RequestLifting) -> Outcome:
        self._by(self._card, act.by).request_lifting(self._stops[act.stop], "check")
        return OK

    def approve_lifting(self, act: acts.ApproveLifting) -> Outcome:
        self._by(self._card, act.by).approve_lifting(self._stops[act.stop])
        return OK

    def suspend(self, act: acts.Suspend) -> Outcome:
        self._suspensions.append(self._by(self._card, "credit").suspend(act.reason))
        return OK

    def resume(self, act: acts.Resume) -> Outcome:
        self._by(self._card, "credit").resume(self._suspensions[act.suspension], "check")
        return OK

    # Time -------------------------------------------------------------------------------------------------------------

    def wait(self, act: acts.Wait) -> Outcome:
        self.now += timedelta(minutes=act.minutes)
        return OK

    def close_day(self, _: acts.CloseDay) -> Outcome:
        self._by(self._card, "operator").close_day(self._today - ONE_DAY, self._terms)
        return OK

    # Money ------------------------------------------------------------------------------------------------------------

    def draw(self, act: acts.Draw) -> Outcome:
        channel = "atm" if act.session is None else self._enter(act.session).channel
        if act.purpose == "cash" and channel != "atm":
            raise refusals.ChannelNotPermitted
        answer = self._by(self._card, channel).reserve_advance(
            Yen(act.amount),
            act.purpose,
            channel=channel,
            payout_account=self._member.has_payout_account,
            terms=self._terms,
        )
        self._advances.append(answer.advance_id)
        return _advance(answer)

    def confirm(self, act: acts.Confirm) -> Outcome:
        card = self._by(self._card, "service")
        return _advance(card.confirm_advance(self._advances[act.advance], value_date=None, terms=self._terms))

    def fail(self, act: acts.Fail) -> Outcome:
        return _advance(self._by(self._card, "service").fail_advance(self._advances[act.advance]))

    def reverse_advance(self, act: acts.ReverseAdvance) -> Outcome:
        return _advance(self._by(self._card, "service").reverse_advance(self._advances[act.advance], self._terms))

    def repay(self, act: acts.Repay) -> Outcome:
        by_member = act.session is not None
        channel = "service" if act.session is None else self._enter(act.session).channel
        made = self._by(self._card, channel).repay(
            Yen(act.amount), method=act.method, by_member=by_member, value_date=None, terms=self._terms
        )
        self._repayments.append(made.repayment_id)
        told = {"allocation": asdict(made.allocation), "principal_after": made.principal_after}
        due = made.next_due.isoformat() if made.next_due else None
        return Outcome("ok", {**told, "instalment": made.instalment, "next_due": due})

    def reverse_repayment(self, act: acts.ReverseRepayment) -> Outcome:
        card = self._by(self._card, "service")
        reversed_ = card.reverse_repayment(self._repayments[act.repayment], self._terms)
        return Outcome("ok", {"principal_after": reversed_.principal_after})

    # In between -------------------------------------------------------------------------------------------------------

    @property
    def _today(self) -> date:
        return business_day(self.now)

    @property
    def _terms(self) -> Terms:
        return self.terms.at(self._today)

    def _attempt_id(self) -> UUID:
        self._attempts += 1
        return uuid5(CARD, f"attempt {self._attempts}")

    def _by(self, aggregate: A, subject: str) -> A:
        """The aggregate, with the next act done by this subject through the channel of the same name."""
        cause = Cause(actor=subject, role=subject, channel=subject, command_id=MEMBER, correlation_id="testing")
        return aggregate.instructed_by(cause, self.now)

    def _collect(self) -> list[Event]:
        """Take what the act recorded out of the aggregates, as the store does."""
        news: list[Event] = [*self._card.collect_events(), *self._member.collect_events()]  # type: ignore[list-item]
        self._events += news
        return news


def seen(card: Card, member: Member, now: datetime, book: TermsBook) -> Seen:
    """What is to be read of a card and its member, by the functions that the reads use."""
    today = business_day(now)
    figures = card.account.figures(today, book, card.borrowing_barred)
    view = lockout(card.access, member.web, at=now, terms=book.at(today), discreet=False)
    return Seen(
        principal=figures.principal,
        interest=figures.interest,
        late_damages=figures.late_damages,
        available_credit=figures.available_credit,
        customer_credit=figures.customer_credit,
        minimum_instalment=figures.minimum_instalment,
        next_due=figures.next_due,
        days_late=figures.days_late,
        can_log_in_card=view.can_log_in_card,
        can_log_in_web=view.can_log_in_web,
        can_borrow=view.can_borrow,
        pin_failures=view.pin_failures,
        web_failures=view.web_failures,
        locks=tuple(sorted(lock.code for lock in view.locks)),
    )


def _verdicts(typed: str, present: int) -> list[tuple[bool, int]]:
    """What the hashes say, and for which generation: on the old secret one was made before the new one was set."""
    return [(True, present - 1), (False, present)] if typed == "old" else [(typed == "right", present)]


def _refused(refusal: Refusal) -> Outcome:
    return Outcome(refusal.code, refusal.details)


def _advance(answer: AdvanceAnswer) -> Outcome:
    return Outcome("ok", {"state": answer.state, "available_credit": answer.available_credit})
