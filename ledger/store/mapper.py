"""Events to stored bytes and back: plain JSON that an auditor can read, decoded into the types that the facts declare.

What must stay true: only topics registered in `FACTS` are ever decoded, and a fact of an older schema is brought up to
date here, before anything folds it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, MapperDeserialisationError, StoredEvent

from ledger.aggregates import adoption, card, closed_days, member
from ledger.aggregates.fact import FACTS, Cause, Event, Fact

__all__ = ["FactMapper", "MapperDeserialisationError", "State", "decode", "encode"]

F = TypeVar("F")

STREAMS_OF = (adoption, card, closed_days, member)
"""The modules whose import registers the facts: every process that reads rows can read all of them."""


class State(msgspec.Struct, Generic[F], omit_defaults=True):
    """The stored bytes of one event: `{"at", "cause", "data"}`, and `schema` from the second version of a fact on."""

    at: datetime
    cause: Cause
    data: F
    schema: int = 1


_encoder = msgspec.json.Encoder()
_raw_decoder = msgspec.json.Decoder(State[dict[str, Any]])
_decoders: dict[str, Callable[[bytes], State[Any]]] = {}


def encode(event: Event) -> bytes:
    """The bytes that the log keeps of an event; its ids and its topic are columns."""
    return _encoder.encode(State(at=event.at, cause=event.cause, data=event.fact, schema=event.fact.schema_version))


def decode(stream: UUID, version: int, topic: str, state: bytes) -> Event:
    """The event of a stored row; raises MapperDeserialisationError for a row that no fact of ours explains."""
    try:
        decoded = (_decoders.get(topic) or _decoder_of(topic))(state)
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as cause:
        raise MapperDeserialisationError(f"version {version} of stream {stream} cannot be read as {topic}") from cause
    return Event(stream, version, decoded.data, decoded.cause, decoded.at)


def _decoder_of(topic: str) -> Callable[[bytes], State[Any]]:
    fact = FACTS[topic]
    if fact.schema_version == 1:
        decoder = msgspec.json.Decoder(State[fact]).decode  # type: ignore[valid-type]  # the class is known at run time
    else:
        decoder = cast("Any", lambda state: _upcast(fact, _raw_decoder.decode(state)))
    _decoders[topic] = decoder
    return decoder


def _upcast(fact: type[Fact], raw: State[dict[str, Any]]) -> State[Fact]:
    data = raw.data
    for schema in range(raw.schema, fact.schema_version):
        data = fact.upcast(schema, data)
    return State(at=raw.at, cause=raw.cause, data=msgspec.convert(data, fact, strict=False), schema=fact.schema_version)


class FactMapper(Mapper[UUID]):
    """The library's seam: its repository and event store read and write through `encode` and `decode`."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        event = cast("Event", domain_event)
        return StoredEvent(event.originator_id, event.originator_version, event.fact.topic, encode(event))

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        stream = cast("UUID", stored_event.originator_id)
        event = decode(stream, stored_event.originator_version, stored_event.topic, stored_event.state)
        return cast("DomainEventProtocol[UUID]", event)
