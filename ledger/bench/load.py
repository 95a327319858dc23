"""The load: a process of its own with raw sockets, keep-alive and requests made ready, so that its cost is its own.

It is told what to do by JSON lines on standard input and answers by JSON lines. What must stay true: a response is
counted once it is whole, and one connection never has two requests under way.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any

CUT_OFF = 0
"""What stands for the status of an answer that did not come; its connection sends nothing more."""
GRACE_SECONDS = 10.0
"""How long the last answers of a slice may take."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests that differ in their path and their idempotency key alone."""

    before_path: bytes
    paths: tuple[bytes, ...]
    after_path: bytes
    keyed: bool

    @classmethod
    def of(cls, told: dict[str, Any]) -> Kind:
        body = told.get("body", "").encode()
        lines = [" HTTP/1.1", "host: 127.0.0.1", *(f"{name}: {value}" for name, value in told["headers"].items())]
        if body:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        # The key's header comes last, so that a request is two joins.
        tail = b"\r\n" + body if told["keyed"] else b"\r\n\r\n" + body
        head = "\r\n".join(lines).encode() + (b"\r\nidempotency-key: %b" if told["keyed"] else b"%b")
        paths = tuple(path.encode() for path in told["paths"])
        return cls(told["method"].encode() + b" ", paths, head + b"\r\n" * told["keyed"] + tail, told["keyed"])

    def requests(self, number: int, of: int, keys: Iterator[bytes]) -> Iterator[bytes]:
        """Requests without end for one of several connections: each has its own share of the paths."""
        own = self.paths[number::of] or (self.paths[number % len(self.paths)],)
        for path in cycle(own):
            yield self.before_path + path + self.after_path % (next(keys) if self.keyed else b"")


@dataclass(slots=True)
class Connection:
    """A socket with the answer that it is receiving."""

    socket: socket.socket
    requests: Iterator[bytes]
    received: bytes = b""
    sent_at: float = 0.0

    def send(self) -> None:
        self.received = b""
        request = next(self.requests)
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """The status of the answer, once it is whole; `CUT_OFF` when the server hung up."""
        try:
            return self._received()
        except ConnectionError:
            return CUT_OFF

    def _received(self) -> int | None:
        news = self.socket.recv(65536)
        if not news:
            raise ConnectionError("the server closed the connection")
        self.received += news
        head = self.received.find(b"\r\n\r\n")
        if head < 0:
            return None
        length = self.received.find(b"content-length: ", 0, head)
        wanted = int(self.received[length + 16 : self.received.index(b"\r\n", length)]) if length >= 0 else 0
        return int(self.received[9:12]) if len(self.received) >= head + 4 + wanted else None


@dataclass(slots=True)
class Told:
    """What a slice brought."""

    statuses: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        self.milliseconds.append(seconds * 1000)

    def as_json(self) -> dict[str, Any]:
        ordered = sorted(self.milliseconds)
        at = {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
              for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}  # fmt: skip
        return {
            "good": sum(number for status, number in self.statuses.items() if 200 <= status < 300),
            "created": self.statuses[201],
            "bad": {str(status): number for status, number in self.statuses.items() if not 200 <= status < 300},
            "seconds": self.seconds,
            **at,
        }


def connect(order: dict[str, Any], keys: Iterator[bytes]) -> list[Connection]:
    """Open the connections of a slice, each with its own share of the requests."""
    kinds = [Kind.of(told) for told in order["kinds"]]
    opened = []
    for number in range(order["connections"]):
        streams = [kind.requests(number, order["connections"], keys) for kind in kinds]
        link = socket.create_connection(("127.0.0.1", order["port"]))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        turns = order["turns"]
        start = number * len(turns) // order["connections"] % len(turns)  # what is rare does not come all at once
        opened.append(Connection(link, _in_turns(streams, turns[start:] + turns[:start])))
    return opened


def _in_turns(streams: list[Iterator[bytes]], turns: list[int]) -> Iterator[bytes]:
    for turn in cycle(turns):
        yield next(streams[turn])


def drive(connections: list[Connection], seconds: float) -> Told:
    """Keep every connection busy for so long, then wait for the last answers."""
    told = Told()
    by_number = {connection.socket.fileno(): connection for connection in connections}
    poll = select.epoll()
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    started = time.perf_counter()
    deadline, under_way = started + seconds, len(connections)
    for connection in connections:
        connection.send()
    while under_way and time.perf_counter() < deadline + GRACE_SECONDS:
        for number, _ in poll.poll(1.0):
            connection = by_number[number]
            status = connection.receive()
            if status is None:
                continue
            now = time.perf_counter()
            told.add(status, now - connection.sent_at)
            if now < deadline and status != CUT_OFF:
                connection.send()
            else:
                poll.unregister(number)
                under_way -= 1
    told.seconds = time.perf_counter() - started
    poll.close()
    return told


def drive_at(rate: float, connections: list[Connection], seconds: float) -> Told:
    """Send so many requests a second, however long the answers take; a time counts from when its request was due."""
    told, idle, sent, wanted = Told(), deque(connections), 0, int(rate * seconds)
    by_number = {connection.socket.fileno(): connection for connection in connections}
    poll = select.epoll()
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    started = now = time.perf_counter()
    while by_number and (sent < wanted or len(idle) < len(by_number)) and now < started + seconds + GRACE_SECONDS:
        while idle and sent < wanted and started + sent / rate <= now:
            connection = idle.popleft()
            connection.send()
            connection.sent_at = started + sent / rate
            sent += 1
        due = started + sent / rate if idle and sent < wanted else now + 1.0
        for number, _ in poll.poll(max(0.0, due - now)):
            status = by_number[number].receive()
            if status is None:
                continue
            told.add(status, time.perf_counter() - by_number[number].sent_at)
            if status == CUT_OFF:
                poll.unregister(number)
                del by_number[number]
            else:
                idle.append(by_number[number])
        now = time.perf_counter()
    told.statuses[CUT_OFF] += wanted - sent
    told.seconds = now - started
    poll.close()
    return told


def main() -> None:
    """Serve orders until standard input ends: connect, say so, wait for the word, drive, tell."""
    numbers = count()
    for line in sys.stdin:
        order = json.loads(line)
        keys = (b"%s-%d" % (order["run"].encode(), number) for number in numbers)
        connections = connect(order, keys)
        _say({"ready": True})
        sys.stdin.readline()
        rate, seconds = order.get("rate"), order["seconds"]
        _say((drive(connections, seconds) if rate is None else drive_at(rate, connections, seconds)).as_json())
        for connection in connections:
            connection.socket.close()


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
