"""The bench's side of the load: starts the process, gives it orders, and takes CPU times around each slice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

from ledger.faults import EnvironmentFault


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests of one kind: they differ in their path and in their idempotency key."""

    method: str
    paths: tuple[str, ...]
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """What a slice was answered: 2xx, those of them that made something, others by status; times in milliseconds."""

    good: int
    created: int
    bad: dict[str, int]
    seconds: float
    p50: float
    p90: float
    p99: float


class Load:
    """The load process; `created` counts the 201s of each port, for the check afterwards."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.created: Counter[int] = Counter()

    def slice(
        self,
        port: int,
        kinds: Sequence[Kind],
        turns: Sequence[int],
        *,
        connections: int,
        seconds: float,
        rate: float | None = None,
        started: Callable[[], None] = lambda: None,
    ) -> Answers:
        """Drive a server for so long, as fast as it answers or at a rate of requests a second.

        `started` is called when the connections stand and nothing was sent yet.
        """
        self._tell(
            {
                "port": port,
                "kinds": [asdict(kind) for kind in kinds],
                "turns": list(turns),
                "connections": connections,
                "seconds": seconds,
                "rate": rate,
                "run": uuid4().hex[:12],
            }
        )
        self._hear()
        started()
        self._tell({"go": True})
        answers = Answers(**self._hear())
        self.created[port] += answers.created
        return answers

    def _tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EnvironmentFault("The load process ended.", "What it wrote above says why.")
        heard: dict[str, Any] = json.loads(line)
        return heard


@contextmanager
def load() -> Iterator[Load]:
    """A load process for as long as this lasts."""
    command = [sys.executable, "-m", "ledger.bench.load"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            yield Load(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
