"""What the server answers where bytes are no request that it can read: a problem like any other.

What must stay true: nothing of what was sent is in the answer, and the connection is closed: where the next request
would begin is not known.
"""

from __future__ import annotations

from http import HTTPStatus
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.faults import RequestRefused
from api.problems import problem


class Protocol(HttpToolsProtocol):
    """The server's own reading of HTTP, but for the words in which it gives up."""

    def send_400_response(self, msg: str) -> None:
        """The server calls this for an unknown method, a broken header and the like; `msg` is its own sentence."""
        del msg
        request_id = str(uuid4())
        status, body, headers = problem(RequestRefused(), language="en", request_id=request_id)
        headers += [
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        head = b"HTTP/1.1 %d %s\r\n" % (status, HTTPStatus(status).phrase.encode())
        self.transport.write(head + b"".join(b"%s: %s\r\n" % header for header in headers) + b"\r\n" + body)
        self.transport.close()
