"""`lockouts`: one row for each card (its access) and each member (the web login), as far as the projector has come.

What must stay true: the row keeps what the refusals decide on, and the view is computed from it by the same bars when
it is read; whether a wait is over is a question of now, never of a stored row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.access import Access
from ledger.aggregates.card import Card, CardIssued
from ledger.aggregates.fact import Aggregate, Event, Fact
from ledger.aggregates.member import Member, MemberEnrolled
from ledger.aggregates.web_login import WebLogin
from ledger.projections.columns import blobs, packed, uuids, words
from ledger.projections.read_model import Kept, ReadModel, Write, forget_oldest, on
from ledger.store.lookup import Lookup
from ledger.store.pages import Connection, Recorded

_LOAD = "select subject, kind, member_id, state from {table} where subject = any(%b)"
_STORE = """
insert into {table} as l (subject, kind, member_id, state)
select * from unnest(%b::uuid[], %b::text[], %b::uuid[], %b::bytea[])
on conflict (subject) do update set state = excluded.state
"""
_COLUMNS = (uuids, words, uuids, blobs)
_READ = """
select p.position, business_now(), c.subject, c.member_id, c.state, m.state from projections p
left join lockouts c on c.subject = any(%b) and c.kind = 'card'
left join lockouts m on m.subject = c.member_id and m.kind = 'member'
where p.name = 'lockouts'
"""
# A card's facts of money say nothing about its use.
_MODULES = tuple(f"ledger.aggregates.{name}" for name in ("access", "pin", "card", "web_login"))

_encode = msgspec.json.Encoder().encode
_decode_access = msgspec.json.Decoder(Access).decode
_decode_web = msgspec.json.Decoder(WebLogin).decode


class Lockouts(ReadModel):
    """The writer."""

    name = "lockouts"

    def heeds(self, fact: type[Fact]) -> bool:
        return fact.__module__ in _MODULES or fact is MemberEnrolled

    async def write(self, connection: Connection, events: Sequence[Recorded], table: str, kept: Kept) -> Write | None:
        """Fold what says who may use a card or log in."""
        news = [r.event for r in events if type(r.event.fact).__module__ in _MODULES or r.event.originator_version == 1]
        news = [event for event in news if event.fact.topic.startswith(("card.", "member."))]
        if not news:
            return None
        await self._load(connection, list({event.originator_id for event in news} - kept.keys()), table, kept)
        changed: dict[UUID, Card | Member] = {}
        for event in news:
            stream = event.originator_id
            changed[stream] = _fold(changed.get(stream) or kept.pop(stream, None), event)
        kept.update(changed)
        forget_oldest(kept)
        return on(table, _STORE), packed(_COLUMNS, map(_row, changed.values()))

    async def _load(self, connection: Connection, subjects: list[UUID], table: str, kept: Kept) -> None:
        if not subjects:
            return
        cursor = await connection.cursor(binary=True).execute(on(table, _LOAD), (subjects,))
        for subject, kind, member_id, state in await cursor.fetchall():
            if kind == "card":
                card = kept[subject] = Card.blank(subject)
                card.member_id, card.access = member_id, _decode_access(state)
            else:
                member = kept[subject] = Member.blank(subject)
                member.web = _decode_web(state)


def _row(folded: Card | Member) -> tuple[Any, ...]:
    if isinstance(folded, Card):
        return folded.id, "card", folded.member_id, _encode(folded.access)
    return folded.id, "member", folded.id, _encode(folded.web)


def _fold(row: Aggregate | None, event: Event) -> Card | Member:
    if row is None:
        row = (Card if event.fact.topic.startswith("card.") else Member).blank(event.originator_id)
    assert isinstance(row, Card | Member)
    if type(event.fact).__module__ in _MODULES or isinstance(event.fact, CardIssued):
        event.fact.evolve(row, event.at)
    return row


@dataclass(frozen=True, slots=True)
class LockoutRow:
    """A card's access and its member's web login as read; None for no such card."""

    position: int
    now: datetime
    member_id: UUID | None
    access: Access | None
    web: WebLogin | None


class LockoutReader:
    """Reads the two rows that make a card's lockout; look-ups that come together share a query."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._rows: Lookup[UUID, LockoutRow] = Lookup(self._fetch)

    async def read(self, card_id: UUID) -> LockoutRow:
        row = await self._rows.get(card_id)
        assert row is not None, "the query answers every key"
        return row

    async def _fetch(self, card_ids: Sequence[UUID]) -> Mapping[UUID, LockoutRow]:
        async with self._pool.connection() as connection:
            cursor = await connection.cursor(binary=True).execute(_READ, (list(card_ids),))
            rows = await cursor.fetchall()
        # Before the projector's first start there is no position to tell.
        position, now = rows[0][:2] if rows else (0, datetime.fromtimestamp(0).astimezone())
        found = {
            card_id: LockoutRow(position, now, member_id, _decode_access(access), _decode_web(web))
            for _, _, card_id, member_id, access, web in rows
            if card_id is not None
        }
        nobodys = LockoutRow(position, now, None, None, None)
        return {card_id: found.get(card_id, nobodys) for card_id in card_ids}
