"""Who is let in: sessions of members and tokens of roles, each by one look-up on the primary.

What must stay true: a session is good only while the epochs it was opened under are the present ones, so that a lock, a
stop or a new secret ends it in its own commit, in every process.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg_pool import AsyncConnectionPool

from ledger.instruction import Caller
from ledger.refusals import SessionEnded
from ledger.store.lookup import Lookup
from ledger.store.tokens import PREFIX as ROLE_PREFIX
from ledger.store.tokens import hash_of

PREFIX = "ms_"
IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=12)

_SESSIONS = """
with clock as (select business_now() as now)
select s.token_hash, s.session_id, s.member_id, s.card_id, s.route, s.channel, s.member_epoch, s.card_epoch,
    extract(epoch from clock.now - s.opened)::bigint,
    s.idle_until > clock.now and s.ends > clock.now
        and s.member_epoch = coalesce(m.epoch, 0) and s.card_epoch = coalesce(c.epoch, 0)
        and s.card_id is not distinct from o.card_id,
    s.idle_until < clock.now + interval '14 minutes'
from clock, sessions s
left join epochs m on m.subject = s.member_id
left join epochs c on c.subject = s.card_id
left join cards o on o.member_id = s.member_id and not o.closed
where s.token_hash = any(%s)
"""
_STAY = """
update sessions set idle_until = least(ends, business_now() + %s) where token_hash = any(%s)
"""
_TOKENS = """
select token_hash, role, subject from role_tokens
where token_hash = any(%s) and revoked_at is null and expires_at > clock_timestamp()
"""
SESSIONS_TOLD = 200
_OPEN_SESSIONS = """
select s.session_id, s.route, s.channel, s.opened, s.idle_until, s.ends
from sessions s left join epochs m on m.subject = s.member_id left join epochs c on c.subject = s.card_id
left join cards o on o.member_id = s.member_id and not o.closed
where s.member_id = %s and s.idle_until > business_now() and s.ends > business_now()
  and s.card_id is not distinct from o.card_id
  and s.member_epoch = coalesce(m.epoch, 0) and s.card_epoch = coalesce(c.epoch, 0)
order by s.opened desc limit %s
"""


def new_session(
    now: datetime,
    *,
    member: tuple[UUID, int],
    card: tuple[UUID, int] | None,
    route: str,
    channel: str,
) -> tuple[str, dict[str, Any]]:
    """A session's token, told once, and the row that keeps its hash; member and card come with their epochs."""
    token = PREFIX + secrets.token_urlsafe(32)
    card_id, card_epoch = card if card is not None else (None, 0)
    row = {
        "session_id": uuid4(),
        "token_hash": hash_of(token),
        "member_id": member[0],
        "card_id": card_id,
        "route": route,
        "channel": channel,
        "member_epoch": member[1],
        "card_epoch": card_epoch,
        "opened": now,
        "idle_until": now + IDLE,
        "ends": now + ABSOLUTE,
    }
    return token, row


class Doorkeeper:
    """Tells callers by their bearer token."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._sessions: Lookup[bytes, Caller | None] = Lookup(self._find_sessions)
        self._tokens: Lookup[bytes, Caller] = Lookup(self._find_tokens)

    async def caller(self, token: str) -> Caller | None:
        """The caller; None for a token that is nobody's; raises SessionEnded for one that was a session."""
        if token.startswith(ROLE_PREFIX):
            return await self._tokens.get(hash_of(token))
        if not token.startswith(PREFIX):
            return None
        token_hash = hash_of(token)
        found = await self._sessions.get(token_hash)
        if found is not None and found.session_id is None:
            raise SessionEnded
        return found

    async def open_sessions(self, member_id: UUID) -> list[dict[str, Any]]:
        """The member's own sessions that are still good, the newest `SESSIONS_TOLD` first."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_OPEN_SESSIONS, (member_id, SESSIONS_TOLD))
            rows = await cursor.fetchall()
        names = ("session_id", "route", "channel", "opened_at", "idle_until", "expires_at")
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def _find_sessions(self, hashes: Sequence[bytes]) -> Mapping[bytes, Caller | None]:
        async with self._pool.connection() as connection:
            cursor = await connection.cursor(binary=True).execute(_SESSIONS, (list(hashes),))
            rows = await cursor.fetchall()
            stay = [row[0] for row in rows if row[9] and row[10]]
            if stay:
                await connection.execute(_STAY, (IDLE, stay))
        return {bytes(row[0]): _session_caller(row) for row in rows}

    async def _find_tokens(self, hashes: Sequence[bytes]) -> Mapping[bytes, Caller]:
        async with self._pool.connection() as connection:
            cursor = await connection.cursor(binary=True).execute(_TOKENS, (list(hashes),))
            rows = await cursor.fetchall()
        return {bytes(key): Caller(subject=subject, role=role, channel=role) for key, role, subject in rows}


def _session_caller(row: tuple[Any, ...]) -> Caller:
    """The caller of a session's row; one without a session id where the session has ended."""
    _, session_id, member_id, card_id, route, channel, member_epoch, card_epoch, age, good, _ = row
    epochs = ((member_id, member_epoch),) + (((card_id, card_epoch),) if card_id is not None else ())
    return Caller(
        subject=str(member_id),
        role="member",
        channel=channel,
        member_id=member_id,
        card_id=card_id,
        session_id=session_id if good else None,
        route=route,
        session_age_seconds=age,
        epochs=epochs,
    )
