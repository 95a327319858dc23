"""Requests to a running service over the standard library, and the same requests as lines of a shell script.

What must stay true: a line of the script is what was sent, with names in the place of tokens and of what earlier
answers told: whoever has a sandbox can run it.
"""

from __future__ import annotations

import http.client
import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from ledger.faults import EnvironmentFault

TRIES: Final = 20
BUSY_SECONDS: Final = 0.2

PRELUDE: Final = """\
#!/usr/bin/env bash
# The shortest story that was found, as requests to a sandbox. Tokens of the roles come from the environment.
set -u
LEDGER=${LEDGER:-%s}
WHO=t$RANDOM$RANDOM
ask() { curl -sS -H 'Content-Type: application/json' -H "Idempotency-Key: $RANDOM-$RANDOM-$RANDOM" "$@"; echo; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1], ""))' "$1"; }
clock() { curl -sS -H "Authorization: Bearer $OPERATOR" "$LEDGER/v1/sandbox/clock" | field now; }
later() { python3 -c 'import datetime as d, sys; print((d.datetime.fromisoformat(sys.argv[1].replace("Z", "+00:00")) \\
  + d.timedelta(minutes=int(sys.argv[2]))).isoformat())' "$(clock)" "$1"; }
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """An HTTP answer: its status and its JSON body."""

    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        return "ok" if self.status < 300 else str(self.body.get("code", f"http-{self.status}"))


@dataclass(slots=True)
class Client:
    """One connection to a service; `names` are what paths and bodies may name: `$CARD`, `$SESSION_1`, `$OPERATOR`."""

    url: str
    names: dict[str, str]
    lines: list[str] = field(default_factory=list)
    position: int = 0
    _connection: http.client.HTTPConnection | None = None

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        by: str | None = None,
        saved: Mapping[str, str] | None = None,
    ) -> Answered:
        """Send one request; `by` names the token, `saved` the names to keep and the fields of the answer to keep."""
        self.lines.append(_line(method, path, body, by, saved or {}))
        return self.quietly(method, path, body, by=by, saved=saved)

    def quietly(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        by: str | None = None,
        saved: Mapping[str, str] | None = None,
    ) -> Answered:
        """The same, without a line in the script."""
        sent = None if body is None else Template(json.dumps(body, ensure_ascii=False)).substitute(self.names)
        headers = {"Idempotency-Key": uuid4().hex, "Ledger-Min-Position": str(self.position)}
        if sent is not None:
            headers["Content-Type"] = "application/json"
        if by is not None:
            headers["Authorization"] = f"Bearer {self.names[by]}"
        answered = self._until_there_is_room(method, Template(path).substitute(self.names), sent, headers)
        for name, told in (saved or {}).items():
            if told in answered.body:
                self.names[name] = str(answered.body[told])
        return answered

    def _until_there_is_room(self, method: str, path: str, sent: str | None, headers: dict[str, str]) -> Answered:
        """503 says that nothing was done: the same request, under the same key, is sent again."""
        for _ in range(TRIES):
            answered = self._exchange(method, path, sent, headers)
            if answered.status != 503 or answered.code == "maintenance":
                return answered
            time.sleep(BUSY_SECONDS)
        return answered

    def _exchange(self, method: str, path: str, sent: str | None, headers: dict[str, str]) -> Answered:
        for attempt in (1, 2):
            connection = self._connection or self._connect()
            try:
                connection.request(method, path, None if sent is None else sent.encode(), headers)
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as fault:
                self.close()
                if attempt == 2:
                    reason = getattr(fault, "strerror", None) or type(fault).__name__
                    raise EnvironmentFault(f"{self.url} does not answer ({reason}).", "Give --url.") from fault
                continue
            self.position = max(self.position, int(response.headers.get("Ledger-Position") or 0))
            return Answered(response.status, _object(content))
        raise AssertionError

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise EnvironmentFault(f"{self.url} is not an http or https address.", "Give --url.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=30)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def script(self) -> str:
        """All lines since they were last cleared, runnable."""
        return PRELUDE % self.url + "\n".join(self.lines) + "\n"


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content) if content else {}
    except ValueError:
        value = {}
    return value if isinstance(value, dict) else {}


def _line(method: str, path: str, body: Mapping[str, Any] | None, by: str | None, saved: Mapping[str, str]) -> str:
    words = ["ask", *([] if method == "GET" else ["-X", method])]
    if by is not None:
        words.append(f'-H "Authorization: Bearer ${by}"')
    words.append(f'"$LEDGER{path}"')
    if body is not None:
        words.append("-d " + _named(json.dumps(body, ensure_ascii=False)))
    line = " ".join(words)
    if not saved:
        return line
    kept = "; ".join(f'{name}=$(field {told} <<<"$answer")' for name, told in saved.items())
    return f'answer=$({line}); {kept}; echo "$answer"'


def _named(text: str) -> str:
    """A JSON text in single quotes, with its `$NAMES` outside of them."""
    quoted = shlex.quote(text)
    pattern = Template.pattern
    return pattern.sub(lambda found: "'\"$" + (found["named"] or "") + "\"'", quoted)
