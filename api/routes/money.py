"""Money: advances from reservation to settlement, and repayments.

What must stay true: how money comes in follows from who brings it, and cash goes out through an ATM alone.
"""

from __future__ import annotations

from api.answers import AdvanceReserved, AdvanceSettled, Done, RepaymentTaken
from api.bodies import Advance, Confirmation, Nothing, Repayment
from api.exchange import Exchange
from api.operation import Operation
from ledger.instruction import Answer
from ledger.refusals import ChannelNotPermitted
from ledger.remedies import USE_AN_ATM

TAG = "money"
METHODS_OF_ROLE = {
    "member": frozenset({"internet"}),
    "counter": frozenset({"counter"}),
    "contract-machine": frozenset({"atm"}),
    "atm": frozenset({"atm"}),
    "service": frozenset({"internet", "bank-transfer", "direct-debit"}),
}


async def draw_advance(exchange: Exchange) -> Answer:
    body = exchange.taken(Advance)
    return await exchange.services.ledger.draw_advance(
        exchange.order, exchange.ids["card_id"], amount=body.amount, purpose=body.purpose
    )


def refuse_cash_elsewhere(exchange: Exchange) -> None:
    """Raises ChannelNotPermitted for cash in a session that no ATM opened."""
    if exchange.taken(Advance).purpose == "cash" and exchange.caller.channel != "atm":
        raise ChannelNotPermitted(remedy=USE_AN_ATM)


async def confirm_advance(exchange: Exchange) -> Answer:
    ids, day = exchange.ids, exchange.taken(Confirmation).value_date
    ledger = exchange.services.ledger
    return await ledger.confirm_advance(exchange.order, ids["card_id"], ids["advance_id"], value_date=day)


async def fail_advance(exchange: Exchange) -> Answer:
    ids = exchange.ids
    return await exchange.services.ledger.fail_advance(exchange.order, ids["card_id"], ids["advance_id"])


async def reverse_advance(exchange: Exchange) -> Answer:
    ids = exchange.ids
    return await exchange.services.ledger.reverse_advance(exchange.order, ids["card_id"], ids["advance_id"])


async def repay(exchange: Exchange) -> Answer:
    body = exchange.taken(Repayment)
    return await exchange.services.ledger.repay(
        exchange.order, exchange.ids["card_id"], amount=body.amount, method=body.method, value_date=body.value_date
    )


def refuse_others_method(exchange: Exchange) -> None:
    """Raises ChannelNotPermitted for money that cannot come in where the caller stands."""
    if exchange.taken(Repayment).method not in METHODS_OF_ROLE[exchange.caller.role]:
        raise ChannelNotPermitted


async def reverse_repayment(exchange: Exchange) -> Answer:
    ids = exchange.ids
    return await exchange.services.ledger.reverse_repayment(exchange.order, ids["card_id"], ids["repayment_id"])


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/repayments",
        operation_id="takeRepayment",
        summary="Take a repayment",
        description="Money that has already arrived is never refused because of the state of the card.",
        tag=TAG,
        permission="take a repayment",
        handler=repay,
        body=Repayment,
        keyed=True,
        status=201,
        answer=RepaymentTaken,
        refusals=("channel-not-permitted", "maintenance", "amount-below-minimum", "value-date-refused", "nothing-owed"),
        narrow=refuse_others_method,
    ),
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/repayments/{repayment_id}/reversals",
        operation_id="reverseRepayment",
        summary="Reverse a repayment",
        tag=TAG,
        permission="reverse a repayment",
        handler=reverse_repayment,
        body=Nothing,
        keyed=True,
        status=201,
        answer=Done,
        refusals=("already-reversed",),
    ),
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/advances",
        operation_id="drawAdvance",
        summary="Draw an advance",
        description="Reserving cuts the available credit, not yet the principal.",
        tag=TAG,
        permission="draw an advance",
        handler=draw_advance,
        body=Advance,
        keyed=True,
        status=201,
        answer=AdvanceReserved,
        refusals=(
            "channel-not-permitted", "maintenance", "amount-not-in-unit", "card-stopped", "card-locked", "card-closed",
            "borrowing-suspended", "payout-account-missing", "credit-limit-exceeded",
        ),
        narrow=refuse_cash_elsewhere,
    ),
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/advances/{advance_id}/confirmations",
        operation_id="confirmAdvance",
        summary="Confirm that the money has left",
        tag=TAG,
        permission="settle an advance",
        handler=confirm_advance,
        body=Confirmation,
        keyed=True,
        status=201,
        answer=AdvanceSettled,
        refusals=("advance-not-reserved", "value-date-refused"),
    ),
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/advances/{advance_id}/failures",
        operation_id="failAdvance",
        summary="Tell that the money did not leave",
        tag=TAG,
        permission="settle an advance",
        handler=fail_advance,
        body=Nothing,
        keyed=True,
        status=201,
        answer=AdvanceSettled,
        refusals=("advance-not-reserved",),
    ),
    Operation(
        method="POST",
        path="/v1/cards/{card_id}/advances/{advance_id}/reversals",
        operation_id="reverseAdvance",
        summary="Reverse a confirmed advance",
        tag=TAG,
        permission="settle an advance",
        handler=reverse_advance,
        body=Nothing,
        keyed=True,
        status=201,
        answer=AdvanceSettled,
        refusals=("advance-not-confirmed", "already-reversed"),
    ),
)  # fmt: skip
