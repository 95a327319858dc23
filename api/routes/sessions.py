"""Logging in by card or by Web-ID, and the sessions that come of it.

What must stay true: the channel of a session follows from the caller, and its token is told in this one answer.
"""

from __future__ import annotations

from typing import Any

from api.answers import SessionOpened, Sessions
from api.exchange import Exchange, Reply
from api.login_bodies import CardLogin, Login, WebLogin
from api.operation import Operation
from api.problems import worded
from ledger.instruction import ANONYMOUS, Answer
from ledger.refusals import BadCredentials, CardLocked, WebLoginLocked

TAG = "sessions"


async def open_session(exchange: Exchange) -> Answer:
    """Log in; who failed too often from one place is refused before anything is looked up."""
    throttle = exchange.services.throttle
    if throttle is None or exchange.caller.role != ANONYMOUS.role:
        return await _log_in(exchange)  # machines log many members in from one place, and have a token to lose
    async with throttle.counting(exchange.source, BadCredentials, CardLocked, WebLoginLocked):
        return await _log_in(exchange)


async def _log_in(exchange: Exchange) -> Answer:
    ledger, body = exchange.services.ledger, exchange.body
    if isinstance(body, CardLogin):
        opened = await ledger.log_in_by_card(exchange.order, card_number=body.card_number, pin=body.pin)
    else:
        web = exchange.taken(WebLogin)
        opened = await ledger.log_in_by_web(exchange.order, web_id=web.web_id, password=web.password)
    return Answer(opened.position, worded(opened.body, exchange.language))


async def list_sessions(exchange: Exchange) -> Reply:
    sessions: dict[str, Any] = await exchange.services.ledger.list_sessions(exchange.caller)
    current = exchange.caller.session_id
    return Reply.plain({"data": [{**row, "current": row["session_id"] == current} for row in sessions["data"]]})


async def end_session(exchange: Exchange) -> Answer:
    return await exchange.services.ledger.end_session(exchange.order, exchange.ids.get("session_id"))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/sessions",
        operation_id="openSession",
        summary="Log in",
        description="By card number and PIN (`route: card`), or by Web-ID and password (`route: web`).",
        tag=TAG,
        permission="login",
        handler=open_session,
        body=Login,
        status=201,
        answer=SessionOpened,
        at_login=True,
        outage="login",
        refusals=(
            "maintenance", "input-not-half-width", "bad-credentials", "card-locked", "web-login-locked", "login-wait",
            "busy", "card-stopped", "too-many-requests",
        ),
    ),
    Operation(
        method="GET",
        path="/v1/sessions",
        operation_id="listSessions",
        summary="List the own sessions",
        tag=TAG,
        permission="own sessions",
        handler=list_sessions,
        answer=Sessions,
    ),
    Operation(
        method="DELETE",
        path="/v1/sessions/current",
        operation_id="endCurrentSession",
        summary="Log out",
        tag=TAG,
        permission="own sessions",
        handler=end_session,
        status=204,
    ),
    Operation(
        method="DELETE",
        path="/v1/sessions/{session_id}",
        operation_id="endSession",
        summary="End one of the own sessions",
        tag=TAG,
        permission="own sessions",
        handler=end_session,
        status=204,
        refusals=("not-found",),
    ),
)  # fmt: skip
