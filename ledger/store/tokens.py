"""Role tokens: issued, listed and revoked by the command line; only their hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

ROLES = (
    "counter",
    "contract-machine",
    "atm",
    "app",
    "service",
    "call-centre",
    "credit",
    "auditor",
    "operator",
)
PREFIX = "st_"


@dataclass(frozen=True, slots=True)
class RoleToken:
    """A token as the list shows it."""

    token_id: UUID
    role: str
    subject: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


def hash_of(token: str) -> bytes:
    """What is kept of a token: its 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def issue(connection: psycopg.Connection[Any], role: str, subject: str, ttl: timedelta) -> tuple[UUID, str]:
    """A new token of the role, by the real clock; the token itself is told once, here. ValueError: no such role."""
    if role not in ROLES:
        raise ValueError(f"no such role: {role}")
    token_id, token = uuid4(), PREFIX + secrets.token_urlsafe(32)
    connection.execute(
        "insert into role_tokens (token_id, token_hash, role, subject, issued_at, expires_at)"
        " values (%s, %s, %s, %s, clock_timestamp(), clock_timestamp() + %s)",
        (token_id, hash_of(token), role, subject, ttl),
    )
    return token_id, token


def listing(connection: psycopg.Connection[Any]) -> list[RoleToken]:
    """Every token, the newest first."""
    rows = connection.execute(
        "select token_id, role, subject, issued_at, expires_at, revoked_at from role_tokens order by issued_at desc"
    ).fetchall()
    return [RoleToken(*row) for row in rows]


def revoke(connection: psycopg.Connection[Any], token_id: UUID) -> bool:
    """End a token at once; False when there is none that was still valid."""
    cursor = connection.execute(
        "update role_tokens set revoked_at = clock_timestamp() where token_id = %s and revoked_at is null", (token_id,)
    )
    return cursor.rowcount == 1
