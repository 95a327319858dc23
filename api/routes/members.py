"""Members: enrolment, web credentials, password resets, profile, limits, income proofs and credit reports.

What must stay true: the answer to a forgotten password is the same for everybody, and tells no position either.
"""

from __future__ import annotations

from api.answers import Done, LimitChangeAsked, MemberCreated
from api.bodies import (
    CreditReport,
    Enrolment,
    IncomeProof,
    LimitChange,
    LimitDecision,
    Nothing,
    ProfileChange,
    ResetCompletion,
    ResetRequest,
    WebCredentials,
)
from api.exchange import Exchange, Reply
from api.operation import Operation
from ledger.instruction import Answer

TAG = "members"
LIMIT_REFUSALS = ("limit-out-of-range", "over-one-third", "income-proof-required", "rate-over-cap")


async def enrol_member(exchange: Exchange) -> Answer:
    profile = exchange.taken(Enrolment).model_dump(mode="json", exclude_none=True)
    return await exchange.services.ledger.enrol_member(exchange.order, profile)


async def set_web_credentials(exchange: Exchange) -> Answer:
    body = exchange.taken(WebCredentials)
    return await exchange.services.ledger.set_web_credentials(
        exchange.order,
        exchange.ids["member_id"],
        web_id=body.web_id,
        password=body.password,
        present_password=body.present_password,
    )


async def request_password_reset(exchange: Exchange) -> Reply:
    body = exchange.taken(ResetRequest)
    ledger = exchange.services.ledger
    await ledger.request_password_reset(exchange.order, email=body.email, birth_date=body.birth_date)
    return Reply.plain({}, 202)


async def complete_password_reset(exchange: Exchange) -> Answer:
    body = exchange.taken(ResetCompletion)
    ledger = exchange.services.ledger
    return await ledger.complete_password_reset(exchange.order, token=body.token, new_password=body.new_password)


async def send_password_reset_mail(exchange: Exchange) -> Answer:
    return await exchange.services.ledger.send_password_reset_mail(exchange.order, exchange.ids["member_id"])


async def change_profile(exchange: Exchange) -> Answer:
    changes = exchange.taken(ProfileChange).model_dump(mode="json", exclude_unset=True)
    return await exchange.services.ledger.change_profile(exchange.order, exchange.ids["member_id"], changes)


async def request_limit_change(exchange: Exchange) -> Answer:
    body = exchange.taken(LimitChange)
    return await exchange.services.ledger.request_limit_change(
        exchange.order, exchange.ids["member_id"], requested_limit=body.requested_limit
    )


async def decide_limit_change(exchange: Exchange) -> Answer:
    body = exchange.taken(LimitDecision)
    return await exchange.services.ledger.decide_limit_change(
        exchange.order,
        exchange.ids["member_id"],
        exchange.ids["request_id"],
        approve=body.approve,
        limit=body.limit,
        reason=body.reason,
    )


async def record_income_proof(exchange: Exchange) -> Answer:
    body = exchange.taken(IncomeProof)
    return await exchange.services.ledger.record_income_proof(
        exchange.order, exchange.ids["member_id"], annual_income=body.annual_income, issued_on=body.issued_on
    )


async def record_credit_report(exchange: Exchange) -> Answer:
    body = exchange.taken(CreditReport)
    return await exchange.services.ledger.record_credit_report(
        exchange.order, exchange.ids["member_id"], others_balance=body.others_balance, reported_on=body.reported_on
    )


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/members",
        operation_id="enrolMember",
        summary="Enrol a member",
        tag=TAG,
        permission="enrol member, issue card",
        handler=enrol_member,
        body=Enrolment,
        keyed=True,
        status=201,
        answer=MemberCreated,
    ),
    Operation(
        method="PUT",
        path="/v1/members/{member_id}/web-credentials",
        operation_id="setWebCredentials",
        summary="Set Web-ID and password",
        description="By counter or machine, by a card-route session younger than 5 minutes, or with the present one.",
        tag=TAG,
        permission="web credentials",
        handler=set_web_credentials,
        body=WebCredentials,
        takes_key=True,
        answer=Done,
        refusals=(
            "channel-not-permitted", "bad-credentials", "web-login-locked", "login-wait", "web-id-taken",
            "password-refused",
        ),
    ),
    Operation(
        method="POST",
        path="/v1/password-resets",
        operation_id="requestPasswordReset",
        summary="Ask for a password mail",
        description="The same answer always. The mail names the Web-ID and holds the token.",
        tag=TAG,
        permission="ask for a password mail",
        handler=request_password_reset,
        body=ResetRequest,
        status=202,
        answer=Done,
    ),
    Operation(
        method="POST",
        path="/v1/password-resets/completions",
        operation_id="completePasswordReset",
        summary="Set a new password with the mailed token",
        tag=TAG,
        permission="anybody",
        handler=complete_password_reset,
        body=ResetCompletion,
        status=204,
        refusals=("password-refused", "reset-token-spent"),
    ),
    Operation(
        method="POST",
        path="/v1/members/{member_id}/password-reset-mails",
        operation_id="sendPasswordResetMail",
        summary="Send a password mail to the registered address",
        description="The address is neither told nor changed.",
        tag=TAG,
        permission="send a password mail",
        handler=send_password_reset_mail,
        body=Nothing,
        keyed=True,
        status=202,
        answer=Done,
    ),
    Operation(
        method="PATCH",
        path="/v1/members/{member_id}/profile",
        operation_id="changeProfile",
        summary="Change the profile",
        tag=TAG,
        permission="profile change",
        handler=change_profile,
        body=ProfileChange,
        takes_key=True,
        answer=Done,
    ),
    Operation(
        method="POST",
        path="/v1/members/{member_id}/limit-change-requests",
        operation_id="requestLimitChange",
        summary="Ask for another credit limit",
        tag="limits",
        permission="ask for a limit change",
        handler=request_limit_change,
        body=LimitChange,
        keyed=True,
        status=201,
        answer=LimitChangeAsked,
        refusals=("limit-out-of-range",),
    ),
    Operation(
        method="POST",
        path="/v1/members/{member_id}/limit-change-requests/{request_id}/decisions",
        operation_id="decideLimitChange",
        summary="Decide a limit change",
        tag="limits",
        permission="decide a limit change",
        handler=decide_limit_change,
        body=LimitDecision,
        keyed=True,
        status=201,
        answer=LimitChangeAsked,
        refusals=(*LIMIT_REFUSALS, "request-not-open", "card-closed"),
    ),
    Operation(
        method="POST",
        path="/v1/members/{member_id}/income-proofs",
        operation_id="recordIncomeProof",
        summary="Record a proof of income",
        tag="limits",
        permission="record income proof",
        handler=record_income_proof,
        body=IncomeProof,
        keyed=True,
        status=201,
        answer=Done,
    ),
    Operation(
        method="POST",
        path="/v1/members/{member_id}/credit-reports",
        operation_id="recordCreditReport",
        summary="Record a report of the credit bureau",
        description="A report over the one-third base suspends borrowing by rule.",
        tag="limits",
        permission="record credit report",
        handler=record_credit_report,
        body=CreditReport,
        keyed=True,
        status=201,
        answer=Done,
    ),
)
