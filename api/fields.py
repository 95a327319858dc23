"""The fields of requests: each has one judge of the ledger, one JSON Schema, and at most a conversion to a date.

What must stay true: the judges of form are those of the ledger, and a refused value is never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ledger import forms
from ledger.forms import Judge

Schema = dict[str, Any]

_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")


@dataclass(frozen=True, slots=True)
class Judged:
    """A field whose form one judge of the ledger decides; `convert` turns an accepted text into its value."""

    judge: Judge
    schema: tuple[tuple[str, Any], ...]
    convert: Callable[[Any], Any] | None = None

    def check(self, value: object) -> Any:
        code = self.judge(value)
        if code is not None:
            raise PydanticCustomError(code, "refused")
        return value if self.convert is None else self.convert(value)

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> Schema:
        return dict(self.schema)


def judged(judge: Judge, convert: Callable[[Any], Any] | None = None, **schema: Any) -> Judged:
    """The judge of a field with the JSON Schema that tells it to clients."""
    return Judged(judge, tuple(schema.items()), convert)


def instant_code(value: object) -> str | None:
    """An RFC 3339 instant with its offset."""
    if not isinstance(value, str):
        return forms.TYPE
    if forms.holds_full_width(value):
        return forms.NOT_HALF_WIDTH
    try:
        return forms.FORMAT if _INSTANT.fullmatch(value) is None or not instant(value) else None
    except (ValueError, OverflowError):
        return forms.FORMAT


def instant(text: str) -> datetime:
    """The instant in UTC; raises ValueError or OverflowError for one that is on no calendar."""
    return datetime.fromisoformat(text).astimezone(UTC)


def one_of(*words: str | int) -> Judge:
    """A judge that takes these words alone (`5` is no `5.0`, and 1 is no true)."""
    kinds = {type(word) for word in words}

    def judge(value: object) -> str | None:
        if type(value) not in kinds:
            return forms.TYPE
        return None if value in words else forms.FORMAT

    return judge


def number(lowest: int, highest: int, description: str) -> Judged:
    return judged(lambda value: forms.whole_number(value, lowest, highest), type="integer", minimum=lowest,
                  maximum=highest, description=description)  # fmt: skip


def _truth(value: object) -> str | None:
    return None if isinstance(value, bool) else forms.TYPE


def string(judge: Judge, pattern: str, description: str) -> Judged:
    return judged(judge, type="string", pattern=f"^{pattern}$", description=description)


def choice(description: str, *words: str) -> Judged:
    return judged(one_of(*words), type="string", enum=list(words), description=description)


DAY = judged(forms.day, date.fromisoformat, type="string", format="date", description="A day in Asia/Tokyo.")
INSTANT = judged(instant_code, instant, type="string", format="date-time", description="An instant with its offset.")
FREE = judged(forms.text, type="string", minLength=1, maxLength=200, description="Text without control characters.")
_KANA = judged(forms.kana, type="string", minLength=1, maxLength=200, description="Full-width katakana, `ー`, spaces.")
PASSWORD = judged(forms.password, type="string", minLength=12, maxLength=128, pattern="^[ -~]+$",
                   description="Printable ASCII, used as typed.")  # fmt: skip

Amount = Annotated[int, number(1, forms.LARGEST_AMOUNT, "Whole yen.")]
Yen = Annotated[int, number(0, forms.LARGEST_AMOUNT, "Whole yen, zero included.")]
Rate = Annotated[int, number(0, 99_999, "Annual rate in basis points: 17.8 % is 1780.")]
Day = Annotated[date, DAY]
OptionalDay = Annotated[date | None, DAY]
Instant = Annotated[datetime, INSTANT]
CardNumber = Annotated[str, string(forms.card_number, "[0-9]{16}", "16 half-width digits.")]
Pin = Annotated[str, string(forms.pin, "[0-9]{4}", "4 half-width digits.")]
WebId = Annotated[str, string(forms.web_id, "[0-9A-Za-z._-]{6,32}", "Compared in lower case.")]
Password = Annotated[str, PASSWORD]
CheckRef = Annotated[str, string(forms.check_ref, "[0-9A-Za-z._:/#-]{1,64}", "Reference of the check that was made.")]
Text = Annotated[str, FREE]
Kana = Annotated[str, _KANA]
EMAIL = judged(forms.email, type="string", maxLength=254, description="Need not be unique.")
PHONE = string(forms.phone, "[0-9]{10,11}", "10 or 11 digits.")
Truth = Annotated[bool, judged(_truth, type="boolean", description="true or false.")]
