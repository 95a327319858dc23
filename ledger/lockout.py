"""The lockout view: why somebody can or cannot log in and borrow, and what to do about it.

What must stay true: every answer here is read off the same bars that refuse (`Access.login_bar`, `borrowing_bar`,
`WebLogin.bar`, `right_password_bar`), so that the view cannot promise what a login or an advance would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ledger.aggregates.access import CREDIT_REASONS, Access
from ledger.aggregates.web_login import WebLogin, right_password_bar
from ledger.remedies import Remedy
from ledger.terms import Terms


@dataclass(frozen=True, slots=True)
class Lock:
    """One thing that stands in the way; `released_by` names the act that ends it, in the words of the HTTP paths."""

    code: str
    since: datetime
    released_by: str
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Lockout:
    """`remedy` is the first step to take, None when nothing stands in the way."""

    can_log_in_card: bool
    can_log_in_web: bool
    can_borrow: bool
    can_repay: bool
    locks: tuple[Lock, ...]
    pin_failures: int
    pin_failures_allowed: int
    web_failures: int
    remedy: Remedy | None


def lockout(access: Access, web: WebLogin, *, at: datetime, terms: Terms, discreet: bool) -> Lockout:
    """The view of a card and its member's web login at a time; `discreet` for what the member may read.

    Money that arrives is taken in every state, so repaying is always possible.
    """
    web_bar = web.bar(at) or right_password_bar(access, terms)
    return Lockout(
        can_log_in_card=access.login_bar() is None,
        can_log_in_web=web.registered and web_bar is None,
        can_borrow=access.borrowing_bar() is None,
        can_repay=True,
        locks=(*_card_locks(access, discreet=discreet), *_web_locks(web)),
        pin_failures=access.consecutive,
        pin_failures_allowed=terms.lock.pin_max_failures,
        web_failures=web.failures,
        remedy=_first_step(access, web, at),
    )


def _card_locks(access: Access, *, discreet: bool) -> Iterator[Lock]:
    if access.closed_since is not None:
        yield Lock("card-closed", access.closed_since, "nothing")
    if access.locked_since is not None:
        yield Lock("card-locked", access.locked_since, "pin-reset")
    for stop_id, stop in access.stops.items():
        code = "card-stopped" if discreet and stop.reason in CREDIT_REASONS else stop.reason
        yield Lock(code, stop.since, "lifting-approval", stop_id)
    for suspension_id, suspension in access.suspensions.items():
        yield Lock(suspension.reason, suspension.since, "resumption", suspension_id)


def _web_locks(web: WebLogin) -> Iterator[Lock]:
    if web.locked_since is not None:
        yield Lock("web-login-locked", web.locked_since, "password-reset")


def _first_step(access: Access, web: WebLogin, at: datetime) -> Remedy | None:
    """A stop before a lock: a new PIN would not make a stopped card usable."""
    bars = (access.login_bar(lock_counts=False), access.login_bar(), web.bar(at), access.borrowing_bar())
    return next((bar.remedy for bar in bars if bar is not None), None)
