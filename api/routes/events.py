"""The log itself, for auditors: a page, NDJSON to the head, or a stream that stays, by `Accept`.

What must stay true: the position is the order and the only cursor, so a reader who resumes misses nothing; and no
stream outlives the service.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import msgspec
from starlette.responses import Response, StreamingResponse

from api.cursors import opened
from api.exchange import Exchange, Reply, accepted_media
from api.operation import THE_LOG, Operation
from api.ports import EventFilter, EventPage, Page
from api.read_answers import Events
from api.reading import (
    AFTER,
    PAGING,
    POSITION_DIGITS,
    day_parameter,
    id_parameter,
    instant_parameter,
    page_reply,
    refuse_backward,
    text_parameter,
    whole,
)
from ledger.audit.replay import PositionUnknown
from ledger.refusals import InputRefused

TAG = "audit"
JSON, NDJSON, EVENT_STREAM = "application/json", "application/x-ndjson", "text/event-stream"
STREAMED_AT_ONCE = 500
WAKE_SECONDS = 1.0
STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

_encode = msgspec.json.encode


async def read_events(exchange: Exchange) -> Reply | Response:
    wanted = wanted_events(exchange)
    accepted = accepted_media(exchange.header(b"accept"))
    if EVENT_STREAM in accepted:
        # Refused before the stream begins: what does not exist cannot be followed, nor can it be resumed where no log
        # has come yet (a database restored from an older copy would be followed past what it records again).
        await exchange.services.events.events(wanted, 0, 1)
        after = resumed_at(exchange)
        if after > (await exchange.services.events.events(EventFilter(), 0, 1)).head:
            raise PositionUnknown
        lines = follow(exchange, wanted, after)
        return StreamingResponse(lines, media_type=EVENT_STREAM, headers=STREAM_HEADERS)
    if NDJSON in accepted:
        return await export(exchange, wanted)
    return await event_page(exchange, wanted)


def wanted_events(exchange: Exchange) -> EventFilter:
    """The filter of the request; raises InputRefused for a range that ends before it begins."""
    query = exchange.query
    for kind in ("value", "recorded"):
        refuse_backward(query, f"{kind}_from", f"{kind}_to")
    named = next(iter(exchange.ids), "")
    return EventFilter(
        stream=exchange.ids[named] if named else query.get("stream"),
        kind=named.removesuffix("_id"),
        type=query["type"],
        actor=query["actor"],
        correlation=query["correlation"],
        value_from=query["value_from"],
        value_to=query["value_to"],
        recorded_from=query["recorded_from"],
        recorded_to=query["recorded_to"],
    )


async def event_page(exchange: Exchange, wanted: EventFilter) -> Reply:
    """One page, oldest first. The cursor holds the head that the first page saw: all pages end there."""
    head, after = None, exchange.query["after"]
    if (cursor := opened(exchange)) is not None:
        head, after = (int(part) for part in cursor.split("."))
    found = await exchange.services.events.events(replace(wanted, until=head), after, exchange.query["limit"])
    pinned = found.head if head is None else head
    more = f"{pinned}.{found.read_to}" if after < found.read_to < pinned else None
    return page_reply(exchange, Page(pinned, found.events, more))


async def export(exchange: Exchange, wanted: EventFilter) -> Response:
    """Every event up to the head of this moment, one a line, and a last line that says how many there were."""
    events, after = exchange.services.events, exchange.query["after"]
    first = await events.events(wanted, after, STREAMED_AT_ONCE)
    pinned = replace(wanted, until=first.head)

    async def lines() -> AsyncIterator[bytes]:
        found, trailer = first, Trailer(first.head)
        while True:
            yield trailer.counted(found)
            if exchange.services.stopping.is_set():
                return  # without the trailer: the reader sees that it was cut
            if found.read_to >= first.head:
                break
            found = await events.events(pinned, found.read_to, STREAMED_AT_ONCE)
        yield trailer.line()

    headers = {**STREAM_HEADERS, "ledger-position": str(first.head)}
    return StreamingResponse(lines(), media_type=NDJSON, headers=headers)


@dataclass(slots=True)
class Trailer:
    """The last line of an export: a download without it was cut, one that does not fit it was changed."""

    head: int
    count: int = 0
    first: int | None = None
    last: int | None = None
    debits: int = 0
    credits: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)

    def counted(self, page: EventPage) -> bytes:
        """The events as lines, counted in."""
        text = b"".join(_encode(event) + b"\n" for event in page.events)
        self.sha256.update(text)
        self.count += len(page.events)
        self.debits, self.credits = self.debits + page.debits, self.credits + page.credits
        if page.events:
            self.first = int(page.events[0]["sequence"]) if self.first is None else self.first
            self.last = int(page.events[-1]["sequence"])
        return text

    def line(self) -> bytes:
        """`sha256` is that of all lines before this one; `debits` and `credits` are theirs in the books."""
        told = {name: getattr(self, name) for name in ("count", "first", "last", "head", "debits", "credits")}
        return _encode({"kind": "trailer", **told, "sha256": self.sha256.hexdigest()}) + b"\n"


async def follow(exchange: Exchange, wanted: EventFilter, after: int) -> AsyncIterator[bytes]:
    """Server-sent events from `after` on, for as long as both sides stay and the token is good; a comment when nothing
    happens."""
    events, stopping = exchange.services.events, exchange.services.stopping
    clock, silence = asyncio.get_running_loop().time, exchange.services.heartbeat_seconds
    spoken = clock()
    yield b"retry: 2000\n\n"
    while not stopping.is_set() and await still_let_in(exchange):
        found = await events.events(wanted, after, STREAMED_AT_ONCE)
        after = found.read_to
        if found.events:
            spoken = clock()
            yield b"".join(server_sent(event) for event in found.events)
        if found.read_to >= found.head:
            if wanted.recorded_to is None:
                await events.moved(after, WAKE_SECONDS)
            else:  # the log may have moved past the end of the range long ago
                await asyncio.sleep(WAKE_SECONDS)
        if clock() - spoken >= silence:
            spoken = clock()
            yield b": still here\n\n"


async def still_let_in(exchange: Exchange) -> bool:
    """Whether the token that began the stream is good yet: one that ended or was revoked reads nothing more."""
    token = exchange.token
    return token is not None and await exchange.services.door.caller(token) == exchange.caller


def server_sent(event: dict[str, Any]) -> bytes:
    """The event in the form of `text/event-stream`; its id is the position to resume after."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (int(event["sequence"]), event["type"].encode(), _encode(event))


def resumed_at(exchange: Exchange) -> int:
    """The position of `Last-Event-ID`, else of `after`; raises InputRefused for an id that names none: to begin again
    at the first event would tell a reader of what he has read."""
    last = exchange.header(b"last-event-id")
    if not last:
        return int(exchange.query["after"])
    if (code := whole(0, 10**POSITION_DIGITS)(last)) is not None:
        raise InputRefused(errors=[{"pointer": "/Last-Event-ID", "code": code}])
    return int(last)


FILTERS = (
    AFTER,
    text_parameter("type", "Of this type alone, as in `cardledger.card.card-locked.v1`."),
    text_parameter("actor", "By this subject alone."),
    text_parameter("correlation", "Of this story alone."),
    day_parameter("value_from", "The first value date; facts without a value date are left out."),
    day_parameter("value_to", "The last value date."),
    instant_parameter("recorded_from", "Recorded at this instant or later."),
    instant_parameter("recorded_to", "Recorded at this instant or earlier."),
    *PAGING,
)


def _row(path: str, operation_id: str, summary: str, *more: Any) -> Operation:
    return Operation(
        method="GET",
        path=path,
        operation_id=operation_id,
        summary=summary,
        description="CloudEvents 1.0. NDJSON ends at the head, with a trailer line that counts and sums; "
        "`text/event-stream` stays, `Last-Event-ID` resumes. A page may hold fewer rows than its limit.",
        tag=TAG,
        permission="audit",
        handler=read_events,
        query=(*more, *FILTERS),
        answer=Events,
        reads=THE_LOG,
        media=(JSON, NDJSON, EVENT_STREAM),
        refusals=("cursor-invalid", "position-unknown"),
    )


OPERATIONS = (
    _row("/v1/events", "readEvents", "Read the log", id_parameter("stream", "Of this stream alone.", UUID)),
    _row("/v1/cards/{card_id}/events", "readCardEvents", "Read the stream of a card"),
    _row("/v1/members/{member_id}/events", "readMemberEvents", "Read the stream of a member"),
)
