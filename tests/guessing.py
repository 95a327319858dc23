"""A process of its own that sends many requests at one time, as an attacker's machine does.

It reads one JSON line per round, `[[port, method and path, headers, body], …]`, opens a connection for each, waits for
the line `go`, sends them all and answers one JSON line, `[[status, body], …]` in order. A 503 is repeated.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

PAUSE = 0.03
Asked = tuple[int, str, dict[str, str], dict[str, Any]]
"""Port, method and path, headers, body."""
Answered = tuple[int, dict[str, Any]]


@dataclass
class Attackers:
    """Some of these processes, which send at the same time."""

    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def send(self, requests: Sequence[Asked]) -> list[Answered]:
        """Send all of the requests at once, dealt out to the processes; the answers in the same order."""
        shares = [list(requests[number :: len(self.processes)]) for number in range(len(self.processes))]
        for process, share in zip(self.processes, shares, strict=True):
            _write(process, json.dumps(share))
        for process in self.processes:
            assert _read(process) == "ready"
        for process in self.processes:
            _write(process, "go")
        answers: list[Answered] = [(0, {})] * len(requests)
        for number, process in enumerate(self.processes):
            told = [(int(status), body) for status, body in json.loads(_read(process))]
            answers[number :: len(self.processes)] = told
        return answers


@contextmanager
def attackers(processes: int = 4) -> Iterator[Attackers]:
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(processes)
        ]
        try:
            yield Attackers(started)
        finally:
            for process in started:
                assert process.stdin is not None
                process.stdin.close()


def _write(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def _persist(asked: Asked, go: asyncio.Event, opened: asyncio.Semaphore) -> Answered:
    """The first answer that is not 503."""
    port, line, headers, body = asked
    content = json.dumps(body).encode()
    head = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    raw = (head + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode() + content
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    opened.release()
    await go.wait()
    while True:
        writer.write(raw)
        status, told = await _answer(reader)
        if status != 503:
            writer.close()
            return status, told
        await asyncio.sleep(PAUSE)


async def _answer(reader: asyncio.StreamReader) -> Answered:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next((line.partition(":")[2] for line in head.split("\r\n") if line.startswith("content-length:")), "0")
    content = await reader.readexactly(int(length))
    return int(head.split(" ", 2)[1]), json.loads(content) if content else {}


async def _round(requests: list[Asked]) -> list[Answered]:
    go, opened = asyncio.Event(), asyncio.Semaphore(0)
    tasks = [asyncio.create_task(_persist(asked, go, opened)) for asked in requests]
    for _ in tasks:
        await opened.acquire()
    print("ready", flush=True)  # noqa: T201  # the pipe to the test
    await asyncio.to_thread(sys.stdin.readline)
    go.set()
    return list(await asyncio.gather(*tasks))


if __name__ == "__main__":
    for line in iter(sys.stdin.readline, ""):
        print(json.dumps(asyncio.run(_round(json.loads(line)))), flush=True)  # noqa: T201
