"""Made-up persons and their secrets, for drivers that reach a whole service.

What must stay true: nothing here belongs to anybody, and the same numbers make the same secrets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ledger.refused_pins import COMMON_PINS

ANNUAL_INCOME: Final = 6_000_000
BIRTH_DATE: Final = "1980-04-01"
PHONE: Final = "09012345678"
COMMON_PIN: Final = "1234"
FULL_WIDTH_PIN: Final = "３７４９"
COMMON_PASSWORD: Final = "password12345"  # noqa: S105 - made up, and refused
WRONG_PASSWORD: Final = "meadow-ribbon-cedar"  # noqa: S105 - nobody's
PAYOUT_ACCOUNT: Final = {
    "bank_code": "0001",
    "branch_code": "001",
    "kind": "ordinary",
    "number": "1234567",
    "holder_kana": "テスト",
}


def profile(name: str, *, interest_free: bool, payout_account: bool) -> dict[str, Any]:
    """The body of `POST /v1/members`; `name` makes the mail address, in ASCII."""
    account = {"payout_account": PAYOUT_ACCOUNT} if payout_account else {}
    return {
        "name": "試験 会員",
        "kana": "シケン カイイン",
        "birth_date": BIRTH_DATE,
        "email": f"{name}@example.com",
        "phone": PHONE,
        "address": "東京都千代田区一丁目",
        "workplace": "会社",
        "annual_income": ANNUAL_INCOME,
        "web_statements": interest_free,
        **account,
    }


def _good_pins(card_number: str | None) -> Iterator[str]:
    """PINs that nobody refuses to this person, in an order that does not run upwards."""
    near = (BIRTH_DATE.replace("-", ""), "01041980", "04011980", "040180", "010480", "800401", PHONE, card_number or "")
    for count in range(10_000):
        pin = f"{(3749 + count * 7919) % 10_000:04}"
        if pin not in COMMON_PINS and not any(pin in each for each in near):
            yield pin


class Secrets:
    """What one person knows and has known."""

    def __init__(self) -> None:
        self._card_number: str | None = None
        self._pins = [next(_good_pins(None))]
        self._passwords = 1

    @property
    def first_pin(self) -> str:
        return self._pins[0]

    @property
    def first_password(self) -> str:
        return self._password(1)

    def has_card(self, number: str) -> None:
        """A new PIN must not lie in the number."""
        self._card_number = number

    def pin(self, typed: str) -> str:
        """`right`, `wrong`, `old` or `full-width`."""
        if typed == "full-width":
            return FULL_WIDTH_PIN
        return self._fresh_pin(1) if typed == "wrong" else self._pins[-1 if typed == "right" else -2]

    def new_pin(self, new: str) -> str:
        """`another`, the `present` one or a `common` one."""
        return COMMON_PIN if new == "common" else self._pins[-1] if new == "present" else self._fresh_pin(0)

    def pin_is_set(self, pin: str) -> None:
        self._pins.append(pin)

    def password(self, typed: str) -> str:
        if typed == "wrong":
            return WRONG_PASSWORD
        return self._password(self._passwords if typed == "right" else self._passwords - 1)

    def new_password(self, new: str) -> str:
        return COMMON_PASSWORD if new == "common" else self._password(self._passwords + 1)

    def password_is_set(self) -> None:
        self._passwords += 1

    def _fresh_pin(self, skip: int) -> str:
        """One that this person has never had; a wrong one is not the one that will be set next."""
        fresh = (pin for pin in _good_pins(self._card_number) if pin not in self._pins)
        for _ in range(skip):
            next(fresh)
        return next(fresh)

    @staticmethod
    def _password(number: int) -> str:
        return f"harbour-lantern-{number}x{number * 37}"
