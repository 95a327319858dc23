"""The bodies of reads, as the OpenAPI document tells them and the tests check them.

What must stay true: these models describe; they build nothing. A read is written as its reader gave it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.answers import (
    ALLOCATION,
    Allocation,
    AnswerBody,
    Bps,
    Code,
    Count,
    Day,
    Direction,
    Id,
    Instant,
    Position,
    RemedyTold,
    Text,
    Truth,
    Yen,
)

CARD_ID = "5f0c6d8e-7a53-5a0f-9d5e-2f3a4b5c6d7e"
MEMBER_ID = "0b1f0a52-5f0e-4b52-9c1e-3d5a7f9b1c2d"
Cursor = Annotated[str, Field(description="Send as `cursor`; absent on the last page.", examples=["Zm9v"])]


def rows(kind: type[AnswerBody]) -> Any:
    """A page of rows of this kind."""
    return Annotated[list[kind], Field(max_length=200, description="The rows of this page.")]  # type: ignore[valid-type]


class Balance(AnswerBody):
    """What is owed on a value date, as known at a position."""

    example = {"principal": 30_000, "interest": 438, "late_damages": 0, "fees": 0, "total": 30_438,
               "available_credit": 470_000, "credit_limit": 500_000, "annual_rate_bps": 1780,
               "minimum_instalment": 2_000, "next_due": "2020-02-05", "days_late": 0, "interest_free_until": None,
               "customer_credit": 0, "value_date": "2020-02-05", "position": 48213}  # fmt: skip

    principal: Yen
    interest: Yen
    late_damages: Yen
    fees: Yen
    total: Yen
    available_credit: Yen
    credit_limit: Yen
    annual_rate_bps: Bps
    minimum_instalment: Yen
    next_due: Day | None
    days_late: Count
    interest_free_until: Day | None
    customer_credit: Yen
    value_date: Day
    position: Position


class Transaction(AnswerBody):
    """One line of the passbook; it never changes."""

    transaction_id: Id
    kind: Annotated[
        Literal["advance", "advance-reversal", "repayment", "repayment-reversal", "fee", "refund", "revision"],
        Field(description="What it is."),
    ]
    amount: Yen
    direction: Direction
    allocation: Allocation | None = None
    principal_before: Yen
    principal_after: Yen
    method: Code | None = None
    value_date: Day
    recorded_at: Instant
    position: Position


class Transactions(AnswerBody):
    """Transactions, newest first."""

    example = {"data": [{"transaction_id": "9a7f9e30-6f0d-5c8b-8a38-0d5c2f9f3a22", "kind": "repayment",
                         "amount": 8_000, "direction": "credit", "allocation": ALLOCATION, "principal_before": 30_000,
                         "principal_after": 22_438, "method": "internet", "value_date": "2020-02-05",
                         "recorded_at": "2020-02-05T01:05:00Z", "position": 48213}]}  # fmt: skip

    data: rows(Transaction)  # type: ignore[valid-type]
    next_cursor: Cursor = ""


class WaysIn(AnswerBody):
    """By which routes a login is possible."""

    card: Truth
    web: Truth


class Lock(AnswerBody):
    """One thing that stands in the way."""

    code: Code
    since: Instant = ""
    released_by: Code = ""
    id: Id = ""


class Lockout(AnswerBody):
    """Why somebody can or cannot log in and borrow, and what to do about it."""

    example = {"card_id": CARD_ID, "can_log_in": {"card": False, "web": False}, "can_borrow": False, "can_repay": True,
               "locks": [{"code": "card-locked", "since": "2020-01-06T01:05:00Z", "released_by": "pin-reset"}],
               "pin_failures": 3, "pin_failures_allowed": 3, "web_failures": 0,
               "remedy": {"code": "visit-counter-or-machine", "text": "Bring an identity document to a counter.",
                          "where": ["counter", "contract-machine"]},
               "position": 48213}  # fmt: skip

    card_id: Id
    can_log_in: WaysIn
    can_borrow: Truth
    can_repay: Truth
    locks: Annotated[list[Lock], Field(max_length=100, description="What stands in the way.")]
    pin_failures: Count = 0
    pin_failures_allowed: Count = 0
    web_failures: Count = 0
    remedy: RemedyTold | None
    position: Position


class SettlementQuote(AnswerBody):
    """What settles the account on a day."""

    example = {"value_date": "2020-02-05", "principal": 30_000, "interest": 438, "late_damages": 0, "fees": 0,
               "total": 30_438, "position": 48213}  # fmt: skip

    value_date: Day
    principal: Yen
    interest: Yen
    late_damages: Yen
    fees: Yen
    total: Yen
    position: Position


class Member(AnswerBody):
    """A member, as far as the caller may know it."""

    example = {"member_id": MEMBER_ID, "web_login": True, "payout_account": True}

    member_id: Id


class Card(AnswerBody):
    """A card of the member."""

    card_id: Id


class Cards(AnswerBody):
    """The cards of a member, newest first."""

    example = {"data": [{"card_id": CARD_ID}]}

    data: rows(Card)  # type: ignore[valid-type]
    next_cursor: Cursor = ""


class LimitChangeRequest(AnswerBody):
    """A request for another limit."""

    request_id: Id
    state: Code


class LimitChangeRequests(AnswerBody):
    """Requests, newest first."""

    example = {"data": [{"request_id": "4f7f9e30-6f0d-5c8b-8a38-0d5c2f9f3a55", "state": "requested",
                         "requested_limit": 800_000}]}  # fmt: skip

    data: rows(LimitChangeRequest)  # type: ignore[valid-type]
    next_cursor: Cursor = ""


class CloudEvent(AnswerBody):
    """CloudEvents 1.0 in JSON."""

    id: Text
    source: Text
    type: Annotated[str, Field(description="Type with version.", examples=["cardledger.card.card-locked.v1"])]
    subject: Id
    sequence: Text
    data: Annotated[dict[str, Any], Field(description="The fact.")]


class Events(AnswerBody):
    """Events, oldest first."""

    example = {"data": [{"specversion": "1.0", "id": f"{CARD_ID}/4", "source": "/cardledger",
                         "type": "cardledger.card.card-locked.v1", "subject": CARD_ID,
                         "time": "2020-01-06T01:05:00Z", "recordedtime": "2020-01-06T01:05:00Z",
                         "sequence": "0000000000048213", "data": {}}]}  # fmt: skip

    data: rows(CloudEvent)  # type: ignore[valid-type]
    next_cursor: Cursor = ""


class Rows(AnswerBody):
    """A page."""

    example = {"data": []}

    data: Annotated[list[dict[str, Any]], Field(max_length=1000, description="Lines.")]
    next_cursor: Cursor = ""


class Projection(AnswerBody):
    """How far a read model is."""

    name: Code
    position: Position
    head: Position
    lag_events: Count
    lag_seconds: Annotated[float, Field(ge=0, description="Age of the oldest event not yet applied.", examples=[0])]
    state: Code
    failure: Annotated[dict[str, Any] | None, Field(description="What stopped it.")]


class Projections(AnswerBody):
    """The read models."""

    example = {"data": [{"name": "balances", "position": 48213, "head": 48213, "lag_events": 0, "lag_seconds": 0,
                         "state": "running", "failure": None}]}  # fmt: skip

    data: rows(Projection)  # type: ignore[valid-type]


class Clock(AnswerBody):
    """What the sandbox clock shows."""

    example = {"now": "2020-02-01T00:00:00Z"}

    now: Instant
