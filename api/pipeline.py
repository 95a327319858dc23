"""The way of a request: size, media type, JSON → path → authenticate → authorise → fields → idempotency key → the act.

What must stay true: this order, for every operation. Nothing is looked up for a malformed request, nothing of a body is
judged for a caller who may not ask, and nothing is decided before all of it has passed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from functools import lru_cache
from uuid import UUID

from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.exchange import Exchange, Reply, accepted_media
from api.faults import (
    BodyTooLarge,
    BodyTooSlow,
    HeaderRepeated,
    HeadersTooLarge,
    IdempotencyKeyMissing,
    MalformedJson,
    MediaType,
    MethodNotAllowed,
    NotAcceptable,
    Unauthenticated,
)
from api.operation import Operation
from api.problems import problem
from api.reading import wait_until_fresh
from api.strict_json import parse_json
from ledger.instruction import ANONYMOUS, Answer, Caller, IdempotencyKey
from ledger.refusals import NotFound, Refusal, RoleNotPermitted

BODY_MAX = 16 * 1024
BODY_SECONDS = 10.0
HEADERS_MAX = 32 * 1024
SINGULAR = frozenset({b"authorization", b"content-length", b"content-type", b"host", b"idempotency-key"})
"""Headers that may stand once: two of them would be read differently by two readers."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_KEY = re.compile(r"[!-~]{1,255}")
_PARAMETER = r"""[ \t]*;[ \t]*([!#$%&'*+.^_`|~0-9a-z-]+)=([!#$%&'*+.^_`|~0-9a-z-]+|"[^"\\]*")"""
_JSON = re.compile(rf"application/json((?:{_PARAMETER})*)[ \t]*", re.IGNORECASE)


class Resource:
    """One path with its operations by method: an ASGI application, so that a request costs no routing layer more."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self.operations = dict(operations)
        if "GET" in self.operations:
            self.operations["HEAD"] = self.operations["GET"]
        self.allow = ", ".join(sorted(self.operations)).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["exchange"]
        operation = self.operations.get(exchange.method)
        try:
            if operation is None:
                raise MethodNotAllowed
            exchange.services = scope["app"].state.services
            reply = await answer(operation, exchange, receive)
        except Refusal as refusal:
            reply = refused(refusal, exchange, operation)
            if operation is None:
                reply.headers.append((b"allow", self.allow))
        if isinstance(reply, Response):
            if exchange.method == "HEAD" and isinstance(reply, StreamingResponse):
                reply.body_iterator = iterate_in_threadpool(())  # not begun: it might never end
            await reply(scope, receive, send)
        else:
            await deliver(reply, exchange, send)


async def answer(operation: Operation, exchange: Exchange, receive: Receive) -> Reply | Response:
    """The answer of the operation; raises the refusal that comes first in the order of checks."""
    exchange.operation = operation.operation_id
    exchange.act = "" if operation.at_login else operation.operation_id
    if exchange.length > HEADERS_MAX:
        raise HeadersTooLarge
    if exchange.repeated and exchange.repeated & SINGULAR:
        raise HeaderRepeated
    value = await read_json(exchange, receive) if operation.body else None
    refuse_unacceptable(operation.media, exchange.header(b"accept"))
    exchange.ids = {name: identifier(text) for name, text in exchange.scope["path_params"].items()}
    exchange.caller = await authenticate(exchange, operation)
    authorise(exchange.caller, operation, exchange.ids)
    await read_fields(operation, exchange, value)
    if operation.keyed or (operation.takes_key and b"idempotency-key" in exchange.headers):
        exchange.key = idempotency_key(exchange)
    if operation.reads is not None:
        await wait_until_fresh(exchange, operation.reads)
    if exchange.caller.role == "auditor":
        await put_on_record(exchange)
    outcome = await operation.handler(exchange)
    if not isinstance(outcome, Answer):
        return outcome
    return Reply.of(outcome, operation.status, [(b"cache-control", b"no-store")])


async def put_on_record(exchange: Exchange) -> None:
    """Note what an auditor asked for; a read that cannot be noted is not answered."""
    if exchange.services.access_log is not None:
        await exchange.services.access_log.put_on_record(
            subject=exchange.caller.subject,
            role=exchange.caller.role,
            operation=exchange.operation,
            path=exchange.path,
            query=exchange.scope["query_string"].decode("ascii"),
            request_id=exchange.request_id,
        )


async def read_json(exchange: Exchange, receive: Receive) -> object:
    """The body as JSON: its size first, then its media type, then its syntax."""
    exchange.raw = await read_body(exchange.header(b"content-length"), receive)
    if b"content-encoding" in exchange.headers or not is_json(exchange.header(b"content-type")):
        raise MediaType
    return parse_json(exchange.raw)


@lru_cache(maxsize=64)
def is_json(content_type: str) -> bool:
    """Whether it is JSON in UTF-8: a parameter that JSON does not know changes nothing."""
    found = _JSON.fullmatch(content_type)
    if found is None:
        return False
    parameters = re.findall(_PARAMETER, found[1], re.IGNORECASE)
    return all(value.strip('"').lower() == "utf-8" for name, value in parameters if name.lower() == "charset")


async def read_body(announced: str, receive: Receive) -> bytes:
    """At most 16 KiB within 10 s, whatever length was announced; reading stops where either is exceeded."""
    if announced.isascii() and announced.isdigit() and (len(announced) > 9 or int(announced) > BODY_MAX):
        raise BodyTooLarge
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _received(receive)
    except TimeoutError:
        raise BodyTooSlow from None


async def _received(receive: Receive) -> bytes:
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise MalformedJson  # half a body is never acted on
        body += message.get("body", b"")
        if len(body) > BODY_MAX:
            raise BodyTooLarge
        more = message.get("more_body", False)
    return body


def refuse_unacceptable(media: tuple[str, ...], accept: str) -> None:
    """Raises NotAcceptable when no form of the answer is among those that the request accepts."""
    if not accept or accept == "*/*":
        return
    accepted = accepted_media(accept)
    if "*/*" not in accepted and not any(
        form in accepted or f"{form.partition('/')[0]}/*" in accepted for form in (*media, "application/problem+json")
    ):
        raise NotAcceptable


def identifier(text: str) -> UUID:
    """An id in its one spelling; any other spelling names nothing."""
    if not _ID.fullmatch(text):
        raise NotFound
    return UUID(text)


async def authenticate(exchange: Exchange, operation: Operation) -> Caller:
    """Who calls; a caller without a token is anonymous where that is enough, and nobody is asked where all may come."""
    if operation.open:
        return ANONYMOUS
    given = exchange.header(b"authorization")
    if not given and operation.public:
        return ANONYMOUS
    token = exchange.token
    caller = await exchange.services.door.caller(token) if token else None
    if caller is None:
        raise Unauthenticated
    return caller


def authorise(caller: Caller, operation: Operation, ids: Mapping[str, UUID]) -> None:
    """Raises RoleNotPermitted; a member who names what belongs to another is told what a random id is told."""
    if caller.role not in operation.roles:
        raise RoleNotPermitted
    if caller.is_member and (
        ids.get("member_id", caller.member_id) != caller.member_id
        or ids.get("card_id", caller.card_id) != caller.card_id
    ):
        raise NotFound


async def read_fields(operation: Operation, exchange: Exchange, value: object) -> None:
    """Judge the body and the query, and what the role may do with them."""
    try:
        exchange.query = operation.read_query(exchange.scope["query_string"])
        if operation.body is not None:
            exchange.body = operation.body.read(value)
    except Refusal:
        if operation.outage is not None:
            await exchange.services.ledger.refuse_during_outage(exchange.order, operation.outage)
        raise
    if operation.narrow is not None:
        operation.narrow(exchange)


def idempotency_key(exchange: Exchange) -> IdempotencyKey:
    """The key of the act, scoped to the subject and bound to this request."""
    given = exchange.header(b"idempotency-key")
    if not _KEY.fullmatch(given):
        raise IdempotencyKeyMissing
    fingerprint = exchange.fingerprint(exchange.services.fingerprint_key)
    return IdempotencyKey(subject=exchange.caller.subject, key=given, fingerprint=fingerprint)


def refused(refusal: Refusal, exchange: Exchange, operation: Operation | None = None) -> Reply:
    """The problem that tells the refusal."""
    status, body, headers = problem(
        refusal,
        language=exchange.language,
        request_id=exchange.request_id,
        at_login=operation is not None and operation.at_login,
    )
    if isinstance(refusal, (BodyTooLarge, BodyTooSlow)):
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    return Reply(status, body, headers, refusal.code)


async def deliver(reply: Reply, exchange: Exchange, send: Send) -> None:
    """Send a finished reply; a HEAD takes the headers alone."""
    exchange.code = reply.code
    headers = [*reply.headers]
    if reply.status != 204:
        headers.append((b"content-length", b"%d" % len(reply.body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if exchange.method == "HEAD" else reply.body})
