"""One request and its answer, as the pipeline passes them along.

What must stay true: a header is read once, a repeated one is known to be repeated, and who calls comes from the token
alone.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID, uuid4

import msgspec
from pydantic import BaseModel
from starlette.types import Scope

from api.ports import Services
from api.problems import language_of
from ledger.aggregates.fact import Cause
from ledger.instruction import ANONYMOUS, Answer, Caller, IdempotencyKey, Instruction

Body = TypeVar("Body", bound=BaseModel)
Headers = list[tuple[bytes, bytes]]

_encoder = msgspec.json.Encoder()
_TOKEN = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +((?:ms|st)_[0-9A-Za-z_-]{16,512})")
_REQUEST_ID = re.compile(rb"[0-9A-Za-z._:-]{1,128}")
_TRACE_PARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(slots=True)
class Reply:
    """A finished answer: status, body and headers."""

    status: int
    body: bytes = b""
    headers: Headers = field(default_factory=list)
    code: str | None = None
    """The code of the refusal that it tells, for the log line."""

    @classmethod
    def of(cls, answer: Answer, status: int, headers: Headers) -> Reply:
        """What the ledger or a reader answered, at its position; 0 is the position of an answer that tells none."""
        headers = [(b"content-type", b"application/json"), *headers]
        if answer.position:
            headers.append((b"ledger-position", b"%d" % answer.position))
        if answer.replayed:
            headers.append((b"idempotent-replayed", b"true"))
        return cls(status, b"" if status == 204 else _encoder.encode(answer.body), headers)

    @classmethod
    def plain(cls, value: object, status: int = 200) -> Reply:
        """A value that stands at no position of the log."""
        body = b"" if status == 204 else _encoder.encode(value)
        return cls(status, body, [(b"content-type", b"application/json"), (b"cache-control", b"no-store")])


class Exchange:
    """One request under way: its headers, and what the pipeline has learnt of it so far."""

    __slots__ = (
        "act", "body", "caller", "code", "command_id", "correlation_id", "headers", "ids", "key", "language", "length",
        "method", "operation", "path", "query", "raw", "repeated", "request_id", "scope", "services", "status",
    )  # fmt: skip

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = {}
        self.repeated: set[bytes] = set()
        self.length = 0
        """Bytes of the values of all headers."""
        for name, value in scope["headers"]:
            self.length += len(value)
            if name in self.headers:
                self.repeated.add(name)
            self.headers[name] = value
        self.command_id = uuid4()
        self.request_id, self.correlation_id = _identity(self.headers, self.command_id)
        self.language = language_of(self.header(b"accept-language"))
        self.operation = ""
        self.act = ""
        """The operation, where a refusal of it goes on record."""
        self.caller: Caller = ANONYMOUS
        self.ids: dict[str, UUID] = {}
        self.key: IdempotencyKey | None = None
        self.query: Mapping[str, Any] = {}
        self.raw = b""
        self.body: BaseModel | None = None
        self.status = 0
        self.code: str | None = None
        self.services: Services

    def header(self, name: bytes) -> str:
        """The header as text, empty where it is absent."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def token(self) -> str | None:
        """The bearer token, where one was given in its one form."""
        bearer = _TOKEN.fullmatch(self.header(b"authorization"))
        return bearer[1] if bearer else None

    def taken(self, model: type[Body]) -> Body:
        """The validated body; the operation's table row says which model it is."""
        assert isinstance(self.body, model)
        return self.body

    @property
    def source(self) -> str:
        """The address that the request came from: the peer, or the one that the trusted proxies in front tell.

        Each proxy appends to X-Forwarded-For, so what a client writes there stands before what they say.
        """
        hops = [hop.strip() for hop in self.header(b"x-forwarded-for").split(",")] if self.services.proxies else []
        if 0 < self.services.proxies <= len(hops):
            return hops[-self.services.proxies]
        client = self.scope.get("client")
        return client[0] if client else "unknown"

    @property
    def order(self) -> Instruction:
        """The act as it was asked for."""
        cause = Cause(
            actor=self.caller.subject,
            role=self.caller.role,
            channel=self.caller.channel,
            command_id=self.command_id,
            correlation_id=self.correlation_id,
        )
        return Instruction(caller=self.caller, cause=cause, key=self.key, operation=self.act)

    def fingerprint(self, key: bytes) -> bytes:
        """HMAC over method, path and raw body: the same request again, without keeping what it said."""
        return hmac.digest(key, b"%s %s\n%s" % (self.method.encode(), self.path.encode(), self.raw), "sha256")


@lru_cache(maxsize=512)
def accepted_media(accept: str) -> frozenset[str]:
    """The media ranges of an Accept header that are not ruled out by `q=0`."""
    ranges = set()
    for choice in accept.split(","):
        media, *parameters = (part.strip().lower() for part in choice.split(";"))
        if not any(re.fullmatch(r"q *= *0(\.0*)?", parameter) for parameter in parameters):
            ranges.add(media)
    return frozenset(ranges)


def _identity(headers: Mapping[bytes, bytes], command_id: UUID) -> tuple[str, str]:
    """The id of this request, and the id of the story that it is part of."""
    given = headers.get(b"x-request-id", b"")
    request_id = given.decode("ascii") if _REQUEST_ID.fullmatch(given) else str(command_id)
    parent = _TRACE_PARENT.fullmatch(headers.get(b"traceparent", b""))
    return request_id, parent[1].decode("ascii") if parent else request_id
