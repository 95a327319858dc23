"""The outbox: mails written in the commit of what they tell, read by the sandbox and emptied by a sender.

What must stay true: a mail is marked as sent only after the transport took it: one may go out twice, none is lost. One
process sends at a time, each mail is a commit of its own, and a mail that nobody takes holds up no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool

from ledger.application.mails import notice
from ledger.store.directory import Directory
from ledger.store.personal import BoxDamaged

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
_PAGE = 20
_SENDER = 7_010_112_204  # "one process sends", an advisory lock of the session
_UNSENT = """
select mail_id, member_id, kind, box, written_at from outbox
where sent_at is null and (box is not null or kind <> 'password-reset') and mail_id <> all(%s)
order by written_at limit %s
"""
# The box is dropped: a token is of no use to anybody once it is in the mail.
_SENT = "update outbox set sent_at = clock_timestamp(), box = null where mail_id = %s"
_NEWEST = "select mail_id, member_id, kind, box, written_at from outbox order by written_at desc, mail_id limit %s"

REFUSED = (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, ValueError, BoxDamaged)
"""The fault lies in this one mail: it waits, longer each time, and the next one goes out."""
_LONGEST_WAIT = 3600.0

Transport = Callable[[dict[str, str]], None]
"""Sends one mail (`to`, `subject`, `text`) and returns, or raises OSError or smtplib.SMTPException."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it would go out; `content` is None where the member's key is gone."""

    mail_id: UUID
    member_id: UUID
    kind: str
    written_at: datetime
    content: dict[str, str] | None


class Outbox:
    """Reads and sends what the ledger wrote."""

    def __init__(self, pool: AsyncConnectionPool[Any], directory: Directory) -> None:
        self._pool = pool
        self._directory = directory
        self._stopping = asyncio.Event()
        self._refused: dict[UUID, tuple[int, float]] = {}
        """Of mails that were refused: how often, and when (of the monotonic clock) they are tried again."""

    async def newest(self, limit: int = 200) -> list[dict[str, Any]]:
        """The mails that would have been sent, the newest first."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_NEWEST, (limit,))).fetchall()
        return [_told(await self._mail(row)) for row in rows]

    def stop(self) -> None:
        self._stopping.set()

    async def send_on(self, transport: Transport) -> None:
        """Send what is written, until stopped; a transport that fails is tried again."""
        while not self._stopping.is_set():
            sent = 0
            try:
                sent = await self.send_some(transport)
            except (OSError, psycopg.Error) as fault:  # what smtplib raises is an OSError
                log.warning("outbox.not-sent", fault=type(fault).__name__)
            if sent < _PAGE:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), POLL_SECONDS)

    async def send_some(self, transport: Transport) -> int:
        """Send a page of mails unless another process is at it; how many are out.

        Nothing waits inside a transaction for the mail server, however slow it is.
        """
        async with self._pool.connection() as connection:
            row = await (await connection.execute("select pg_try_advisory_lock(%s)", (_SENDER,))).fetchone()
            if row != (True,):
                return 0
            try:
                waiting = [mail_id for mail_id, (_, until) in self._refused.items() if time.monotonic() < until]
                rows = await (await connection.execute(_UNSENT, (waiting, _PAGE))).fetchall()
                return sum([await self._send(connection, row, transport) for row in rows])
            finally:
                await connection.execute("select pg_advisory_unlock(%s)", (_SENDER,))

    async def _send(self, connection: psycopg.AsyncConnection[Any], row: tuple[Any, ...], transport: Transport) -> bool:
        """Whether the mail is out. Raises OSError when the transport itself fails."""
        mail_id: UUID = row[0]
        try:
            mail = await self._mail(row)
            if mail.content is not None:
                await asyncio.to_thread(transport, mail.content)
        except REFUSED as fault:
            times = self._refused.get(mail_id, (0, 0.0))[0] + 1
            self._refused[mail_id] = (times, time.monotonic() + min(2.0**times, _LONGEST_WAIT))
            log.warning("outbox.mail-refused", mail_id=str(mail_id), times=times, fault=type(fault).__name__)
            return False
        await connection.execute(_SENT, (mail_id,))
        self._refused.pop(mail_id, None)
        return True

    async def _mail(self, row: tuple[Any, ...]) -> Mail:
        mail_id, member_id, kind, box, written_at = row
        content: dict[str, str] | None = None
        if box is not None:
            key = await self._directory.key_of(member_id)
            content = key.open(mail_id, 0, "mail", bytes(box)) if key is not None else None
        elif (personal := await self._directory.personal(member_id)) is not None:
            content = notice(kind, personal.facts["email"]) if kind != "password-reset" else None
        return Mail(mail_id, member_id, kind, written_at, content)


def _told(mail: Mail) -> dict[str, Any]:
    return {
        "mail_id": str(mail.mail_id),
        "member_id": str(mail.member_id),
        "kind": mail.kind,
        "written_at": mail.written_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        **(mail.content or {}),
    }


def smtp(host: str, port: int, sender: str, *, starttls: bool, user: str | None, password: str | None) -> Transport:
    """A transport over SMTP; one connection for each mail."""

    def send(mail: dict[str, str]) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, mail["to"], mail["subject"]
        message.set_content(mail["text"])
        with smtplib.SMTP(host, port, timeout=10) as connection:
            if starttls:
                connection.starttls()
            if user is not None:
                connection.login(user, password or "")
            connection.send_message(message)

    return send
