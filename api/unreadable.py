"""What the server answers where bytes are no request that it can read: a problem like any other.

What must stay true: nothing of what was sent is in the answer, an answer is never written in the place of another
request's, and the connection is closed: where the next request would begin is not known.
"""

from __future__ import annotations

from http import HTTPStatus
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.faults import RequestRefused
from api.problems import problem


class Protocol(HttpToolsProtocol):
    """The server's own reading of HTTP, but for the words in which it gives up."""

    def _unsupported_upgrade_warning(self) -> None:
        """The server calls this where another protocol is asked for. It reads no body behind such a header.

        The request is answered as it stands; what follows it would be taken for a request of its own.
        """
        self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """The server calls this for an unknown method, a broken header and the like; `msg` is its own sentence."""
        del msg
        if self.pipeline or (self.cycle and not (self.cycle.more_body or self.cycle.response_complete)):
            self.transport.close()  # a request before this one is not answered yet
            return
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
