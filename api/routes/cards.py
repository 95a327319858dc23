"""Cards: issue, a new PIN, suspensions, and stops with their lifting by two persons.

What must stay true: anybody may stop a lost or stolen card, every other stop and each ending is for the credit desk.
"""

from __future__ import annotations

from api.answers import CardCreated, Done, StopSet, SuspensionSet
from api.bodies import CardIssue, CheckMade, Nothing, PinReset, StopReason, SuspensionReason
from api.exchange import Exchange
from api.operation import Operation
from api.routes.members import LIMIT_REFUSALS
from ledger.instruction import Answer
from ledger.refusals import RoleNotPermitted

TAG = "cards"
LOSS = frozenset({"lost", "stolen"})


async def issue_card(exchange: Exchange) -> Answer:
    body = exchange.taken(CardIssue)
    return await exchange.services.ledger.issue_card(
        exchange.order,
        exchange.ids["member_id"],
        pin=body.pin,
        credit_limit=body.credit_limit,
        annual_rate_bps=body.annual_rate_bps,
        due_day=body.due_day,
    )


async def reset_pin(exchange: Exchange) -> Answer:
    body = exchange.taken(PinReset)
    return await exchange.services.ledger.reset_pin(
        exchange.order,
        exchange.ids["card_id"],
        new_pin=body.new_pin,
        document_kind=body.identity_document.kind,
        verified_at=body.identity_document.verified_at,
    )


async def suspend(exchange: Exchange) -> Answer:
    reason = exchange.taken(SuspensionReason).reason
    return await exchange.services.ledger.suspend(exchange.order, exchange.ids["card_id"], reason=reason)


async def resume(exchange: Exchange) -> Answer:
    ids, check_ref = exchange.ids, exchange.taken(CheckMade).check_ref
    ledger = exchange.services.ledger
    return await ledger.resume(exchange.order, ids["card_id"], ids["suspension_id"], check_ref=check_ref)


async def stop(exchange: Exchange) -> Answer:
    reason = exchange.taken(StopReason).reason
    return await exchange.services.ledger.stop(exchange.order, exchange.ids["card_id"], reason=reason)


def refuse_credit_reason(exchange: Exchange) -> None:
    """Raises RoleNotPermitted for a reason that only the credit desk sets."""
    if exchange.caller.role != "credit" and exchange.taken(StopReason).reason not in LOSS:
        raise RoleNotPermitted


async def request_lifting(exchange: Exchange) -> Answer:
    ids, check_ref = exchange.ids, exchange.taken(CheckMade).check_ref
    ledger = exchange.services.ledger
    return await ledger.request_lifting(exchange.order, ids["card_id"], ids["stop_id"], check_ref=check_ref)


async def approve_lifting(exchange: Exchange) -> Answer:
    ids = exchange.ids
    return await exchange.services.ledger.approve_lifting(exchange.order, ids["card_id"], ids["stop_id"])


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/members/{member_id}/cards",
        operation_id="issueCard",
        summary="Issue a card",
        description="One card per member that is not closed.",
        tag=TAG,
        permission="enrol member, issue card",
        handler=issue_card,
        body=CardIssue,
        keyed=True,
        status=201,
        answer=CardCreated,
        refusals=("pin-refused", "card-exists", *LIMIT_REFUSALS),
    ),
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/pin-resets",
        operation_id="resetPin",
        summary="Set a new PIN",
        description="The only way out of a PIN lock.",
        tag=TAG,
        permission="set a new PIN",
        handler=reset_pin,
        body=PinReset,
        keyed=True,
        status=201,
        answer=Done,
        refusals=("document-refused", "pin-refused", "card-closed"),
    ),
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/suspensions",
        operation_id="suspendBorrowing",
        summary="Suspend borrowing",
        tag=TAG,
        permission="suspend, resume, lift a stop",
        handler=suspend,
        body=SuspensionReason,
        keyed=True,
        status=201,
        answer=SuspensionSet,
        refusals=("card-closed",),
    ),
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/suspensions/{suspension_id}/resumptions",
        operation_id="resumeBorrowing",
        summary="End a suspension",
        tag=TAG,
        permission="suspend, resume, lift a stop",
        handler=resume,
        body=CheckMade,
        keyed=True,
        status=201,
        answer=Done,
        refusals=("already-ended",),
    ),
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/stops",
        operation_id="stopCard",
        summary="Stop a card",
        tag=TAG,
        permission="stop a card",
        handler=stop,
        body=StopReason,
        keyed=True,
        status=201,
        answer=StopSet,
        refusals=("card-closed",),
        narrow=refuse_credit_reason,
    ),
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/stops/{stop_id}/lifting-requests",
        operation_id="requestStopLifting",
        summary="Ask to lift a stop",
        tag=TAG,
        permission="suspend, resume, lift a stop",
        handler=request_lifting,
        body=CheckMade,
        keyed=True,
        status=201,
        answer=Done,
        refusals=("already-ended",),
    ),
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/stops/{stop_id}/lifting-approvals",
        operation_id="approveStopLifting",
        summary="Approve the lifting of a stop",
        description="By another person than the one who asked.",
        tag=TAG,
        permission="suspend, resume, lift a stop",
        handler=approve_lifting,
        body=Nothing,
        keyed=True,
        status=201,
        answer=Done,
        refusals=("second-person-required", "lifting-not-requested", "already-ended"),
    ),
)
