"""A client of the HTTP interface in the standard library alone, as anybody might write it.

What must stay true: it knows nothing of the ledger but what the contract says.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

NOBODY = "nobody"
Body = dict[str, Any]
SECONDS = 30
TRIES = 10


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    body: Body


class Client:
    """Asks as one of the roles whose tokens it has, as the member who logged in, or as nobody."""

    def __init__(self, url: str, tokens: dict[str, str]) -> None:
        self.url = url
        self.tokens = dict(tokens)

    def ask(self, caller: str, method: str, path: str, body: Body | None = None, language: str = "en") -> Reply:
        """One request, under an idempotency key of its own."""
        headers = {"Accept-Language": language}
        if caller != NOBODY:
            headers["Authorization"] = f"Bearer {self.tokens[caller]}"
        if body is not None:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
        for _ in range(TRIES):
            try:
                with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                    return Reply(answer.status, json.loads(answer.read() or b"{}"))
            except urllib.error.HTTPError as refusal:
                with refusal:
                    reply = Reply(refusal.code, json.loads(refusal.read() or b"{}"))
                    wait = refusal.headers.get("Retry-After")
            if reply.status != HTTPStatus.SERVICE_UNAVAILABLE or wait is None:
                break
            # No room at this moment: the same request, under the same key, may be sent again.
            time.sleep(int(wait))
        return reply
