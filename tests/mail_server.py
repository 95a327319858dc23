"""A little SMTP server: enough of RFC 5321 for a client of the standard library, with mailboxes to look into."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default


@dataclass
class MailServer:
    """What arrived, and who is refused; `port` is where it listens."""

    port: int = 0
    arrived: list[Message] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)

    def to(self, address: str) -> list[str]:
        """The texts that arrived for the address, in order."""
        return [str(mail.get_content()) for mail in self.arrived if mail["To"] == address]  # type: ignore[attr-defined]

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            words = line.decode().strip()
            verb = words[:4].upper()
            if verb == "RCPT" and any(address in words for address in self.refuses):
                writer.write(b"550 no such mailbox\r\n")
            elif verb == "DATA":
                writer.write(b"354 go on\r\n")
                raw = await reader.readuntil(b"\r\n.\r\n")
                self.arrived.append(message_from_bytes(raw[:-3].replace(b"\r\n..", b"\r\n."), policy=default))
                writer.write(b"250 taken\r\n")
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 fine\r\n")
        writer.close()


@contextmanager
def mail_server(port: int = 0) -> Iterator[MailServer]:
    """The server on a thread of its own."""
    box = MailServer()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(box.talk, "127.0.0.1", port), loop)
    server = listening.result(timeout=10)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
