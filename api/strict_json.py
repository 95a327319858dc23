"""JSON taken strictly: UTF-8 without a mark, no key twice, no NaN, no lone surrogate, no deep or endless nesting.

What must stay true: a text that two readers could understand differently is refused, and a refusal never repeats it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from api.faults import DuplicateKey, MalformedJson

DEPTH_MAX = 16
DIGITS_MAX = 32
"""Far over every amount here, far under what makes `int()` slow or raise."""


def parse_json(raw: bytes) -> object:
    """The value of the text; raises MalformedJson or DuplicateKey."""
    try:
        value: object = _DECODER.decode(raw.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise MalformedJson from None
    # Both checks are rare work: only nesting brackets can nest, and only an escape can write a surrogate.
    if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX and _depth(value) > DEPTH_MAX:
        raise MalformedJson
    if b"\\u" in raw and _holds_surrogate(value):
        raise MalformedJson
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    taken = dict(pairs)
    if len(taken) != len(pairs):
        raise DuplicateKey
    return taken


def _integer(digits: str) -> int:
    if len(digits) > DIGITS_MAX:
        raise MalformedJson
    return int(digits)


def _fraction(digits: str) -> float:
    """A number that is no integer: no field takes one, so its exact value never matters."""
    if len(digits) > DIGITS_MAX:
        raise MalformedJson
    return float(digits)


def _constant(_name: str) -> NoReturn:
    raise MalformedJson


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return (*value.keys(), *value.values())
    return value if isinstance(value, list) else ()


def _depth(value: object) -> int:
    """How deep objects and arrays nest; level by level, because the value may be deeper than the call stack likes."""
    depth, level = 0, [value]
    while level := [whole for whole in level if isinstance(whole, (dict, list))]:
        depth += 1
        level = [part for whole in level for part in _parts(whole)]
    return depth


def _holds_surrogate(value: object) -> bool:
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    return any(_holds_surrogate(part) for part in _parts(value))
