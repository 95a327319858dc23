"""Columns as arrays: what is packed by hand arrives as what it was, and as the driver itself would have sent it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.projections import columns
from ledger.projections.columns import Column

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
INSTANTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  # bounds have no zone
KINDS: list[tuple[Column, str, st.SearchStrategy[Any]]] = [
    (columns.bigints, "bigint[]", st.none() | st.integers(-(2**63), 2**63 - 1)),
    (columns.smallints, "smallint[]", st.integers(-(2**15), 2**15 - 1)),
    (columns.dates, "date[]", st.none() | st.dates(date(1, 1, 1), date(9999, 12, 31))),
    (columns.instants, "timestamptz[]", INSTANTS),
    (columns.uuids, "uuid[]", st.none() | st.uuids()),
    (columns.words, "text[]", st.none() | WORDS),
    (columns.texts, "text[]", st.none() | WORDS.map(str.encode)),
    (columns.blobs, "bytea[]", st.binary(max_size=40)),
]


@pytest.mark.parametrize(("column", "kind", "values"), KINDS, ids=[column.__name__ for column, *_ in KINDS])
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_packed_column_arrives_as_the_values_it_was_made_of(
    database_url: str, column: Column, kind: str, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(values, min_size=1, max_size=30))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("set timezone to 'UTC'")
        cursor = connection.cursor(binary=True)
        row = cursor.execute(f"select %b::{kind}".encode(), (column(drawn),)).fetchone()
    assert row is not None
    assert [each.encode() if column is columns.texts and each is not None else each for each in row[0]] == drawn
