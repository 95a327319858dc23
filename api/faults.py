"""The refusals that only HTTP knows: syntax, media types, tokens, roles, paging.

What must stay true: each has a code that never changes, a sentence in both languages and a remedy, like every other
refusal; and none is ever stored under an idempotency key, because nothing was decided.
"""

from __future__ import annotations

from ledger.refusals import Refusal
from ledger.remedies import CALL_CENTRE, RETRY_LATER, Remedy

CORRECT_REQUEST = Remedy(
    "correct-request",
    "Correct the request as the OpenAPI document describes it.",
    "OpenAPI の記述に従って要求を直してください。",
)
SEND_KEY = Remedy(
    "send-idempotency-key",
    "Send one Idempotency-Key of 1 to 255 visible ASCII characters.",
    "1〜255文字の半角英数記号の Idempotency-Key を1つだけ付けてください。",
)
START_AGAIN = Remedy(
    "start-again", "Read from the first page again.", "最初のページから読み直してください。"
)
GET_TOKEN = Remedy(
    "get-token", "Log in, or send a valid token.", "ログインするか、有効なトークンを付けてください。", ("web",)
)


class MalformedJson(
    Refusal, code="malformed-json", ja="JSONとして読めません。", remedy=CORRECT_REQUEST, stored=False
):
    """The body is not well-formed JSON in UTF-8."""


class DuplicateKey(
    Refusal, code="duplicate-key", ja="JSONに同じ名前の項目が重なっています。", remedy=CORRECT_REQUEST, stored=False
):
    """An object in the body holds the same key twice."""


class HeaderRepeated(
    Refusal, code="header-repeated", ja="同じヘッダーが重なっています。", remedy=CORRECT_REQUEST, stored=False
):
    """A header that may stand once was sent more than once."""


class HeadersTooLarge(
    Refusal, code="headers-too-large", ja="ヘッダーが大きすぎます。", remedy=CORRECT_REQUEST, stored=False
):
    """The headers hold more than 32 KiB."""


class CursorInvalid(
    Refusal, code="cursor-invalid", ja="このカーソルは使えません。", remedy=START_AGAIN, stored=False
):
    """The cursor does not belong to this query."""


class IdempotencyKeyMissing(
    Refusal,
    code="idempotency-key-missing",
    ja="Idempotency-Key がないか、形が正しくありません。",
    remedy=SEND_KEY,
    stored=False,
):
    """The Idempotency-Key is missing or malformed."""


class Unauthenticated(
    Refusal, code="unauthenticated", ja="認証されていません。", remedy=GET_TOKEN, stored=False
):
    """No valid token was sent."""


class MethodNotAllowed(
    Refusal, code="method-not-allowed", ja="このメソッドは使えません。", remedy=CORRECT_REQUEST, stored=False
):
    """The path does not take this method."""


class NotAcceptable(
    Refusal, code="not-acceptable", ja="求められた形式では回答できません。", remedy=CORRECT_REQUEST, stored=False
):
    """The answer does not come in a media type that the request accepts."""


class BodyTooLarge(
    Refusal, code="body-too-large", ja="本文が大きすぎます。", remedy=CORRECT_REQUEST, stored=False
):
    """The body is larger than 16 KiB."""


class MediaType(
    Refusal, code="media-type", ja="本文は application/json（UTF-8）に限ります。", remedy=CORRECT_REQUEST, stored=False
):
    """The body must be plain application/json in UTF-8."""


class BodyTooSlow(
    Refusal, code="request-timeout", ja="本文が届きませんでした。", remedy=CORRECT_REQUEST, stored=False
):
    """The body did not arrive in time."""


class ShuttingDown(
    Refusal, code="shutting-down", ja="サービスを停止しています。", remedy=RETRY_LATER, stored=False
):
    """This process is not ready, or is being stopped."""


class OwnFault(
    Refusal, code="system-error", ja="システムに問題が発生しました。", remedy=CALL_CENTRE, stored=False
):
    """Something went wrong on our side."""


class RequestRefused(
    Refusal, code="request-refused", ja="要求を受け付けられません。", remedy=CORRECT_REQUEST, stored=False
):
    """The request cannot be served."""


