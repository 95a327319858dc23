"""Rows that have served their time: removed now and then, so that no table but the log and its like grows for ever.

What must stay true: an answer under an idempotency key that recorded something is kept for ever; nothing of the log is
touched.
"""

from __future__ import annotations

from typing import Any

import psycopg

EVERY_SECONDS = 3600.0

# Refused requests can be repeated as new ones after 90 days; a batch is only asked for right after it was sent.
_SWEEPS = (
    "delete from idempotency where refusal is not null and recorded_at < business_now() - interval '90 days'",
    "delete from recorded_batches where recorded_at < business_now() - interval '1 day'",
    "delete from sessions where least(idle_until, ends) < business_now() - interval '1 day'",
    "delete from reset_tokens where expires < business_now()",
    # The box of a mail that nobody sent: its token is dead by then, and so is the mail.
    "update outbox o set box = null where kind = 'password-reset' and box is not null"
    " and written_at < business_now() - interval '1 day'"
    " and not exists (select from reset_tokens t where t.member_id = o.member_id)",
    # Whoever is being counted now is not waited for: two that wait for each other would both fail.
    "delete from unknown_numbers where number_index in (select number_index from unknown_numbers"
    " where since < business_now() - interval '1 hour' for update skip locked)",
    "delete from login_sources where failed_at < clock_timestamp() - interval '1 day'",
    "delete from role_tokens where expires_at < clock_timestamp() - interval '90 days'",
)


async def sweep(connection: psycopg.AsyncConnection[Any]) -> None:
    """Remove what is over, each table in a statement of its own."""
    for statement in _SWEEPS:
        await connection.execute(statement)
