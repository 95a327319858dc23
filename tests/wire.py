"""HTTP as bytes on a socket, for requests that no client library would send, and what a refused one must not change.

What must stay true: nothing is put right on the way; an answer is what the server sent, or None where it only hung up.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from ledgers import rows
from serving import Client

LOGIN = "POST /v1/sessions"
JSON = ("Content-Type", "application/json")
TYPED = "zq83kv19"
"""What a caller typed and must not get back."""
STATE = """
select json_build_array(
    (select count(*) from ledger_events), (select count(*) from sessions), (select count(*) from idempotency),
    (select count(*) from unknown_numbers), (select count(*) from login_sources), (select count(*) from outbox),
    (select count(*) from reset_tokens), (select count(*) from credentials), (select count(*) from web_ids))::text
"""


@dataclass(frozen=True)
class Told:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of a problem, or the status of anything else."""
        if self.headers.get("content-type") != "application/problem+json":
            return str(self.status)
        code: str = json.loads(self.body)["code"]
        return code

    @property
    def problem(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


def request(line: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = (JSON,)) -> bytes:
    """A request with its length; `line` is method and path."""
    given = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"{line} HTTP/1.1\r\nHost: localhost\r\n{given}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("latin-1") + body


def send(port: int, raw: bytes, seconds: float = 10) -> Told | None:
    """Send the bytes and read one answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # it had answered before it had read everything
            connection.sendall(raw)
        return parsed(received(connection))


def received(connection: socket.socket) -> bytes:
    """What arrives until one answer is whole, or the other side hangs up."""
    data = b""
    while not whole(data):
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            break
        if not more:
            break
        data += more
    return data


def whole(data: bytes) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    length = _headers(head).get("content-length", "0")
    return len(body) >= int(length)


def parsed(data: bytes) -> Told | None:
    if not data:
        return None
    head, _, body = data.partition(b"\r\n\r\n")
    return Told(int(head.split(b" ", 2)[1]), _headers(head), body)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def state(server: Client) -> str:
    """What a refused request must not change: the number of rows of every table that acts write."""
    return str(rows(server.dsn, STATE)[0])


def refused(server: Client, raw: bytes, *typed: str) -> Told | None:
    """The answer to a request that changes nothing and hears nothing of what it said."""
    before = state(server)
    told = send(server.port, raw)
    assert state(server) == before
    if told is not None:
        for text in (TYPED, *typed):
            assert text.encode() not in told.body
            assert text not in str(told.headers)
    return told


def keyed(token: str) -> tuple[tuple[str, str], ...]:
    """The headers of an act of the token's holder, under a key of its own."""
    return (JSON, ("Authorization", f"Bearer {token}"), ("Idempotency-Key", str(uuid4())))
