"""The log itself, for auditors: a page, NDJSON to the head, or a stream that stays, by `Accept`.

What must stay true: the position is the order and the only cursor, so a reader who resumes misses nothing; and no
stream outlives the service.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
from starlette.responses import Response, StreamingResponse

from api.cursors import opened
from api.exchange import Exchange, Reply
from api.operation import Operation
from api.ports import EventFilter, Page
from api.read_answers import Events
from api.reading import AFTER, PAGING, id_parameter, page_reply, text_parameter

TAG = "audit"
JSON, NDJSON, EVENT_STREAM = "application/json", "application/x-ndjson", "text/event-stream"
STREAMED_AT_ONCE = 500
HEARTBEAT_SECONDS = 15.0
WAKE_SECONDS = 1.0
STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

_encode = msgspec.json.encode


async def read_events(exchange: Exchange) -> Reply | Response:
    wanted = EventFilter(
        stream=exchange.ids.get("card_id") or exchange.ids.get("member_id") or exchange.query.get("stream"),
        type=exchange.query.get("type"),
        actor=exchange.query.get("actor"),
        correlation=exchange.query.get("correlation"),
    )
    accept = exchange.header(b"accept")
    if EVENT_STREAM in accept:
        lines = follow(exchange, wanted, resumed_at(exchange))
        return StreamingResponse(lines, media_type=EVENT_STREAM, headers=STREAM_HEADERS)
    if NDJSON in accept:
        return await export(exchange, wanted)
    return await event_page(exchange, wanted)


async def event_page(exchange: Exchange, wanted: EventFilter) -> Reply:
    """One page, oldest first, and a cursor while there may be more."""
    after = int(opened(exchange) or exchange.query["after"])
    found = await exchange.services.events.events(wanted, after, exchange.query["limit"])
    more = str(found.read_to) if found.read_to < found.head else None
    return page_reply(exchange, Page(found.head, found.events, more))


async def export(exchange: Exchange, wanted: EventFilter) -> Response:
    """Every event up to the head of this moment, one a line."""
    events, after = exchange.services.events, exchange.query["after"]
    first = await events.events(wanted, after, STREAMED_AT_ONCE)

    async def lines() -> AsyncIterator[bytes]:
        found = first
        while True:
            told = [event for event in found.events if int(event["sequence"]) <= first.head]
            yield b"".join(_encode(event) + b"\n" for event in told)
            if found.read_to >= first.head or exchange.services.stopping.is_set():
                return
            found = await events.events(wanted, found.read_to, STREAMED_AT_ONCE)

    headers = {**STREAM_HEADERS, "ledger-position": str(first.head)}
    return StreamingResponse(lines(), media_type=NDJSON, headers=headers)


async def follow(exchange: Exchange, wanted: EventFilter, after: int) -> AsyncIterator[bytes]:
    """Server-sent events from `after` on, for as long as both sides stay; a comment when nothing happens."""
    events, stopping = exchange.services.events, exchange.services.stopping
    quiet = 0.0
    yield b"retry: 2000\n\n"
    while not stopping.is_set():
        found = await events.events(wanted, after, STREAMED_AT_ONCE)
        after = found.read_to
        if found.events:
            quiet = 0.0
            yield b"".join(server_sent(event) for event in found.events)
        if found.read_to >= found.head:
            await events.moved(after, WAKE_SECONDS)
            quiet += WAKE_SECONDS
        if quiet >= HEARTBEAT_SECONDS:
            quiet = 0.0
            yield b": still here\n\n"


def server_sent(event: dict[str, Any]) -> bytes:
    """The event in the form of `text/event-stream`; its id is the position to resume after."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (int(event["sequence"]), event["type"].encode(), _encode(event))


def resumed_at(exchange: Exchange) -> int:
    """The position of `Last-Event-ID`, else of `after`."""
    last = exchange.headers.get(b"last-event-id", b"")
    return int(last) if last.isdigit() and len(last) <= 18 else int(exchange.query["after"])


FILTERS = (
    AFTER,
    text_parameter("type", "Of this type alone, as in `cardledger.card.card-locked.v1`."),
    text_parameter("actor", "By this subject alone."),
    text_parameter("correlation", "Of this story alone."),
    *PAGING,
)


def _row(path: str, operation_id: str, summary: str, *more: Any) -> Operation:
    return Operation(
        method="GET",
        path=path,
        operation_id=operation_id,
        summary=summary,
        description="CloudEvents 1.0. NDJSON ends at the head; `text/event-stream` stays, `Last-Event-ID` resumes.",
        tag=TAG,
        permission="audit",
        handler=read_events,
        query=(*more, *FILTERS),
        answer=Events,
        media=(JSON, NDJSON, EVENT_STREAM),
        refusals=("cursor-invalid",),
    )


OPERATIONS = (
    _row("/v1/events", "readEvents", "Read the log", id_parameter("stream", "Of this stream alone.", UUID)),
    _row("/v1/cards/{card_id}/events", "readCardEvents", "Read the stream of a card"),
    _row("/v1/members/{member_id}/events", "readMemberEvents", "Read the stream of a member"),
)
