"""Schemas of events: one for each type and version, never changed; and older versions that are still read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from borrowing import CARD, CAUSE
from histories import LIVES
from hypothesis import given, settings
from jsonschema_rs import Draft202012Validator

from ledger.aggregates.fact import FACTS, Aggregate, Event, Fact
from ledger.audit.events import cloud_event, type_outside
from ledger.audit.schemas import know_every_fact, published, schema_of
from ledger.store.mapper import MapperDeserialisationError, decode, encode
from ledger.store.pages import Recorded

know_every_fact()
PRODUCT_FACTS = {topic: fact for topic, fact in FACTS.items() if fact.__module__.startswith("ledger.")}


@pytest.mark.parametrize("topic", sorted(PRODUCT_FACTS))
def test_the_schema_of_a_fact_is_the_published_one_of_its_version(topic: str) -> None:
    """A fact whose fields change gets another `schema_version`, an upcast, and by `python -m ledger.audit.schemas`
    another file; a file that is there stays as it is."""
    fact = PRODUCT_FACTS[topic]

    assert published().get(type_outside(topic, fact.schema_version)) == schema_of(fact)


def test_every_earlier_version_is_published_too_and_nothing_else() -> None:
    versions = {
        type_outside(topic, version)
        for topic, fact in PRODUCT_FACTS.items()
        for version in range(1, fact.schema_version + 1)
    }

    assert set(published()) == versions


@settings(max_examples=30)
@given(LIVES)
def test_what_is_told_outside_fits_the_published_schema(recorded: list[Recorded]) -> None:
    for each in recorded:
        told = cloud_event(each)
        schema = published()[told["type"]]
        assert told["dataschema"] == schema["$id"]
        Draft202012Validator(schema).validate(told["data"])


# An older version -----------------------------------------------------------------------------------------------------


class Shelf(Aggregate):
    """An aggregate of the tests: what the fact below evolves."""

    amount: int
    unit: str

    def begin(self) -> None:
        self.amount, self.unit = 0, ""


@pytest.fixture
def weighed() -> Iterator[type[Fact]]:
    """A fact in its third version: the first held an amount alone, the second named it `quantity`."""

    class Weighed(Fact, topic="shelf.weighed"):
        schema_version = 3

        quantity: int
        unit: str

        @classmethod
        def upcast(cls, schema: int, data: dict[str, Any]) -> dict[str, Any]:
            return {"quantity": data["amount"]} if schema == 1 else {**data, "unit": "gram"}

        def evolve(self, aggregate: Any, at: datetime) -> None:
            aggregate.amount, aggregate.unit = self.quantity, self.unit

    yield Weighed
    del FACTS["shelf.weighed"]


def stored(data: dict[str, Any], schema: int | None) -> bytes:
    """A row as an earlier program wrote it: no `schema` meant the first version."""
    row = {"at": datetime(2020, 1, 6, tzinfo=UTC), "cause": CAUSE, "data": data}
    return msgspec.json.encode(row if schema is None else {**row, "schema": schema})


@pytest.mark.parametrize(
    ("data", "schema"),
    [({"amount": 5}, None), ({"quantity": 5}, 2), ({"quantity": 5, "unit": "gram"}, 3)],
)
def test_a_row_of_any_earlier_version_is_read_as_the_present_one(
    weighed: type[Fact], data: dict[str, Any], schema: int | None
) -> None:
    event = decode(CARD, 1, "shelf.weighed", stored(data, schema))
    shelf = Shelf.blank(CARD)
    event.mutate(shelf)

    assert (shelf.amount, shelf.unit) == (5, "gram")
    assert cloud_event(Recorded(1, event.at, event))["type"] == "cardledger.shelf.weighed.v3"
    assert decode(CARD, 1, "shelf.weighed", encode(event)) == event


def test_a_row_that_lacks_what_its_version_must_hold_is_refused(weighed: type[Fact]) -> None:
    with pytest.raises((MapperDeserialisationError, KeyError)):
        decode(CARD, 1, "shelf.weighed", stored({"unit": "gram"}, 1))


def test_a_fact_of_the_first_version_is_written_without_naming_it() -> None:
    (fact,) = (fact for topic, fact in PRODUCT_FACTS.items() if topic == "card.card-closed")
    event = Event(UUID(int=1), 1, fact(), CAUSE, datetime(2020, 1, 6, tzinfo=UTC))

    assert "schema" not in msgspec.json.decode(encode(event))


def test_the_schemas_are_part_of_what_is_installed() -> None:
    folder = Path(__file__).parent.parent / "ledger" / "audit" / "schemas.d"
    assert {file.stem for file in folder.glob("*.json")} == set(published())
