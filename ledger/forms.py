"""What may be typed: one judge for each field, which answers with a fault code or None.

What must stay true: nothing is folded, trimmed or converted, only `[0-9]` is a digit, and no judge ever returns or
raises the value it was given. `１２３４` is refused, not read as 1234: the member would never learn the real cause, and
a guess would have more spellings than the secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final
from unicodedata import category, east_asian_width

from ledger.refused_pins import COMMON_PINS

TYPE: Final = "type"
RANGE: Final = "range"
FORMAT: Final = "format"
NOT_HALF_WIDTH: Final = "not-half-width"
REQUIRED: Final = "required"
UNKNOWN_FIELD: Final = "unknown-field"

Judge = Callable[[object], str | None]

LARGEST_AMOUNT: Final = 99_999_999
ADULT_AT: Final = 18
OLDEST_BIRTH_YEAR: Final = 1900

_CARD_NUMBER = re.compile(r"[0-9]{16}")
_PIN = re.compile(r"[0-9]{4}")
_WEB_ID = re.compile(r"[0-9A-Za-z._-]{6,32}")
_PASSWORD = re.compile(r"[ -~]{12,128}")
_PHONE = re.compile(r"[0-9]{10,11}")
_EMAIL = re.compile(r"(?=.{3,254}\Z)[0-9A-Za-z.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[0-9A-Za-z-]{1,63}\.)+[0-9A-Za-z-]{1,63}")
_BANK_CODE = re.compile(r"[0-9]{4}")
_BRANCH_CODE = re.compile(r"[0-9]{3}")
_ACCOUNT_NUMBER = re.compile(r"[0-9]{7}")
_CHECK_REF = re.compile(r"[0-9A-Za-z._:/#-]{1,64}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_KANA = re.compile(r"(?=.*[ァ-ヺ])[ァ-ヺー \u3000]{1,200}")
_CONTROL_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One entry of `errors`: where, and what is wrong there."""

    pointer: str
    code: str


def holds_full_width(value: object) -> bool:
    """Whether a string holds a character of East Asian Width F or W, as a Japanese input method leaves them."""
    return isinstance(value, str) and not value.isascii() and any(east_asian_width(sign) in "FW" for sign in value)


def _half_width(value: object, pattern: re.Pattern[str]) -> str | None:
    if not isinstance(value, str):
        return TYPE
    if holds_full_width(value):
        return NOT_HALF_WIDTH
    return None if pattern.fullmatch(value) else FORMAT


# Login strings --------------------------------------------------------------------------------------------------------


def card_number(value: object) -> str | None:
    """16 digits; the check digit is not tested, so that an unknown number answers like a known one."""
    return _half_width(value, _CARD_NUMBER)


def pin(value: object) -> str | None:
    return _half_width(value, _PIN)


def web_id(value: object) -> str | None:
    return _half_width(value, _WEB_ID)


def web_id_key(accepted: str) -> str:
    """The one spelling under which an accepted Web-ID is stored and looked up."""
    return accepted.lower()


def password(value: object) -> str | None:
    """12 to 128 printable ASCII characters, spaces among them, used as typed."""
    return _half_width(value, _PASSWORD)


# Profile --------------------------------------------------------------------------------------------------------------


def text(value: object) -> str | None:
    """Name, address or workplace: 1 to 200 characters, not blank, no control or invisible formatting character."""
    if not isinstance(value, str):
        return TYPE
    fits = 1 <= len(value) <= 200 and not value.isspace()
    return None if fits and not any(category(sign) in _CONTROL_CATEGORIES for sign in value) else FORMAT


def kana(value: object) -> str | None:
    """Full-width katakana, the long mark and spaces; at least one of it a letter."""
    if not isinstance(value, str):
        return TYPE
    return None if _KANA.fullmatch(value) else FORMAT


def email(value: object) -> str | None:
    return _half_width(value, _EMAIL)


def phone(value: object) -> str | None:
    return _half_width(value, _PHONE)


def whole_number(value: object, lowest: int, highest: int) -> str | None:
    """A JSON integer: neither a boolean nor a float nor a string of digits."""
    if not isinstance(value, int) or isinstance(value, bool):
        return TYPE
    return None if lowest <= value <= highest else RANGE


def amount(value: object) -> str | None:
    """Whole yen of an act: 1 to 99,999,999."""
    return whole_number(value, 1, LARGEST_AMOUNT)


def annual_income(value: object) -> str | None:
    return whole_number(value, 0, LARGEST_AMOUNT)


def day(value: object) -> str | None:
    """An ISO date in its one long spelling; `date.fromisoformat` alone would take `20240228` and week dates too."""
    code = _half_width(value, _DAY)
    if code is not None:
        return code
    try:
        date.fromisoformat(str(value))
    except ValueError:
        return FORMAT
    return None


def birth_date(value: object, today: date) -> str | None:
    """18 or over on the business day `today`; somebody born on 29 February comes of age on 1 March."""
    code = day(value)
    if code is not None:
        return code
    born = date.fromisoformat(str(value))
    return None if born.year >= OLDEST_BIRTH_YEAR and age(born, today) >= ADULT_AT else RANGE


def age(born: date, today: date) -> int:
    """Full years."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def check_ref(value: object) -> str | None:
    """The reference of a check in another system: never a sentence, as it stands in an event."""
    return _half_width(value, _CHECK_REF)


def _account_kind(value: object) -> str | None:
    if not isinstance(value, str):
        return TYPE
    return None if value in ("ordinary", "checking") else FORMAT


PAYOUT_ACCOUNT: Final[Mapping[str, Judge]] = {
    "bank_code": lambda value: _half_width(value, _BANK_CODE),
    "branch_code": lambda value: _half_width(value, _BRANCH_CODE),
    "kind": _account_kind,
    "number": lambda value: _half_width(value, _ACCOUNT_NUMBER),
    "holder_kana": kana,
}


def payout_account(value: object, pointer: str = "/payout_account") -> list[FieldFault]:
    """The faults of a payout account; an empty list accepts it."""
    if not isinstance(value, dict):
        return [FieldFault(pointer, TYPE)]
    return judge(value, PAYOUT_ACCOUNT, pointer=pointer)


def judge(
    body: Mapping[str, object],
    required: Mapping[str, Judge],
    optional: Mapping[str, Judge] | None = None,
    pointer: str = "",
) -> list[FieldFault]:
    """Every fault of an object whose fields have one judge each.

    An unknown field is reported at the object and not by its name, which is something the caller typed.
    """
    judges = {**required, **(optional or {})}
    faults = [FieldFault(f"{pointer}/{name}", REQUIRED) for name in required if name not in body]
    for name, value in body.items():
        code = judges[name](value) if name in judges else UNKNOWN_FIELD
        if code is not None:
            faults.append(FieldFault(f"{pointer}/{name}" if name in judges else pointer, code))
    return faults


# Secrets that are well-formed and still refused -----------------------------------------------------------------------


def pin_refused(pin: str, *, birth_date: date, phone: str, card_number: str | None) -> bool:
    """Whether a well-formed PIN is common, or part of the member's birth date, phone number or card number.

    `card_number` is None when a card is issued: its number is drawn afterwards so that it does not hold the PIN.
    """
    born = (f"{birth_date:{spelling}}" for spelling in ("%Y%m%d", "%d%m%Y", "%m%d%Y", "%m%d%y", "%d%m%y", "%y%m%d"))
    return pin in COMMON_PINS or any(pin in near for near in (*born, phone, card_number or ""))


# fmt: off
_COMMON_WORDS = frozenset((
    "password", "passcode", "passphrase", "passwort", "pass", "admin", "administrator", "root", "guest", "user",
    "login", "welcome", "letmein", "iloveyou", "monkey", "dragon", "sunshine", "princess", "football", "baseball",
    "superman", "batman", "master", "secret", "qwerty", "qwertyuiop", "asdfghjkl", "abc", "abcdef", "changeme",
    "default", "test", "testtest", "sakura", "nihon", "japan", "tokyo", "promise", "cardloan", "cardledger",
))
# fmt: on
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "0123456789", "qwertyuiopasdfghjklzxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn")
_LOOK_ALIKE = str.maketrans("013457@$!", "oleastasi")
FEWEST_DIFFERENT: Final = 5


def password_refused(password: str, web_id: str) -> bool:
    """Whether a well-formed password holds the Web-ID, repeats itself, runs along a row or dresses a common word."""
    folded = password.lower()
    return (
        web_id.lower() in folded
        or len(set(folded)) < FEWEST_DIFFERENT
        or _repeats_itself(folded)
        or _runs_along_a_row(folded)
        or _is_a_common_word(folded)
    )


def _repeats_itself(folded: str) -> bool:
    """`abc123abc123`: the whole is one unit over and over, the last one perhaps cut short."""
    return any(folded == (folded[:unit] * len(folded))[: len(folded)] for unit in range(1, len(folded) // 2 + 1))


def _runs_along_a_row(folded: str) -> bool:
    rows = [row * (len(folded) // len(row) + 2) for row in _ROWS]
    return any(folded in row or folded[::-1] in row for row in rows)


def _is_a_common_word(folded: str) -> bool:
    """`Password2024!!` and `P@ssw0rd-1234`: without digits and signs, or with those read as letters, a word is left."""
    bare = re.sub(r"[^a-z]", "", folded)
    undressed = re.sub(r"[^a-z]", "", re.sub(r"[^a-z]+\Z", "", folded).translate(_LOOK_ALIKE))
    return any(word in _COMMON_WORDS for word in (bare, undressed))
