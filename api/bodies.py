"""Request bodies, taken strictly: exactly the fields named here, each judged once, nothing converted but dates.

What must stay true: a refusal names fields and codes and never a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.fields import (
    EMAIL,
    FREE,
    PASSWORD,
    PHONE,
    Amount,
    CheckRef,
    Day,
    Instant,
    Kana,
    OptionalDay,
    Password,
    Pin,
    Rate,
    Text,
    Truth,
    WebId,
    Yen,
    choice,
    judged,
    number,
    one_of,
    string,
)  # fmt: skip
from ledger import forms
from ledger.refusals import InputRefused

_CODES = {"missing": forms.REQUIRED, "extra_forbidden": forms.UNKNOWN_FIELD}
_OWN_CODES = frozenset({forms.REQUIRED, forms.TYPE, forms.RANGE, forms.FORMAT, forms.NOT_HALF_WIDTH})
_TAME_NAME = re.compile(r"[a-z][a-z_]{0,39}")

STOP_REASONS = ("others-loans", "repeated-lateness", "false-statement", "lost", "stolen", "fraud", "death",
                "bankruptcy", "contract-ended")  # fmt: skip
SUSPENSION_REASONS = ("over-one-third", "income-proof-missing", "late", "unreachable", "self-exclusion", "own-wish")
METHODS = ("internet", "atm", "direct-debit", "bank-transfer", "counter")
PURPOSES = ("cash", "transfer", "prepaid")


class Body(BaseModel):
    """A request body: an object with these fields and no others."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)
    example: ClassVar[Mapping[str, Any]] = {}
    variants: ClassVar[Mapping[str, type[Body]]] = {}
    """The bodies that stand behind this one, by the value of their discriminator."""
    discriminator: ClassVar[str] = ""

    @classmethod
    def read(cls, value: object) -> BaseModel:
        """The body of these fields; raises InputRefused with every fault."""
        try:
            return cls.model_validate(value)
        except ValidationError as refused:
            raise InputRefused(errors=field_errors(refused)) from None


def field_errors(refused: ValidationError) -> list[dict[str, str]]:
    """`{pointer, code}` for each fault, in the order of the fields."""
    return [
        _field_error(fault["type"], fault["loc"])
        for fault in refused.errors(include_url=False, include_context=False, include_input=False)
    ]


def _field_error(kind: str, path: tuple[int | str, ...]) -> dict[str, str]:
    code = kind if kind in _OWN_CODES else _CODES.get(kind, forms.TYPE)
    # A field name that no client would invent by mistake may be a secret in the wrong place: it is not repeated.
    if code == forms.UNKNOWN_FIELD and not _TAME_NAME.fullmatch(str(path[-1])):
        path = path[:-1]
    return {"pointer": "".join(f"/{part}" for part in path), "code": code}


def variant(body: type[Body], value: object) -> type[Body]:
    """The variant that the value's discriminator names; raises InputRefused."""
    if not isinstance(value, dict):
        raise InputRefused(errors=[{"pointer": "", "code": forms.TYPE}])
    name = value.get(body.discriminator)
    if isinstance(name, str) and name in body.variants:
        return body.variants[name]
    code = forms.REQUIRED if body.discriminator not in value else one_of(*body.variants)(name) or forms.FORMAT
    raise InputRefused(errors=[{"pointer": f"/{body.discriminator}", "code": code}])


class Nothing(Body):
    """An act that takes no fields: `{}`."""


class PayoutAccount(Body):
    """A bank account in the member's own name."""

    example = {"bank_code": "0009", "branch_code": "123", "kind": "ordinary", "number": "1234567",
               "holder_kana": "ヤマダ ハナコ"}  # fmt: skip

    bank_code: Annotated[str, string(forms.PAYOUT_ACCOUNT["bank_code"], "[0-9]{4}", "4 digits.")]
    branch_code: Annotated[str, string(forms.PAYOUT_ACCOUNT["branch_code"], "[0-9]{3}", "3 digits.")]
    kind: Annotated[str, choice("The kind of account.", "ordinary", "checking")]
    number: Annotated[str, string(forms.PAYOUT_ACCOUNT["number"], "[0-9]{7}", "7 digits.")]
    holder_kana: Kana


class Enrolment(Body):
    """A person who becomes a member: 18 or over on the business day."""

    example = {"name": "山田 花子", "kana": "ヤマダ ハナコ", "birth_date": "1985-04-12", "email": "hanako@example.com",
               "phone": "09012345678", "address": "東京都千代田区丸の内1-1-1", "workplace": "株式会社みなと商店",
               "annual_income": 4_200_000, "web_statements": True,
               "payout_account": PayoutAccount.example}  # fmt: skip

    name: Text
    kana: Kana
    birth_date: Day
    email: Annotated[str, EMAIL]
    phone: Annotated[str, PHONE]
    address: Text
    workplace: Text
    annual_income: Yen
    web_statements: Truth = False
    payout_account: PayoutAccount = Field(default=None)  # type: ignore[assignment]  # absent, but never null


class ProfileChange(Body):
    """At least one field of the profile."""

    example = {"phone": "08011112222"}

    email: Annotated[str | None, EMAIL] = None
    phone: Annotated[str | None, PHONE] = None
    address: Annotated[str | None, FREE] = None
    workplace: Annotated[str | None, FREE] = None
    payout_account: PayoutAccount = Field(default=None)  # type: ignore[assignment]  # absent, but never null

    @classmethod
    def read(cls, value: object) -> BaseModel:
        change = super().read(value)
        if not change.model_fields_set:
            raise InputRefused(errors=[{"pointer": "", "code": forms.REQUIRED}])
        return change


class WebCredentials(Body):
    """Web-ID and password; `present_password` from a session that is not fresh."""

    example = {"web_id": "hanako.y", "password": "kasumi-no-mori-27"}

    web_id: WebId
    password: Password
    present_password: Annotated[str | None, PASSWORD] = None


class ResetRequest(Body):
    """Who forgot the password."""

    example = {"email": "hanako@example.com", "birth_date": "1985-04-12"}

    email: Annotated[str, EMAIL]
    birth_date: Day


class ResetCompletion(Body):
    """The token of the mail and the password to be set."""

    example = {"token": "9v2mVtJw0k4uYxP1cQ7aRrS8hB3nD6eF", "new_password": "kasumi-no-mori-28"}

    token: Annotated[str, judged(forms.text, type="string", minLength=1, maxLength=200, description="From the mail.")]
    new_password: Password


class CardIssue(Body):
    """A card with its revolving account."""

    example = {"pin": "8352", "credit_limit": 500_000, "annual_rate_bps": 1780, "due_day": 5}

    pin: Pin
    credit_limit: Yen
    annual_rate_bps: Rate
    due_day: Annotated[int | str, judged(one_of(5, 15, 25, "end"), enum=[5, 15, 25, "end"], description="Due day.")]


class IdentityDocument(Body):
    """What was shown, and when it was checked: at most 15 minutes ago."""

    example = {"kind": "driving-licence", "verified_at": "2020-01-06T10:05:00+09:00"}

    kind: Annotated[str, judged(forms.text, type="string", minLength=1, maxLength=200,
                                examples=["driving-licence", "passport", "my-number-card", "residence-card"],
                                description="Other kinds are refused as `document-refused`.")]  # fmt: skip
    verified_at: Instant


class PinReset(Body):
    """A new PIN, set at a counter or a contract machine."""

    example = {"new_pin": "6194", "identity_document": IdentityDocument.example}

    new_pin: Pin
    identity_document: IdentityDocument


class Advance(Body):
    """Cash in steps of 1,000 yen; a transfer in steps of 1 yen."""

    example = {"amount": 30_000, "purpose": "transfer"}

    amount: Amount
    purpose: Annotated[str, choice("What the money is drawn for.", *PURPOSES)]


class Confirmation(Body):
    """The day the money left, today where it is absent."""

    example = {"value_date": "2020-01-06"}

    value_date: OptionalDay = None


class Repayment(Body):
    """Money that comes in."""

    example = {"amount": 8_000, "method": "internet"}

    amount: Amount
    method: Annotated[str, choice("How the money came.", *METHODS)]
    value_date: OptionalDay = None


class SuspensionReason(Body):
    """Why borrowing is suspended."""

    example = {"reason": "unreachable"}

    reason: Annotated[str, choice("Several may stand at once.", *SUSPENSION_REASONS)]


class StopReason(Body):
    """Why the card is stopped."""

    example = {"reason": "lost"}

    reason: Annotated[str, choice("Several may stand at once.", *STOP_REASONS)]


class CheckMade(Body):
    """The check that stands behind an ending."""

    example = {"check_ref": "CHK-2020-000123"}

    check_ref: CheckRef


class LimitChange(Body):
    """The credit limit wished for."""

    example = {"requested_limit": 800_000}

    requested_limit: Yen


class LimitDecision(Body):
    """The outcome; `limit` where it differs from the one asked for."""

    example = {"approve": True, "limit": 700_000, "reason": "income-checked"}

    approve: Truth
    limit: Annotated[int | None, number(0, forms.LARGEST_AMOUNT, "Whole yen.")] = None
    reason: Text


class IncomeProof(Body):
    """A paper that shows the yearly income."""

    example = {"annual_income": 4_500_000, "issued_on": "2019-12-20"}

    annual_income: Yen
    issued_on: Day


class CreditReport(Body):
    """What the credit bureau tells of the loans of other lenders."""

    example = {"others_balance": 300_000, "reported_on": "2020-01-06"}

    others_balance: Yen
    reported_on: Day


class PaymentAsked(Body):
    """The payment that clears the principal in this many months."""

    mode: Literal["payment"]
    principal: Amount
    annual_rate_bps: Rate
    months: Annotated[int, number(1, 600, "Months.")]


class TermAsked(Body):
    """The months that this payment needs."""

    mode: Literal["term"]
    principal: Amount
    annual_rate_bps: Rate
    payment: Amount


class AmountAsked(Body):
    """The principal that this payment clears in this many months."""

    mode: Literal["amount"]
    payment: Amount
    annual_rate_bps: Rate
    months: Annotated[int, number(1, 600, "Months.")]


class Simulation(Body):
    """One of three questions, named by `mode`."""

    example = {"mode": "payment", "principal": 300_000, "annual_rate_bps": 1780, "months": 36}
    variants = {"payment": PaymentAsked, "term": TermAsked, "amount": AmountAsked}
    discriminator = "mode"

    @classmethod
    def read(cls, value: object) -> BaseModel:
        return variant(cls, value).read(value)


class ClockSetting(Body):
    """The instant that the sandbox clock shall show."""

    example = {"now": "2020-02-01T09:00:00+09:00"}

    now: Instant


class DayCloses(Body):
    """The last day to be closed."""

    example = {"through": "2020-01-31"}

    through: Day
