"""The refusals: one tree. Each has a stable code, one sentence in each language, and a remedy.

    Refusal
    ├── access    CardLocked, CardStopped, CardClosed, WebLoginLocked, LoginWait, BadCredentials, Busy, …
    ├── borrowing BorrowingSuspended, CreditLimitExceeded, PayoutAccountMissing, AmountNotInUnit, …
    ├── limits    RateOverCap, LimitOutOfRange, OverOneThird, IncomeProofRequired
    └── state     AlreadyReversed, AlreadyEnded, LiftingNotRequested, …

The docstring of a refusal is its English sentence. No refusal ever carries what the caller typed.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ledger import remedies as r
from ledger.remedies import Remedy

REFUSALS: dict[str, type[Refusal]] = {}
"""Every refusal by its code: a stored refusal is given again from here."""


class Refusal(Exception):
    """The act was refused."""

    code: ClassVar[str]
    ja: ClassVar[str]
    remedy: Remedy
    stored: ClassVar[bool] = True
    """Whether the refusal is kept under the idempotency key and given again."""

    def __init_subclass__(cls, *, code: str, ja: str, remedy: Remedy, stored: bool = True) -> None:
        cls.code, cls.ja, cls.remedy, cls.stored = code, ja, remedy, stored
        assert code not in REFUSALS, f"code {code} is taken"
        REFUSALS[code] = cls

    def __init__(self, *, remedy: Remedy | None = None, retry_after: int | None = None, **details: Any) -> None:
        """`details` are published beside the code (`available_credit`); `retry_after` is in seconds."""
        super().__init__(self.code)
        if remedy is not None:
            self.remedy = remedy
        self.retry_after = retry_after
        self.details = details
        self.position: int | None = None
        self.replayed = False

    @property
    def kept(self) -> dict[str, Any]:
        """What is stored of it under an idempotency key."""
        return {**self.details, "remedy": self.remedy.code}

    @property
    def en(self) -> str:
        return (type(self).__doc__ or "").strip()


# Objects -------------------------------------------------------------------------------------------------------------


class NotFound(Refusal, code="not-found", ja="該当するものがありません。", remedy=r.READ_STATE_FIRST, stored=False):
    """There is no such object."""


# Idempotency and the surroundings -----------------------------------------------------------------------------------


class IdempotencyKeyReused(
    Refusal,
    code="idempotency-key-reused",
    ja="この冪等キーは別の依頼に使われています。",
    remedy=r.USE_NEW_KEY,
    stored=False,
):
    """This idempotency key was used for another request."""


class IdempotencyKeyInUse(
    Refusal,
    code="idempotency-key-in-use",
    ja="同じ冪等キーの依頼を処理しています。",
    remedy=r.RETRY_LATER,
    stored=False,
):
    """The first request under this idempotency key is still running."""


class DatabaseUnavailable(
    Refusal,
    code="database-unavailable",
    ja="ただいまデータベースに接続できません。",
    remedy=r.RETRY_LATER,
    stored=False,
):
    """The database cannot be reached; whether an act under a key was recorded is told by repeating it."""


# Form ----------------------------------------------------------------------------------------------------------------


class InputNotHalfWidth(
    Refusal, code="input-not-half-width", ja="全角文字が含まれています。", remedy=r.USE_HALF_WIDTH, stored=False
):
    """The input holds full-width characters."""


class TooManyRequests(Refusal, code="too-many-requests", ja="要求が多すぎます。", remedy=r.RETRY_LATER, stored=False):
    """Too many requests came from here."""


# Login and sessions --------------------------------------------------------------------------------------------------


class Maintenance(Refusal, code="maintenance", ja="ただいまサービス時間外です。", remedy=r.RETRY_LATER, stored=False):
    """The service is closed at this time."""


class BadCredentials(
    Refusal,
    code="bad-credentials",
    ja="ご入力の内容ではログインできません。",
    remedy=r.RESET_PIN_OR_USE_WEB,
    stored=False,
):
    """The identifier and the secret do not belong together."""


class CardLocked(
    Refusal,
    code="card-locked",
    ja="暗証番号の誤りが続いたため、カードを一時停止しています。",
    remedy=r.VISIT_COUNTER_OR_MACHINE,
):
    """The card is locked after several wrong PINs."""


class WebLoginLocked(
    Refusal,
    code="web-login-locked",
    ja="パスワードの誤りが続いたため、Webログインを停止しています。",
    remedy=r.RESET_PASSWORD,
    stored=False,
):
    """The web login is locked after several wrong passwords."""


class LoginWait(Refusal, code="login-wait", ja="しばらくログインできません。", remedy=r.RETRY_LATER, stored=False):
    """A waiting time after wrong passwords is still running."""


class Busy(Refusal, code="busy", ja="ただいま混み合っています。", remedy=r.RETRY_LATER, stored=False):
    """There is no room for this request right now; nothing was recorded."""


class SessionEnded(Refusal, code="session-ended", ja="セッションが終了しました。", remedy=r.LOG_IN_AGAIN, stored=False):
    """The session has ended."""


class CardStopped(Refusal, code="card-stopped", ja="このカードはご利用いただけません。", remedy=r.CALL_CENTRE):
    """This card cannot be used."""


class CardClosed(Refusal, code="card-closed", ja="このカードは解約されています。", remedy=r.CALL_CENTRE):
    """This card is closed."""


class NotSettled(
    Refusal, code="not-settled", ja="ご返済またはお手続き中のお借入れが残っています。", remedy=r.SETTLE_FIRST
):
    """Something is owed, or an advance is under way."""


class PinRefused(Refusal, code="pin-refused", ja="この暗証番号はご利用いただけません。", remedy=r.CHOOSE_ANOTHER_PIN):
    """This PIN may not be used."""


class PasswordRefused(
    Refusal, code="password-refused", ja="このパスワードはご利用いただけません。", remedy=r.CHOOSE_ANOTHER_PASSWORD
):
    """This password may not be used."""


class WebIdTaken(Refusal, code="web-id-taken", ja="このWeb-IDはすでに使われています。", remedy=r.CHOOSE_ANOTHER_WEB_ID):
    """This Web-ID is taken."""


class DocumentRefused(
    Refusal, code="document-refused", ja="この本人確認書類では手続きできません。", remedy=r.SHOW_DOCUMENT
):
    """The identity document is of another kind, or was checked too long ago."""


class ResetTokenSpent(
    Refusal,
    code="reset-token-spent",
    ja="このパスワード再設定の案内は使えません。",
    remedy=r.REQUEST_MAIL_AGAIN,
    stored=False,
):
    """The reset token is spent, expired or unknown."""


class ChannelNotPermitted(
    Refusal, code="channel-not-permitted", ja="この窓口では手続きできません。", remedy=r.CALL_CENTRE, stored=False
):
    """This act is not possible through this channel."""


class SecondPersonRequired(
    Refusal,
    code="second-person-required",
    ja="申請した担当者とは別の担当者の承認が必要です。",
    remedy=r.SECOND_PERSON,
    stored=False,
):
    """A person other than the one who asked must approve this."""


# Borrowing and repaying ----------------------------------------------------------------------------------------------


class CreditLimitExceeded(
    Refusal, code="credit-limit-exceeded", ja="利用可能額を超えています。", remedy=r.LOWER_AMOUNT
):
    """The amount is over the available credit."""


class BorrowingSuspended(
    Refusal, code="borrowing-suspended", ja="新たなお借入れを停止しています。", remedy=r.CALL_CENTRE
):
    """Borrowing on this card is suspended."""


class PayoutAccountMissing(
    Refusal, code="payout-account-missing", ja="振込先口座が登録されていません。", remedy=r.REGISTER_PAYOUT_ACCOUNT
):
    """No payout account is registered."""


class AmountNotInUnit(
    Refusal, code="amount-not-in-unit", ja="取扱単位に合わない金額です。", remedy=r.CHOOSE_VALID_AMOUNT
):
    """The amount is not a multiple of the unit."""


class AmountBelowMinimum(
    Refusal, code="amount-below-minimum", ja="最低金額に満たない金額です。", remedy=r.CHOOSE_VALID_AMOUNT
):
    """The amount is below the minimum of this method."""


class NothingOwed(Refusal, code="nothing-owed", ja="お支払いいただく残高がありません。", remedy=r.NOTHING_TO_DO):
    """Nothing is owed."""


class ValueDateRefused(Refusal, code="value-date-refused", ja="指定できない日付です。", remedy=r.CORRECT_VALUE_DATE):
    """The value date is in the future, before the card, or too far back."""


class AdvanceNotReserved(
    Refusal, code="advance-not-reserved", ja="このお借入れは予約の状態ではありません。", remedy=r.READ_STATE_FIRST
):
    """The advance is not in the state reserved."""


class AdvanceNotConfirmed(
    Refusal, code="advance-not-confirmed", ja="このお借入れは実行済みではありません。", remedy=r.READ_STATE_FIRST
):
    """The advance is not in the state confirmed."""


class AlreadyReversed(Refusal, code="already-reversed", ja="すでに取り消されています。", remedy=r.READ_STATE_FIRST):
    """This entry is reversed already."""


# Limits --------------------------------------------------------------------------------------------------------------


class CardExists(Refusal, code="card-exists", ja="解約されていないカードがすでにあります。", remedy=r.READ_STATE_FIRST):
    """The member has a card that is not closed."""


class RateOverCap(Refusal, code="rate-over-cap", ja="利率が法定の上限を超えています。", remedy=r.CHANGE_TERMS_ASKED):
    """The rate is over the statutory cap of this limit."""


class LimitOutOfRange(
    Refusal, code="limit-out-of-range", ja="限度額は1万円以上800万円以下、1万円単位です。", remedy=r.CHANGE_TERMS_ASKED
):
    """The limit is not between 10,000 and 8,000,000 yen in steps of 10,000."""


class OverOneThird(
    Refusal, code="over-one-third", ja="お借入れの総額が年収の3分の1を超えます。", remedy=r.REDUCE_TOTAL
):
    """The total of loans would be over one third of the yearly income."""


class IncomeProofRequired(
    Refusal, code="income-proof-required", ja="収入証明書のご提出が必要です。", remedy=r.SUBMIT_INCOME_PROOF
):
    """A valid proof of income is needed."""


class RequestNotOpen(
    Refusal, code="request-not-open", ja="この申込みはすでに終了しています。", remedy=r.READ_STATE_FIRST
):
    """The request has been decided already."""


# Stops and suspensions -----------------------------------------------------------------------------------------------


class LiftingNotRequested(
    Refusal, code="lifting-not-requested", ja="停止解除の申請がありません。", remedy=r.READ_STATE_FIRST
):
    """Nobody has asked to lift this stop."""


class AlreadyEnded(Refusal, code="already-ended", ja="すでに終了しています。", remedy=r.READ_STATE_FIRST):
    """This stop or suspension has ended already."""


# Reading -------------------------------------------------------------------------------------------------------------


class ProjectionBehind(
    Refusal, code="projection-behind", ja="最新の記録がまだ反映されていません。", remedy=r.RETRY_LATER, stored=False
):
    """The read model has not reached the position asked for."""


class SimulationImpossible(
    Refusal,
    code="simulation-impossible",
    ja="この条件では返済が終わりません。",
    remedy=r.CHOOSE_VALID_AMOUNT,
    stored=False,
):
    """No schedule of at most 600 months repays this."""


class RefundOverCredit(
    Refusal, code="refund-over-credit", ja="お預かりしている金額を超えています。", remedy=r.REFUND_LESS
):
    """The refund is over what is kept for the member."""


# What was sent --------------------------------------------------------------------------------------------------------


class InputRefused(Refusal, code="input-format", ja="入力内容に誤りがあります。", remedy=r.CHECK_INPUT, stored=False):
    """A field does not have the form or the value that it must have."""


class RoleNotPermitted(
    Refusal,
    code="role-not-permitted",
    ja="この担当者の権限では手続きできません。",
    remedy=r.USE_OTHER_ROLE,
    stored=False,
):
    """This role may not do this."""


# Time -----------------------------------------------------------------------------------------------------------------


class BeforeFirstEvent(
    Refusal,
    code="before-first-event",
    ja="指定の時点には、まだ記録がありません。",
    remedy=r.CHOOSE_ANOTHER_INSTANT,
    stored=False,
):
    """The log holds nothing that was recorded at or before that time."""


class ClockBackward(
    Refusal, code="clock-backward", ja="業務時計を過去に戻すことはできません。", remedy=r.CHOOSE_ANOTHER_INSTANT
):
    """The business clock cannot be moved backward."""
