"""The bodies of what auditors read beside the log: books, explanations, and the record of reads.

What must stay true: these models describe; they build nothing. A read is written as its reader gave it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.answers import (
    AnswerBody,
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
from api.read_answers import CARD_ID, MEMBER_ID, Cursor, rows
from ledger.audit.explainer import FIGURES

Total = Annotated[int, Field(ge=0, description="Whole yen.", examples=[30_000])]


class JournalLine(AnswerBody):
    """One line of double entry; the lines of a position are equal on both sides."""

    position: Position
    line: Count
    card_id: Id
    account: Text
    direction: Direction
    amount: Yen
    value_date: Day
    booked_on: Day
    recorded_at: Instant
    rules: Count


class JournalLines(AnswerBody):
    """The journal, oldest first."""

    example = {"data": [{"position": 48200, "line": 0, "card_id": CARD_ID, "account": "Assets:Loans:Principal",
                         "direction": "debit", "amount": 30_000, "value_date": "2020-01-06", "booked_on": "2020-01-06",
                         "recorded_at": "2020-01-06T01:05:00.000000Z", "rules": 1}]}  # fmt: skip

    data: rows(JournalLine)  # type: ignore[valid-type]
    next_cursor: Cursor = ""


class AccountTotals(AnswerBody):
    """An account: what stands on each side, and what the longer side is longer by."""

    account: Text
    name_ja: Text
    debits: Total
    credits: Total
    balance: Total
    direction: Direction


class TrialBalance(AnswerBody):
    """Every account with its debits and credits; the sums of both are equal."""

    example = {"accounts": [{"account": "Assets:Loans:Principal", "name_ja": "営業貸付金", "debits": 30_000,
                             "credits": 0, "balance": 30_000, "direction": "debit"},
                            {"account": "Assets:Clearing:Advances", "name_ja": "仮払金（貸付）", "debits": 0,
                             "credits": 30_000, "balance": 30_000, "direction": "credit"}],
               "debits": 30_000, "credits": 30_000, "position": 48213}  # fmt: skip

    accounts: Annotated[list[AccountTotals], Field(max_length=1000, description="The accounts that were used.")]
    debits: Total
    credits: Total
    position: Position


class ReadOnRecord(AnswerBody):
    """One read of an auditor."""

    read_id: Annotated[int, Field(ge=1, description="Grows with time.", examples=[7])]
    read_at: Instant
    subject: Text
    role: Code
    operation: Text
    path: Text
    query: Annotated[str, Field(description="The query as it was sent.", examples=["limit=50"])]
    request_id: Text


class ReadsOnRecord(AnswerBody):
    """What auditors have read, newest first."""

    example = {"data": [{"read_id": 7, "read_at": "2020-02-05T01:05:00.000000Z", "subject": "audit-1",
                         "role": "auditor", "operation": "readEvents", "path": "/v1/events", "query": "limit=50",
                         "request_id": "2f9c2f1e-6c1b-4a0e-9e70-4c1d1f6f0a51"}]}  # fmt: skip

    data: rows(ReadOnRecord)  # type: ignore[valid-type]
    next_cursor: Cursor = ""


class SeenOfCard(AnswerBody):
    """The card as the refused act saw it; reasons of stops and suspensions are codes."""

    version: Count
    available_credit: Total
    credit_limit: Total
    principal: Total
    locked: Truth
    closed: Truth
    stops: Annotated[list[str], Field(max_length=1000, description="Reasons.", examples=[["lost"]])]
    suspensions: Annotated[list[str], Field(max_length=1000, description="Reasons.", examples=[["late"]])]


class SeenOfMember(AnswerBody):
    """The member as the refused act saw it."""

    version: Count
    web_locked: Truth
    payout_account: Truth


class Seen(AnswerBody):
    """The streams that the act looked at."""

    card: SeenOfCard | None = None
    member: SeenOfMember | None = None


class RefusedAct(AnswerBody):
    """A declined act. `times` and `last_refused_at` are absent as of a time before its last repetition."""

    refusal_id: Id
    card_id: Id = ""
    member_id: Id
    operation: Text
    actor: Text
    role: Code
    channel: Code
    command_id: Id
    correlation_id: Text
    code: Code
    sentence: Text
    remedy: RemedyTold
    details: Annotated[dict[str, Any], Field(description="What the refusal told beside its code.")]
    seen: Seen
    seen_position: Position
    refused_at: Instant
    times: Annotated[int, Field(ge=1, description="How often, on this day and this state.", examples=[1])] = 1
    last_refused_at: Instant = ""


class RefusedActs(AnswerBody):
    """Declined acts, newest first."""

    example = {"data": [{"refusal_id": "4f7f9e30-6f0d-5c8b-8a38-0d5c2f9f3a55", "card_id": CARD_ID,
                         "member_id": MEMBER_ID, "operation": "drawAdvance", "actor": MEMBER_ID, "role": "member",
                         "channel": "web", "command_id": "2f9c2f1e-6c1b-4a0e-9e70-4c1d1f6f0a51",
                         "correlation_id": "2f9c2f1e-6c1b-4a0e-9e70-4c1d1f6f0a51", "code": "credit-limit-exceeded",
                         "sentence": "The amount is over the available credit.",
                         "remedy": {"code": "lower-amount", "text": "Choose a lower amount.", "where": []},
                         "details": {"available_credit": 40_000},
                         "seen": {"card": {"version": 7, "available_credit": 40_000, "credit_limit": 500_000,
                                           "principal": 460_000, "locked": False, "closed": False, "stops": [],
                                           "suspensions": []},
                                  "member": {"version": 3, "web_locked": False, "payout_account": True}},
                         "seen_position": 48213, "refused_at": "2020-05-03T01:05:00Z", "times": 1,
                         "last_refused_at": "2020-05-03T01:05:00Z"}]}  # fmt: skip

    data: rows(RefusedAct)  # type: ignore[valid-type]
    next_cursor: Cursor = ""


class ExplanationLine(AnswerBody):
    """One line of an explanation; `calculation` says what it was reckoned from."""

    direction: Direction
    amount: Total
    type: Annotated[str | None, Field(description="Type of the event; null for what no event has told yet.")]
    position: Annotated[int | None, Field(description="Position of the event.")]
    value_date: Day | None
    calculation: Annotated[dict[str, Any], Field(description="What it was reckoned from.")]


class Explanation(AnswerBody):
    """The lines that make a figure: debits minus credits."""

    example = {"card_id": CARD_ID, "of": "principal", "figure": 30_000, "value_date": "2020-02-05",
               "position": 48213, "spoken": "The principal is 30,000 yen on 5 February 2020.",
               "lines": [{"direction": "debit", "amount": 30_000, "type": "cardledger.card.advance-confirmed.v1",
                          "position": 48200, "value_date": "2020-01-06", "calculation": {}}]}  # fmt: skip

    card_id: Id
    of: Annotated[str, Field(json_schema_extra={"enum": list(FIGURES)}, description="The figure that is explained.")]
    figure: Total
    value_date: Day
    position: Position
    lines: Annotated[list[ExplanationLine], Field(max_length=100_000, description="What makes the figure, in order.")]
    spoken: Annotated[str, Field(description="To be read out to the member.")]
