"""Reads of members and cards: balance, passbook, lockout, quote, explanation, profile.

What must stay true: a read never decides, and who asks limits what is told, in this module and nowhere else.
"""

from __future__ import annotations

from typing import Any

from api.audit_answers import Explanation
from api.cursors import opened
from api.exchange import Exchange, Reply
from api.operation import THE_LOG, Operation
from api.ports import fitted
from api.problems import worded
from api.read_answers import (
    Balance,
    Cards,
    LimitChangeRequests,
    Lockout,
    Member,
    SettlementQuote,
    Transactions,
)
from api.reading import AS_OF, PAGING, day_parameter, page_reply, refuse_backward, wait_seconds, word_parameter
from api.roles import PERMITTED
from ledger.audit.explainer import FIGURES
from ledger.instruction import Answer
from ledger.refusals import RoleNotPermitted

TAG = "reads"
KINDS = ("advance", "advance-reversal", "repayment", "repayment-reversal", "fee", "refund", "revision")
CODES_ONLY = frozenset({"atm", "call-centre"})
TOLD_WITH_CODES = frozenset({"card_id", "can_log_in", "can_borrow", "can_repay", "locks", "remedy", "position"})
VALUE_DATE = day_parameter("value_date", "The day that the figures stand for; up to 366 days ahead it is a forecast.")


async def read_balance(exchange: Exchange) -> Answer:
    query = exchange.query
    return await exchange.services.balances.balance(exchange.ids["card_id"], query["value_date"], query["as_of"])


async def read_settlement_quote(exchange: Exchange) -> Answer:
    return await exchange.services.balances.settlement_quote(exchange.ids["card_id"], exchange.query["date"])


async def read_explanation(exchange: Exchange) -> Answer:
    query, explanations = exchange.query, fitted(exchange.services.explanations)
    return await explanations.explanation(
        exchange.ids["card_id"], query["of"], query["as_of"], role=exchange.caller.role, language=exchange.language
    )


def refuse_lockout_explained(exchange: Exchange) -> None:
    """The explanation of a lockout is for those who may read the lockout."""
    if exchange.query["of"] == "lockout" and exchange.caller.role not in PERMITTED["read lockout"]:
        raise RoleNotPermitted


async def list_transactions(exchange: Exchange) -> Reply:
    query = exchange.query
    refuse_backward(query, "from", "to")
    page = await exchange.services.transactions.transactions(
        exchange.ids["card_id"],
        kind=query["kind"],
        since=query["from"],
        until=query["to"],
        as_of=query["as_of"],
        after=opened(exchange),
        limit=query["limit"],
    )
    return page_reply(exchange, page)


async def read_lockout(exchange: Exchange) -> Answer:
    discreet = exchange.caller.is_member
    lockouts, as_of = exchange.services.lockouts, exchange.query["as_of"]
    seconds = wait_seconds(exchange.header(b"prefer"))
    found = await lockouts.lockout(exchange.ids["card_id"], as_of, discreet=discreet, wait_seconds=seconds)
    told = codes_only(found.body) if exchange.caller.role in CODES_ONLY else found.body
    return Answer(found.position, worded(told, exchange.language))


def codes_only(body: dict[str, Any]) -> dict[str, Any]:
    """The lockout without counts and times: what stands in the way, by code and id."""
    told = {name: value for name, value in body.items() if name in TOLD_WITH_CODES}
    told["locks"] = [{name: lock[name] for name in ("code", "id") if name in lock} for lock in body["locks"]]
    return told


async def read_member(exchange: Exchange) -> Answer:
    return await exchange.services.members.member(exchange.ids["member_id"], exchange.caller.role)


async def list_cards(exchange: Exchange) -> Reply:
    members, limit = exchange.services.members, exchange.query["limit"]
    return page_reply(exchange, await members.cards(exchange.ids["member_id"], opened(exchange), limit))


async def list_limit_change_requests(exchange: Exchange) -> Reply:
    members, limit = exchange.services.members, exchange.query["limit"]
    return page_reply(exchange, await members.limit_change_requests(exchange.ids["member_id"], opened(exchange), limit))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/cards/{card_id}/balance",
        operation_id="readBalance",
        summary="Read the balance",
        tag=TAG,
        permission="read",
        handler=read_balance,
        query=(VALUE_DATE, AS_OF),
        answer=Balance,
        reads="balances",
        refusals=("value-date-refused", "before-first-event", "position-unknown"),
    ),
    Operation(
        method="GET",
        path="/v1/cards/{card_id}/transactions",
        operation_id="listTransactions",
        summary="List the transactions, newest first",
        description="Rows never change; a revision is a row of its own.",
        tag=TAG,
        permission="read",
        handler=list_transactions,
        query=(
            word_parameter("kind", KINDS, "Of this kind alone."),
            day_parameter("from", "The first value date."),
            day_parameter("to", "The last value date."),
            AS_OF,
            *PAGING,
        ),
        answer=Transactions,
        reads="transactions",
        refusals=("before-first-event", "position-unknown"),
    ),
    Operation(
        method="GET",
        path="/v1/cards/{card_id}/lockout",
        operation_id="readLockout",
        summary="Read what is locked, why, and what to do",
        tag=TAG,
        permission="read lockout",
        handler=read_lockout,
        query=(AS_OF,),
        answer=Lockout,
        reads="lockouts",
        refusals=("before-first-event", "position-unknown"),
    ),
    Operation(
        method="GET",
        path="/v1/cards/{card_id}/settlement-quote",
        operation_id="readSettlementQuote",
        summary="Read what settles the account on a day",
        tag=TAG,
        permission="read",
        handler=read_settlement_quote,
        query=(day_parameter("date", "The day of settlement, today where it is absent."),),
        answer=SettlementQuote,
        reads="balances",
        refusals=("value-date-refused",),
    ),
    Operation(
        method="GET",
        path="/v1/cards/{card_id}/explanation",
        operation_id="explainFigure",
        summary="Read the lines that make a figure",
        description="Debits minus credits is the figure; of a lockout, each thing that stands in the way counts one. "
        "`spoken` can be read to the member over the phone.",
        narrow=refuse_lockout_explained,
        tag=TAG,
        permission="read",
        handler=read_explanation,
        query=(word_parameter("of", FIGURES, "The figure to be explained.", required=True), AS_OF),
        answer=Explanation,
        reads="balances",
        refusals=("before-first-event", "position-unknown"),
    ),
    Operation(
        method="GET",
        path="/v1/members/{member_id}",
        operation_id="readMember",
        summary="Read a member",
        tag=TAG,
        permission="read",
        handler=read_member,
        answer=Member,
        reads=THE_LOG,
    ),
    Operation(
        method="GET",
        path="/v1/members/{member_id}/cards",
        operation_id="listCards",
        summary="List the cards of a member",
        tag=TAG,
        permission="read",
        handler=list_cards,
        query=PAGING,
        answer=Cards,
        reads=THE_LOG,
    ),
    Operation(
        method="GET",
        path="/v1/members/{member_id}/limit-change-requests",
        operation_id="listLimitChangeRequests",
        summary="List the requests for another limit",
        tag=TAG,
        permission="read",
        handler=list_limit_change_requests,
        query=PAGING,
        answer=LimitChangeRequests,
        reads=THE_LOG,
    ),
)
