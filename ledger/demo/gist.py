"""The telling part of an answer, in a few words.

What must stay true: every figure is the answer's own; nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.demo.client import Body

YEN = {"amount", "available_credit", "credit_limit", "interest", "principal", "principal_after", "total"}


def fields(*names: str) -> Callable[[Body], str]:
    """Tell these fields by their names."""
    return lambda body: ", ".join(_named(name, body[name]) for name in names)


def problem(body: Body) -> str:
    """The code, and what the reader is told."""
    return f"{body['code']}: {body['detail']}"


def balance(body: Body) -> str:
    return (
        f"on {body['value_date']}: principal {_yen(body['principal'])}, interest {_yen(body['interest'])}, available"
        f" {_yen(body['available_credit'])}; {_yen(body['minimum_instalment'])} due by {body['next_due']}"
    )


def repayment(body: Body) -> str:
    split = body["allocation"]
    return (
        f"interest {_yen(split['interest'])}, principal {_yen(split['principal'])}; still owed"
        f" {_yen(body['principal_after'])}; instalment {body['instalment']}, next due {body['next_due']}"
    )


def lockout(body: Body) -> str:
    """What can be done, what stands in the way, and what ends it."""
    login = body["can_log_in"]
    may = {
        "log in by card": login["card"],
        "log in by web": login["web"],
        "borrow": body["can_borrow"],
        "repay": body["can_repay"],
    }
    told = ["may " + ", ".join(what for what, able in may.items() if able)]
    if "pin_failures" in body:
        told.append(f"wrong PINs {body['pin_failures']} of {body['pin_failures_allowed']}")
    return "; ".join((*told, *map(_lock, body["locks"])))


def _lock(lock: Body) -> str:
    return f"{lock['code']} until {lock['released_by']}" if "released_by" in lock else str(lock["code"])


def event(told: Body) -> tuple[str, ...]:
    """Position, time, type, who, and what it says most."""
    return (
        told["id"],
        told["time"][:16].replace("T", " "),
        told["type"].removeprefix("cardledger.card.").rpartition(".")[0],
        "the member" if told["actorrole"] == "member" else told["actorrole"],
        _said(told["data"]),
    )


HEADINGS = ("at", "recorded (UTC)", "fact", "by", "")
SAID = ("amount", "allocation", "principal_after", "due", "reason", "code", "credit_limit")


def _said(data: Body) -> str:
    """The first two things worth telling."""
    told = [_named(name, data[name]) for name in SAID if data.get(name) is not None]
    return ", ".join(told[:2])


def _named(name: str, value: Any) -> str:
    words = name.replace("_", " ")
    if isinstance(value, dict):
        return ", ".join(_named(part, amount) for part, amount in value.items() if amount)
    if isinstance(value, bool):
        return f"{words}: {'yes' if value else 'no'}"
    return f"{words} {_yen(value) if name in YEN or name.endswith('instalment') else value}"


def _yen(amount: int) -> str:
    return f"{amount:,} yen"
