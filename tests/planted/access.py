"""Bugs of the web login, of sessions, stops and suspensions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ledger import refusals
from ledger.aggregates import web_login
from ledger.aggregates.access import Access, BorrowingResumed, CardAccess, CardStopped, StopLifted
from ledger.aggregates.pin import CardLocked, PinReset
from ledger.aggregates.web_login import LoginSucceeded, MemberWebLogin, PasswordReset, WebLogin
from planted.lockout import NEVER
from planted.soil import Soil, bug

# Passwords ------------------------------------------------------------------------------------------------------------


def around_password(soil: Soil, outside: Any) -> None:
    soil.around(MemberWebLogin, "decide_password_attempt", outside)


@bug("wrong passwords are counted on the card")
def password_counts_on_card(soil: Soil) -> None:
    def decide(original: Any, member: Any, **named: Any) -> Any:
        if not named["right"]:
            named["access"].consecutive += 1
        return original(member, **named)

    around_password(soil, decide)


@bug("a web login clears the row of wrong PINs")
def web_login_clears_pin_row(soil: Soil) -> None:
    def decide(original: Any, member: Any, **named: Any) -> Any:
        refusal = original(member, **named)
        if refusal is None:
            named["access"].consecutive = 0
        return refusal

    around_password(soil, decide)


@bug("the state of the card is not looked at on the web")
def web_ignores_card(soil: Soil) -> None:
    soil.put(web_login, "right_password_bar", lambda access, terms: None)


@bug("a right password does not end the row of wrong ones")
def password_success_clears_nothing(soil: Soil) -> None:
    soil.put(LoginSucceeded, "evolve", lambda self, member, at: None)


@bug("no waits between wrong passwords")
def no_waits(soil: Soil) -> None:
    soil.change("lock", password_waits_from=NEVER)


@bug("the waits do not grow")
def waits_do_not_grow(soil: Soil) -> None:
    soil.change("lock", password_waits_seconds=(30,))


@bug("the tenth wrong password does not lock the web login")
def web_lock_one_too_many(soil: Soil) -> None:
    soil.change("lock", password_max_failures=11)


@bug("the web lock ends by itself after a day")
def web_timer_unlocks(soil: Soil) -> None:
    def bar(original: Any, web: Any, at: Any) -> Any:
        if web.locked_since is not None and at - web.locked_since > timedelta(days=1):
            return None
        return original(web, at)

    soil.around(WebLogin, "bar", bar)


@bug("a verdict on the old password is taken for one on the new")
def old_password_opens(soil: Soil) -> None:
    def decide(original: Any, member: Any, **named: Any) -> Any:
        return original(member, **{**named, "generation": member.web.generation})

    around_password(soil, decide)


@bug("mails go out without end")
def mails_without_end(soil: Soil) -> None:
    soil.change(None, reset_mails_per_hour=NEVER)


@bug("the token of a mail lives for an hour")
def token_lives_an_hour(soil: Soil) -> None:
    soil.change(None, reset_token_minutes=60)


@bug("a token is good for any number of passwords")
def token_never_spent(soil: Soil) -> None:
    def evolve(original: Any, self: Any, member: Any, at: Any) -> None:
        kept = dict(member.web.resets)
        original(self, member, at)
        member.web.resets = kept

    soil.around(PasswordReset, "evolve", evolve)


@bug("a password reset leaves the web lock")
def password_reset_keeps_lock(soil: Soil) -> None:
    def evolve(original: Any, self: Any, member: Any, at: Any) -> None:
        since = member.web.locked_since
        original(self, member, at)
        member.web.locked_since = since

    soil.around(PasswordReset, "evolve", evolve)


# Sessions -------------------------------------------------------------------------------------------------------------


@bug("sessions survive the lock")
def sessions_survive_lock(soil: Soil) -> None:
    soil.put(CardLocked, "ends_sessions", False)


@bug("sessions survive a stop")
def sessions_survive_stop(soil: Soil) -> None:
    soil.put(CardStopped, "ends_sessions", False)


@bug("sessions survive a new PIN")
def sessions_survive_new_pin(soil: Soil) -> None:
    soil.put(PinReset, "ends_sessions", False)


@bug("sessions survive a new password")
def sessions_survive_new_password(soil: Soil) -> None:
    soil.put(PasswordReset, "ends_sessions", False)


# Stops and suspensions ------------------------------------------------------------------------------------------------


@bug("a stopped card lets in")
def stop_lets_in(soil: Soil) -> None:
    def bar(original: Any, access: Any, **named: Any) -> Any:
        found = original(access, **named)
        return None if isinstance(found, refusals.CardStopped) else found

    soil.around(Access, "login_bar", bar)


@bug("the stop is told and not the lock, where both stand")
def stop_before_lock(soil: Soil) -> None:
    def bar(original: Any, access: Any, **named: Any) -> Any:
        return refusals.CardStopped() if access.stops else original(access, **named)

    soil.around(Access, "login_bar", bar)


@bug("a suspension of borrowing closes the login")
def suspension_closes_login(soil: Soil) -> None:
    def bar(original: Any, access: Any, **named: Any) -> Any:
        return refusals.CardStopped() if access.suspensions else original(access, **named)

    soil.around(Access, "login_bar", bar)


@bug("one person lifts a stop alone")
def stop_lifted_by_one_person(soil: Soil) -> None:
    def approve(original: Any, card: Any, stop_id: Any) -> None:
        stop = card.access.stops.get(stop_id)
        if stop is None or stop.lifting_requested_by != card.cause.actor:
            original(card, stop_id)
            return
        card.record(StopLifted(stop_id=stop_id, reason=stop.reason))

    soil.around(CardAccess, "approve_lifting", approve)


@bug("a stop is lifted that nobody asked to lift")
def lifting_without_request(soil: Soil) -> None:
    def approve(original: Any, card: Any, stop_id: Any) -> None:
        stop = card.access.stops.get(stop_id)
        if stop is None or stop.lifting_requested_by is not None:
            original(card, stop_id)
            return
        card.record(StopLifted(stop_id=stop_id, reason=stop.reason))

    soil.around(CardAccess, "approve_lifting", approve)


def after_lifting(soil: Soil, then: Any) -> None:
    def evolve(original: Any, self: Any, card: Any, at: Any) -> None:
        original(self, card, at)
        then(card.access)

    soil.around(StopLifted, "evolve", evolve)


@bug("lifting one stop lifts them all")
def lifting_lifts_all(soil: Soil) -> None:
    after_lifting(soil, lambda access: access.stops.clear())


@bug("lifting a stop ends the PIN lock")
def lifting_unlocks(soil: Soil) -> None:
    after_lifting(soil, lambda access: setattr(access, "locked_since", None))


@bug("an ended stop is unknown, not ended")
def ended_stop_is_unknown(soil: Soil) -> None:
    after_lifting(soil, lambda access: setattr(access, "ended_stops", ()))


@bug("ending one suspension ends them all")
def resuming_ends_all(soil: Soil) -> None:
    def evolve(original: Any, self: Any, card: Any, at: Any) -> None:
        original(self, card, at)
        card.access.suspensions.clear()

    soil.around(BorrowingResumed, "evolve", evolve)


@bug("a second suspension takes the place of the first")
def one_suspension_at_a_time(soil: Soil) -> None:
    def suspend(original: Any, card: Any, reason: str, **named: Any) -> Any:
        card.access.suspensions.clear()
        return original(card, reason, **named)

    soil.around(CardAccess, "suspend", suspend)


def without_bar(soil: Soil, kind: type[refusals.Refusal]) -> None:
    """Leave one bar to borrowing out where an advance is decided."""

    def bar(original: Any, access: Any) -> Any:
        found = original(access)
        return None if isinstance(found, kind) else found

    soil.around(Access, "borrowing_bar", bar)


@bug("a member draws although borrowing is suspended", life="whole")
def draws_when_suspended(soil: Soil) -> None:
    without_bar(soil, refusals.BorrowingSuspended)


@bug("a card draws although it is locked", life="whole")
def draws_when_locked(soil: Soil) -> None:
    without_bar(soil, refusals.CardLocked)


@bug("a card draws although it is stopped", life="whole")
def draws_when_stopped(soil: Soil) -> None:
    without_bar(soil, refusals.CardStopped)
