"""The bodies of successful answers, as the OpenAPI document tells them and the tests check them.

What must stay true: these models describe; they build nothing. An answer is written as the ledger gave it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from ledger.store.sessions import SESSIONS_TOLD

Yen = Annotated[int, Field(ge=0, description="Whole yen.", examples=[0])]
Bps = Annotated[int, Field(ge=0, description="Annual rate in basis points.", examples=[1780])]
Count = Annotated[int, Field(ge=0, description="A number of them.", examples=[0])]
Position = Annotated[int, Field(ge=0, description="Global position in the log.", examples=[48213])]
Id = Annotated[
    str,
    Field(
        pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        description="Lower-case UUID.",
        examples=["5f0c6d8e-7a53-5a0f-9d5e-2f3a4b5c6d7e"],
    ),
]
Day = Annotated[
    str,
    Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="A day in Asia/Tokyo.", examples=["2020-02-05"]),
]
Instant = Annotated[
    str,
    Field(description="RFC 3339, UTC.", json_schema_extra={"format": "date-time"}, examples=["2020-01-06T01:05:00Z"]),
]
Code = Annotated[str, Field(pattern="^[a-z0-9-]+$", description="A stable code.", examples=["card-locked"])]
Text = Annotated[str, Field(description="Text.", examples=["…"])]
Truth = Annotated[bool, Field(description="true or false.", examples=[True])]
Direction = Annotated[
    Literal["debit", "credit"], Field(description="A debit raises what is owed.", examples=["debit"])
]
AdvanceState = Annotated[
    Literal["reserved", "confirmed", "failed", "reversed"], Field(description="State of the advance.")
]


class AnswerBody(BaseModel):
    """A JSON object. Clients must accept fields that they do not know."""

    model_config = ConfigDict(extra="allow")
    example: ClassVar[dict[str, Any]] = {}


class RemedyTold(AnswerBody):
    """What to do next."""

    code: Code
    text: Text
    where: Annotated[list[str], Field(max_length=8, description="Where it can be done.", examples=[["counter"]])]


class Restriction(AnswerBody):
    """What a session may not do for now."""

    code: Code
    remedy: RemedyTold


class FieldError(AnswerBody):
    """One fault of a body, or of a query parameter."""

    pointer: Annotated[str, Field(description="JSON Pointer to the field.", examples=["/amount"])]
    code: Annotated[
        Literal["required", "unknown-field", "type", "range", "format", "not-half-width"],
        Field(description="What is wrong there."),
    ]


class Problem(AnswerBody):
    """RFC 9457 problem details."""

    type: Annotated[str, Field(description="Page of the problem.", examples=["/problems/credit-limit-exceeded"])]
    title: Text
    status: Annotated[int, Field(ge=400, le=599, description="HTTP status.", examples=[409])]
    detail: Text
    instance: Annotated[str, Field(description="The request.", examples=["/requests/7f4c"])]
    code: Code
    remedy: RemedyTold
    errors: Annotated[list[FieldError], Field(max_length=100, description="The fields at fault.")] = []
    available_credit: Yen = 0
    tries_left: Count = 0


class SessionOpened(AnswerBody):
    """A session; the token is told once."""

    example = {
        "token": "ms_xJ3k2mN8pQ4rS6tU0vW1yZ5aB7cD9eF2gH4iJ6kL8mN", "expires_at": "2020-01-06T13:05:00Z",
        "member_id": "0b1f0a52-5f0e-4b52-9c1e-3d5a7f9b1c2d", "card_id": "5f0c6d8e-7a53-5a0f-9d5e-2f3a4b5c6d7e",
        "outcome": "ok", "restrictions": [],
    }  # fmt: skip

    token: Annotated[str, Field(description="Bearer token.", examples=["ms_…"])]
    expires_at: Instant
    member_id: Id
    card_id: Id | None
    outcome: Annotated[Literal["ok", "ok-restricted"], Field(description="Whether something is barred.")]
    restrictions: Annotated[list[Restriction], Field(max_length=20, description="What is barred.")]


class SessionRow(AnswerBody):
    """A session that has not ended."""

    session_id: Id
    route: Code
    channel: Code
    opened_at: Instant
    idle_until: Instant
    expires_at: Instant
    current: Truth


class Sessions(AnswerBody):
    """The sessions of the member."""

    example = {"data": [{"session_id": "7a0c6d8e-7a53-4a0f-9d5e-2f3a4b5c6d7e", "route": "web",
                         "channel": "web", "opened_at": "2020-01-06T01:05:00Z", "idle_until": "2020-01-06T01:20:00Z",
                         "expires_at": "2020-01-06T13:05:00Z",
                         "current": True}]}  # fmt: skip

    data: Annotated[list[SessionRow], Field(max_length=SESSIONS_TOLD, description="The newest, newest first.")]


class MemberCreated(AnswerBody):
    """The new member."""

    example = {"member_id": "0b1f0a52-5f0e-4b52-9c1e-3d5a7f9b1c2d"}

    member_id: Id


class Done(AnswerBody):
    """It is done; there is nothing more to tell."""


class CardCreated(AnswerBody):
    """The new card."""

    example = {"card_id": "5f0c6d8e-7a53-5a0f-9d5e-2f3a4b5c6d7e", "card_number": "4980123412341234"}

    card_id: Id
    card_number: Annotated[str, Field(pattern="^[0-9]{16}$", description="16 digits.", examples=["4980123412341234"])]


class AdvanceReserved(AnswerBody):
    """Credit that is set aside until the money has left."""

    example = {"advance_id": "1c7f9e30-6f0d-5c8b-8a38-0d5c2f9f3a11", "state": "reserved", "fee": 0,
               "available_credit": 470_000}  # fmt: skip

    advance_id: Id
    state: AdvanceState
    fee: Yen
    available_credit: Yen


class AdvanceSettled(AnswerBody):
    """The advance in its new state."""

    example = {"advance_id": "1c7f9e30-6f0d-5c8b-8a38-0d5c2f9f3a11", "state": "confirmed"}

    advance_id: Id
    state: AdvanceState


class Allocation(AnswerBody):
    """Where the money of a repayment went."""

    fees: Yen
    late_damages: Yen
    interest: Yen
    principal: Yen
    overpayment: Yen


ALLOCATION = {"fees": 0, "late_damages": 0, "interest": 438, "principal": 7_562, "overpayment": 0}


class RepaymentTaken(AnswerBody):
    """The repayment and what it did."""

    example = {"repayment_id": "9a7f9e30-6f0d-5c8b-8a38-0d5c2f9f3a22", "allocation": ALLOCATION,
               "principal_after": 22_438, "instalment": "satisfied", "next_due": "2020-03-05"}  # fmt: skip

    repayment_id: Id
    allocation: Allocation
    principal_after: Yen
    instalment: Annotated[
        Literal["satisfied", "partial", "extra", "cured", "settled", "none"],
        Field(description="What it meant for the instalment."),
    ]
    next_due: Day | None


class SuspensionSet(AnswerBody):
    """The suspension."""

    example = {"suspension_id": "2d7f9e30-6f0d-5c8b-8a38-0d5c2f9f3a33"}

    suspension_id: Id


class StopSet(AnswerBody):
    """The stop."""

    example = {"stop_id": "3e7f9e30-6f0d-5c8b-8a38-0d5c2f9f3a44"}

    stop_id: Id


class LimitChangeAsked(AnswerBody):
    """The request."""

    example = {"request_id": "4f7f9e30-6f0d-5c8b-8a38-0d5c2f9f3a55", "state": "requested"}

    request_id: Id
    state: Code


class MonthlyLine(AnswerBody):
    """One month of a simulation."""

    month: Count
    payment: Yen
    interest: Yen
    principal: Yen
    balance: Yen


class SimulationResult(AnswerBody):
    """A schedule by months of one twelfth of a year; the ledger counts days."""

    example = {"principal": 10_000, "payment": 5_074, "months": 2, "total": 10_222, "interest": 222,
               "schedule": [{"month": 1, "payment": 5_074, "interest": 148, "principal": 4_926, "balance": 5_074},
                            {"month": 2, "payment": 5_149, "interest": 75, "principal": 5_074, "balance": 0}],
               "note": "Months of equal length; the ledger counts days."}  # fmt: skip

    principal: Yen
    payment: Yen
    months: Count
    total: Yen
    interest: Yen
    schedule: Annotated[list[MonthlyLine], Field(max_length=600, description="Month by month.")]
    note: Text


class DaysClosed(AnswerBody):
    """How far the days are closed."""

    example = {"closed_through": "2020-01-31"}

    closed_through: Annotated[Day | None, Field(description="The last closed day; null while none is.")]


class LoginCheck(AnswerBody):
    """One thing to look at when login fails."""

    code: Code
    en: Text
    ja: Text
    remedy: RemedyTold


class LoginHelp(AnswerBody):
    """The checks a person can make, best first."""

    example = {"data": [{"code": "half-width", "en": "Are all characters half-width?", "ja": "半角で入力していますか。",
                         "remedy": {"code": "use-half-width", "text": "Switch to half-width input.",
                                    "where": ["web"]}}]}  # fmt: skip

    data: Annotated[list[LoginCheck], Field(max_length=20, description="Best first.")]
