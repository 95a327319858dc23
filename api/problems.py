"""RFC 9457 problems: every refusal becomes one here, with a status from one table and text in the reader's language.

What must stay true: a problem is made from a refusal's code, its published details and fixed texts only. What the
caller typed and what an exception said never reach it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from api import faults
from ledger import refusals, remedies
from ledger.refusals import REFUSALS, Refusal
from ledger.remedies import Remedy

PROBLEM_JSON = b"application/problem+json"
RETRY_AFTER_SECONDS = 1

STATUS: dict[int, tuple[str, ...]] = {
    400: ("malformed-json", "duplicate-key", "header-repeated", "cursor-invalid", "idempotency-key-missing",
          "request-refused"),
    401: ("unauthenticated", "session-ended", "bad-credentials"),
    403: ("role-not-permitted", "channel-not-permitted", "second-person-required", "web-login-locked"),
    404: ("not-found", "before-first-event", "position-unknown", "position-unknown"),
    405: ("method-not-allowed",),
    406: ("not-acceptable",),
    408: ("request-timeout",),
    409: ("idempotency-key-in-use", "credit-limit-exceeded", "card-stopped", "card-locked", "borrowing-suspended",
          "payout-account-missing", "over-one-third", "income-proof-required", "card-exists", "card-closed",
          "advance-not-reserved", "advance-not-confirmed", "already-reversed", "nothing-owed", "request-not-open",
          "lifting-not-requested", "already-ended", "web-id-taken", "clock-backward", "day-not-over", "day-not-open",
          "day-out-of-order",
          "refund-over-credit", "not-settled"),
    410: ("reset-token-spent",),
    413: ("body-too-large",),
    415: ("media-type",),
    422: ("input-format", "input-not-half-width", "idempotency-key-reused", "amount-not-in-unit",
          "amount-below-minimum", "pin-refused", "password-refused", "document-refused", "rate-over-cap",
          "limit-out-of-range", "value-date-refused", "simulation-impossible"),
    429: ("too-many-requests", "login-wait"),
    431: ("headers-too-large",),
    500: ("system-error",),
    503: ("busy", "projection-behind", "database-unavailable", "maintenance", "shutting-down"),
}  # fmt: skip
STATUS_OF: dict[str, int] = {code: status for status, codes in STATUS.items() for code in codes}
STATUS_AT_LOGIN: dict[str, int] = {"card-locked": 403, "card-stopped": 403}
"""At the door a locked card is a person who may not enter (403); inside it is a state in the way (409)."""

_encoder = msgspec.json.Encoder()


def status_of(code: str, at_login: bool = False) -> int:
    """The HTTP status of a refusal; `at_login` for the one place where it differs."""
    return STATUS_AT_LOGIN.get(code, STATUS_OF[code]) if at_login else STATUS_OF[code]


def problem(
    refusal: Refusal, *, language: str, request_id: str, at_login: bool = False
) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """Status, body and headers that tell the refusal."""
    status = status_of(refusal.code, at_login)
    body = _encoder.encode(_members(refusal, status, language, request_id))
    return status, body, _headers(refusal, status, language, at_login)


def _members(refusal: Refusal, status: int, language: str, request_id: str) -> dict[str, Any]:
    sentence = refusal.ja if language == "ja" else refusal.en
    advice = refusal.remedy.text(language)
    return {
        "type": f"/problems/{refusal.code}",
        "title": sentence,
        "status": status,
        "detail": sentence + advice if language == "ja" else f"{sentence} {advice}",
        "instance": f"/requests/{request_id}",
        "code": refusal.code,
        "remedy": remedy_members(refusal.remedy, language),
        **refusal.details,
    }


def remedy_members(remedy: Remedy, language: str) -> dict[str, Any]:
    """The remedy as answers carry it."""
    return {"code": remedy.code, "text": remedy.text(language), "where": list(remedy.where)}


REMEDIES: Mapping[str, Remedy] = {
    remedy.code: remedy for remedy in vars(remedies).values() if isinstance(remedy, Remedy)
}


def worded(value: Any, language: str) -> Any:
    """The value with every remedy in it, given itself or by its code, as answers carry it."""
    if isinstance(value, Remedy):
        return remedy_members(value, language)
    if isinstance(value, dict):
        return {
            name: worded(REMEDIES[part] if name == "remedy" and isinstance(part, str) else part, language)
            for name, part in value.items()
        }
    return [worded(part, language) for part in value] if isinstance(value, list) else value


def _headers(refusal: Refusal, status: int, language: str, at_login: bool) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", PROBLEM_JSON),
        (b"cache-control", b"no-store"),
        (b"content-language", language.encode()),
        (b"vary", b"Accept-Language"),
    ]
    if refusal.position is not None and not at_login:  # it would tell a known identifier from an unknown one
        headers.append((b"ledger-position", b"%d" % refusal.position))
    if refusal.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    if status in (429, 503) or isinstance(refusal, refusals.IdempotencyKeyInUse):
        headers.append((b"retry-after", b"%d" % (refusal.retry_after or RETRY_AFTER_SECONDS)))
    if status == 401:
        headers.append((b"www-authenticate", _challenge(refusal)))
    return headers


def _challenge(refusal: Refusal) -> bytes:
    ended = isinstance(refusal, refusals.SessionEnded)
    return b'Bearer realm="cardledger", error="invalid_token"' if ended else b'Bearer realm="cardledger"'


OF_STATUS: Mapping[int, type[Refusal]] = {
    401: faults.Unauthenticated,
    403: refusals.RoleNotPermitted,
    404: refusals.NotFound,
    405: faults.MethodNotAllowed,
    406: faults.NotAcceptable,
    413: faults.BodyTooLarge,
    415: faults.MediaType,
    429: refusals.TooManyRequests,
    503: refusals.Busy,
}


def refusal_of_status(status: int) -> Refusal:
    """The refusal that words a bare HTTP error of the framework."""
    return OF_STATUS.get(status, faults.OwnFault if status >= 500 else faults.RequestRefused)()


@lru_cache(maxsize=512)
def language_of(accept_language: str) -> str:
    """`ja` or `en`, whichever the header ranks higher; `en` when it names neither."""
    ranks = {"en": 0.0, "ja": 0.0}
    for choice in accept_language.split(","):
        tag, _, weight = choice.strip().partition(";")
        name = tag.strip().lower().partition("-")[0]
        if name in ranks:
            ranks[name] = max(ranks[name], _quality(weight))
    return "ja" if ranks["ja"] > ranks["en"] else "en"


def _quality(weight: str) -> float:
    """The `q` of one choice: 1 where none is given, 0 where it cannot be read."""
    name, _, number = weight.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(number) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0


def catalogue() -> list[dict[str, Any]]:
    """Every problem that this interface can answer, by code: the page behind the `type` of a problem."""
    return [
        {
            "code": code,
            "status": STATUS_OF[code],
            **{
                language: {
                    "title": refusal.ja if language == "ja" else (refusal.__doc__ or ""),
                    "remedy": remedy_members(refusal.remedy, language),
                }
                for language in ("en", "ja")
            },
        }
        for code, refusal in sorted(REFUSALS.items())
    ]
