"""What reads have in common: query parameters, pages, and waiting for what was just written.

What must stay true: a read tells the position that its rows stand at, and never one that it has not waited for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from api import cursors
from api.exchange import Exchange, Reply
from api.fields import instant, instant_code, one_of
from api.operation import THE_LOG, QueryParameter
from api.ports import Page
from ledger import forms
from ledger.forms import Judge
from ledger.refusals import InputRefused, ProjectionBehind

LIMIT_MAX = 200
WAIT_SECONDS = 1.0
WAIT_SECONDS_MAX = 10.0
POSITION_DIGITS = 15
MIN_POSITION_HEADER = b"ledger-min-position"

_encoder = msgspec.json.Encoder()
_WHOLE = re.compile(r"-?[0-9]{1,15}")
_WAIT = re.compile(r'(?:^|,) *wait *= *"?([0-9]{1,6})"? *(?:[;,]|$)', re.IGNORECASE)


def whole(lowest: int, highest: int) -> Judge:
    """A judge of whole numbers as a query writes them."""

    def judge(value: object) -> str | None:
        if forms.holds_full_width(value):
            return forms.NOT_HALF_WIDTH
        if not _WHOLE.fullmatch(str(value)):
            return forms.FORMAT
        return None if lowest <= int(str(value)) <= highest else forms.RANGE

    return judge


def refuse_backward(query: Mapping[str, Any], first: str, last: str) -> None:
    """Refuse a range that ends before it begins."""
    if query[first] is not None and query[last] is not None and query[first] > query[last]:
        raise InputRefused(errors=[{"pointer": f"/{last}", "code": forms.RANGE}])


def _as_of_code(value: object) -> str | None:
    text = str(value)
    return whole(1, 10**POSITION_DIGITS)(text) if _WHOLE.fullmatch(text) else instant_code(_with_plus(text))


def _as_of(text: str) -> int | datetime:
    return int(text) if _WHOLE.fullmatch(text) else instant(_with_plus(text))


def _with_plus(text: str) -> str:
    """`…T09:00:00 09:00` was written with a bare `+`, which a query string reads as a space."""
    return text.replace(" ", "+")


def _identifier_code(value: object) -> str | None:
    return None if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(value)) else forms.FORMAT


def _code_code(value: object) -> str | None:
    return None if re.fullmatch(r"[!-~]{1,128}", str(value)) else forms.FORMAT


def _cursor_code(_value: object) -> str | None:
    """Any text is well-formed: what is no cursor of ours is told as `cursor-invalid`."""
    return None


def day_parameter(name: str, description: str) -> QueryParameter:
    return QueryParameter(name=name, judge=forms.day, schema={"type": "string", "format": "date"},
                          description=description, convert=date.fromisoformat)  # fmt: skip


def word_parameter(name: str, words: tuple[str, ...], description: str, required: bool = False) -> QueryParameter:
    return QueryParameter(name=name, judge=one_of(*words), schema={"type": "string", "enum": list(words)},
                          description=description, required=required)  # fmt: skip


def text_parameter(name: str, description: str) -> QueryParameter:
    return QueryParameter(name=name, judge=_code_code, schema={"type": "string", "pattern": "^[!-~]{1,128}$"},
                          description=description)  # fmt: skip


def _instant_code(value: object) -> str | None:
    return instant_code(_with_plus(str(value)))


def instant_parameter(name: str, description: str) -> QueryParameter:
    return QueryParameter(name=name, judge=_instant_code, schema={"type": "string", "format": "date-time"},
                          description=description, convert=lambda text: instant(_with_plus(text)))  # fmt: skip


def id_parameter(name: str, description: str, convert: Callable[[str], Any]) -> QueryParameter:
    return QueryParameter(name=name, judge=_identifier_code, schema={"type": "string", "format": "uuid"},
                          description=description, convert=convert)  # fmt: skip


AS_OF = QueryParameter(
    name="as_of",
    judge=_as_of_code,
    schema={"type": "string"},
    description="A position, or an RFC 3339 instant: the answer as the log knew it then.",
    convert=_as_of,
)
AFTER = QueryParameter(
    name="after",
    judge=whole(0, 10**POSITION_DIGITS),
    schema={"type": "integer", "minimum": 0},
    description="The position after which to begin.",
    convert=int,
    default=0,
)
PAGING = (
    QueryParameter(
        name="limit",
        judge=whole(1, LIMIT_MAX),
        schema={"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 50},
        description="How many rows a page holds.",
        convert=int,
        default=50,
    ),
    QueryParameter(
        name="cursor",
        judge=_cursor_code,
        schema={"type": "string"},
        description="`next_cursor` of the page before.",
    ),
)


async def wait_until_fresh(exchange: Exchange, read_model: str) -> None:
    """Wait for what this process acknowledged on the stream, and for `Ledger-Min-Position`; raises ProjectionBehind.

    The log itself holds whatever was acknowledged, but it may end before the position that is asked for.
    """
    wanted = exchange.headers.get(MIN_POSITION_HEADER)
    if wanted is not None and not re.fullmatch(rb"[0-9]{1,15}", wanted):
        raise InputRefused(errors=[{"pointer": "/Ledger-Min-Position", "code": forms.FORMAT}])
    seconds = wait_seconds(exchange.header(b"prefer"))
    if seconds == 0:
        return
    freshness, position = exchange.services.freshness, None if wanted is None else int(wanted)
    if read_model == THE_LOG:
        reached = position is None or await freshness.recorded(position, seconds)
    else:
        stream = exchange.ids.get("card_id") or exchange.ids.get("member_id")
        reached = await freshness.reached(read_model, stream, position, seconds)
    if not reached:
        raise ProjectionBehind


def wait_seconds(prefer: str) -> float:
    """The seconds of `Prefer: wait=S`, at most 10; a preference that cannot be read is no preference (RFC 7240)."""
    asked = _WAIT.search(prefer) if prefer else None
    return WAIT_SECONDS if asked is None else min(float(asked[1]), WAIT_SECONDS_MAX)


def page_reply(exchange: Exchange, page: Page) -> Reply:
    """The page with its position, and the cursor of the next one unless it is the last."""
    body: dict[str, Any] = {"data": page.rows}
    if page.after is not None:
        body["next_cursor"] = cursors.seal(exchange, page.after)
    headers = [
        (b"content-type", b"application/json"),
        (b"ledger-position", b"%d" % page.position),
        (b"cache-control", b"no-store"),
    ]
    return Reply(200, _encoder.encode(body), headers)
