"""The acts behind recorded facts: which method of the aggregate decided them, and with which inputs.

What must stay true: the inputs are read from the facts and their cause alone. What an act asked of the outside (that a
PIN was right, that a payout account was there) is taken as it was answered, because the facts say that it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import singledispatch
from typing import Any, Final

from ledger import refusals
from ledger.aggregates import member, pin, web_login
from ledger.aggregates.access import (
    Access,
    BorrowingResumed,
    BorrowingSuspended,
    CardStopped,
    StopLifted,
    StopLiftingRequested,
)
from ledger.aggregates.advances import AdvanceConfirmed, AdvanceFailed, AdvanceReserved, AdvanceReversed
from ledger.aggregates.card import CardClosed, CardIssued, CardReissued
from ledger.aggregates.fact import Event, Fact
from ledger.aggregates.instalments import InstalmentMissed, InterestFreeEnded, InterestPosted
from ledger.aggregates.limits import LimitChanged, RateChanged
from ledger.aggregates.repayments import RefundSent, RepaymentMade, RepaymentReversed
from ledger.calendar import ONE_DAY, business_day
from ledger.terms import Terms, TermsBook

Act = Callable[[Any], object]
"""What is asked of the aggregate, which was instructed by the recorded cause at the recorded time."""

DAY_CLOSE: Final = "day-close:"
"""How the causation of a fact names the business day whose closing brought it about."""


JUDGES_FIRST: Final = (AdvanceConfirmed, RepaymentMade)
"""The facts of acts that judge the due dates before they are recorded."""


class TermsNotHere(Exception):
    """The facts name a version of the terms that this program does not have."""


def act_of(events: Sequence[Event], book: TermsBook) -> Act | None:
    """The act that decided the first of these facts of one command, None where they hold no decision of the stream."""
    for event in events:
        named = getattr(event.fact, "terms_version", None)
        if named is not None and all(named != terms.version for terms in book.versions):
            raise TermsNotHere
    first = events[0]
    terms = book.at(business_day(first.at))
    causation = first.cause.causation_id or ""
    if causation.startswith(DAY_CLOSE):
        return _closing(date.fromisoformat(causation.removeprefix(DAY_CLOSE)), book)
    if isinstance(first.fact, InterestFreeEnded | InterestPosted):
        return _closing(business_day(first.at) - ONE_DAY, book)
    if isinstance(first.fact, InstalmentMissed):
        # An act of money first judges the due dates that are over: the fact it is named for comes later.
        judging = next((event for event in events if isinstance(event.fact, JUDGES_FIRST)), None)
        if judging is None:
            return _closing(business_day(first.at) - ONE_DAY, book)
        first = judging
    return _act(first.fact, _Told(events, terms, by_member=first.cause.role == "member"))


def _closing(day: date, book: TermsBook) -> Act:
    return lambda card: card.close_day(day, book.at(day))


@dataclass(frozen=True, slots=True)
class _Told:
    """What an act was told beside the fields of the fact it is named for."""

    events: Sequence[Event]
    terms: Terms
    by_member: bool


@singledispatch
def _act(_fact: Fact, _told: _Told) -> Act | None:
    return None


# Money ----------------------------------------------------------------------------------------------------------------


@_act.register
def _(fact: AdvanceReserved, told: _Told) -> Act:
    return lambda card: card.reserve_advance(
        fact.amount, fact.purpose, channel=told.events[0].cause.channel, payout_account=True, terms=told.terms
    )


@_act.register
def _(fact: AdvanceConfirmed, told: _Told) -> Act:
    return lambda card: card.confirm_advance(fact.advance_id, value_date=fact.value_date, terms=told.terms)


@_act.register
def _(fact: AdvanceFailed, _told: _Told) -> Act:
    return lambda card: card.fail_advance(fact.advance_id)


@_act.register
def _(fact: AdvanceReversed, told: _Told) -> Act:
    return lambda card: card.reverse_advance(fact.advance_id, told.terms)


@_act.register
def _(fact: RepaymentMade, told: _Told) -> Act:
    return lambda card: card.repay(
        fact.amount, method=fact.method, by_member=told.by_member, value_date=fact.value_date, terms=told.terms
    )


@_act.register
def _(fact: RepaymentReversed, told: _Told) -> Act:
    return lambda card: card.reverse_repayment(fact.repayment_id, told.terms)


@_act.register
def _(fact: RefundSent, told: _Told) -> Act:
    return lambda card: card.send_refund(fact.amount, value_date=fact.value_date, terms=told.terms)


@_act.register
def _(fact: LimitChanged, told: _Told) -> Act:
    rate = next((event.fact.new_rate_bps for event in told.events if isinstance(event.fact, RateChanged)), None)
    return lambda card: card.change_limit(
        fact.new_limit, annual_rate_bps=rate, request_id=fact.request_id, reason=fact.reason, terms=told.terms
    )


# Access ---------------------------------------------------------------------------------------------------------------


@_act.register
def _(fact: CardIssued, told: _Told) -> Act:
    return lambda card: card.issue(
        member_id=fact.member_id,
        number_last4=fact.number_last4,
        credit_limit=fact.credit_limit,
        annual_rate_bps=fact.annual_rate_bps,
        due_day=fact.due_day,
        interest_free=fact.interest_free,
        pin_refused=False,
        terms=told.terms,
    )


@_act.register
def _(fact: CardReissued, _told: _Told) -> Act:
    return lambda card: card.reissue(number_last4=fact.number_last4)


@_act.register
def _(_fact: CardClosed, _told: _Told) -> Act:
    return lambda card: card.close()


@_act.register
def _(fact: BorrowingSuspended, _told: _Told) -> Act:
    return lambda card: card.suspend(fact.reason, rule=fact.by_rule)


@_act.register
def _(fact: BorrowingResumed, _told: _Told) -> Act:
    if fact.by_rule:
        return lambda card: card.resume_by_rule(fact.reason)
    return lambda card: card.resume(fact.suspension_id, fact.check_ref)


@_act.register
def _(fact: CardStopped, _told: _Told) -> Act:
    return lambda card: card.stop(fact.reason, rule=fact.by_rule)


@_act.register
def _(fact: StopLiftingRequested, _told: _Told) -> Act:
    return lambda card: card.request_lifting(fact.stop_id, fact.check_ref)


@_act.register
def _(fact: StopLifted, _told: _Told) -> Act:
    return lambda card: card.approve_lifting(fact.stop_id)


@_act.register(pin.LoginSucceeded)
@_act.register(pin.LoginRefused)
@_act.register(pin.LoginFailed)
def _(fact: pin.LoginSucceeded | pin.LoginRefused | pin.LoginFailed, told: _Told) -> Act:
    right = not isinstance(fact, pin.LoginFailed)
    return lambda card: card.decide_pin_attempt(
        attempt_id=fact.attempt_id, right=right, generation=card.access.generation, terms=told.terms
    )


@_act.register
def _(fact: pin.PinReset, told: _Told) -> Act:
    return lambda card: card.reset_pin(
        document_kind=fact.document_kind, verified_at=fact.document_verified_at, refused=False, terms=told.terms
    )


@_act.register
def _(_fact: member.WorkplaceConfirmed, _told: _Told) -> Act:
    return lambda person: person.confirm_workplace()


# The web login; `web_logins.py` asks what the card said, in the order of the log. -------------------------------------


@_act.register
def _(_fact: web_login.WebIdRegistered, _told: _Told) -> Act:
    return lambda person: person.register_web_id(refused=False)


@_act.register(web_login.LoginSucceeded)
@_act.register(web_login.LoginFailed)
def _(fact: web_login.LoginSucceeded | web_login.LoginFailed, told: _Told) -> Act:
    right = isinstance(fact, web_login.LoginSucceeded)
    return lambda person: person.decide_password_attempt(
        attempt_id=fact.attempt_id, right=right, generation=fact.generation, access=None, terms=told.terms
    )


@_act.register
def _(fact: web_login.LoginRefused, told: _Told) -> Act:
    at = told.events[0].at
    card = Access(locked_since=at) if fact.code == refusals.CardLocked.code else Access(closed_since=at)
    return lambda person: person.decide_password_attempt(
        attempt_id=fact.attempt_id, right=True, generation=person.web.generation, access=card, terms=told.terms
    )


@_act.register
def _(_fact: web_login.PasswordResetRequested, told: _Told) -> Act:
    return lambda person: person.request_password_reset(terms=told.terms)


@_act.register
def _(fact: web_login.PasswordReset, _told: _Told) -> Act:
    return lambda person: person.reset_password(reset_id=fact.reset_id, refused=False)
