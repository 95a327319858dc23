"""Columns of rows as PostgreSQL's binary arrays, each packed at once.

What must stay true: a column is as the driver would send it, element by element; it is sent where a statement names the
type of the array, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from struct import Struct, pack
from typing import Any
from uuid import UUID

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_HEAD = Struct(">iiIii").pack
_LONG = Struct(">iq").pack
_DAY = Struct(">ii").pack
_LENGTH = Struct(">i").pack
_NULL = b"\xff\xff\xff\xff"
_NO_DAY = date(2000, 1, 1).toordinal()
_NO_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_BYTES, _BIGINT, _SMALLINT, _TEXT, _DATE, _INSTANT, _UUID = 17, 20, 21, 25, 1082, 1184, 2950

Column = Callable[[Sequence[Any]], "Packed"]
"""What packs the values of a column."""


class Packed(bytes):
    """An array as it travels."""


class _Dumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Packed) -> Buffer | None:
        return obj


psycopg.adapters.register_dumper(Packed, _Dumper)


def packed(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> tuple[Packed, ...]:
    """The rows, column by column; there must be at least one row."""
    return tuple(column(values) for column, values in zip(columns, zip(*rows, strict=True), strict=True))


def _array(element: int, count: int, body: bytes) -> Packed:
    return Packed(_HEAD(1, 0, element, count, 1) + body)


def bigints(values: Sequence[int | None]) -> Packed:
    if None in values:
        return _array(_BIGINT, len(values), b"".join([_NULL if v is None else _LONG(8, v) for v in values]))
    sized = [8] * (2 * len(values))
    sized[1::2] = values  # type: ignore[assignment]  # there is no None in it
    return _array(_BIGINT, len(values), pack(">" + "iq" * len(values), *sized))


def smallints(values: Sequence[int]) -> Packed:
    sized = [2] * (2 * len(values))
    sized[1::2] = values
    return _array(_SMALLINT, len(values), pack(">" + "ih" * len(values), *sized))


def dates(values: Sequence[date | None]) -> Packed:
    return _array(
        _DATE, len(values), b"".join([_NULL if v is None else _DAY(4, v.toordinal() - _NO_DAY) for v in values])
    )


def instants(values: Sequence[datetime]) -> Packed:
    return _array(_INSTANT, len(values), b"".join([_LONG(8, (v - _NO_INSTANT) // _TICK) for v in values]))


def uuids(values: Sequence[UUID | None]) -> Packed:
    return _array(
        _UUID,
        len(values),
        b"".join([_NULL if v is None else b"\x00\x00\x00\x10" + v.int.to_bytes(16, "big") for v in values]),
    )


def words(values: Sequence[str | None]) -> Packed:
    """Text of which there are few."""
    return _array(_TEXT, len(values), b"".join([_NULL if v is None else _word(v) for v in values]))


@lru_cache(maxsize=1024)
def _word(value: str) -> bytes:
    text = value.encode()
    return _LENGTH(len(text)) + text


def texts(values: Sequence[bytes | None]) -> Packed:
    """Text in UTF-8."""
    return _array(_TEXT, len(values), b"".join([_NULL if v is None else _LENGTH(len(v)) + v for v in values]))


def blobs(values: Sequence[bytes]) -> Packed:
    return _array(_BYTES, len(values), b"".join([_LENGTH(len(v)) + v for v in values]))
