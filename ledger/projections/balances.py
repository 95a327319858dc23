"""`balances`: one row for each card, with its account and access folded as far as the projector has come.

What must stay true: nothing that grows by the day is stored. Interest, damages and what is due are computed when they
are read, by the same functions that decide, from the folded account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.account import AccountFact
from ledger.aggregates.card import Card
from ledger.aggregates.fact import Event, Fact
from ledger.projections.columns import bigints, blobs, dates, packed, uuids
from ledger.projections.read_model import Kept, ReadModel, Write, forget_oldest, on
from ledger.store.kept import FoldedCard, decode_folded, encode
from ledger.store.lookup import Lookup
from ledger.store.pages import Connection, Recorded

_LOAD = "select card_id, member_id, version, state from {table} where card_id = any(%b)"
_STORE = """
insert into {table} as b (card_id, member_id, version, principal, closes_on, state)
select * from unnest(%b::uuid[], %b::uuid[], %b::bigint[], %b::bigint[], %b::date[], %b::bytea[])
on conflict (card_id) do update set version = excluded.version, principal = excluded.principal,
    closes_on = excluded.closes_on, state = excluded.state
"""
_COLUMNS = (uuids, uuids, bigints, bigints, dates, blobs)
_READ = """
select p.position, b.card_id, b.member_id, b.version, b.state, business_now() from projections p
left join balances b on b.card_id = any(%s) where p.name = 'balances'
"""


def restored(card_id: UUID, member_id: UUID, version: int, state: bytes) -> Card:
    """The card as the row keeps it."""
    return decode_folded(state).card(card_id, member_id, version)


class Balances(ReadModel):
    """The writer."""

    name = "balances"

    def heeds(self, fact: type[Fact]) -> bool:
        return fact.topic.startswith("card.")

    async def write(self, connection: Connection, events: Sequence[Recorded], table: str, kept: Kept) -> Write | None:
        """Fold the cards' events into their rows."""
        news = [recorded.event for recorded in events if recorded.event.fact.topic.startswith("card.")]
        if not news:
            return None
        await self._load(connection, news, table, kept)
        changed: dict[UUID, Card] = {}
        for event in news:
            card = changed.get(event.originator_id)
            if card is None:
                card = changed[event.originator_id] = kept.pop(event.originator_id)
            _fold(card, event)
        kept.update(changed)
        forget_oldest(kept)
        return on(table, _STORE), packed(_COLUMNS, map(_row, changed.values()))

    async def _load(self, connection: Connection, news: Sequence[Event], table: str, kept: Kept) -> None:
        """Have the row of every card of these events, blank where its first fact is among them."""
        missing = []
        for event in news:
            if event.originator_id not in kept:
                kept[event.originator_id] = Card.blank(event.originator_id)
                if event.originator_version > 1:
                    missing.append(event.originator_id)
        if missing:
            cursor = await connection.cursor(binary=True).execute(on(table, _LOAD), (missing,))
            kept.update({row[0]: restored(*row) for row in await cursor.fetchall()})


def _fold(card: Card, event: Event) -> None:
    assert card.version + 1 == event.originator_version, (card.version, event)
    if isinstance(event.fact, AccountFact):
        event.fact.apply(card.account, event.at)
    else:
        event.fact.evolve(card, event.at)
    card.version = event.originator_version


def _row(card: Card) -> tuple[Any, ...]:
    account = card.account
    state = encode(FoldedCard.of(card))
    return card.id, card.member_id, card.version, account.standing.principal, account.closes_on, state


@dataclass(frozen=True, slots=True)
class CardRow:
    """A card as read, the position its row stands at, and the business time of the read; None for no such card."""

    position: int
    card: Card | None
    now: datetime


class BalanceReader:
    """Reads rows by card; look-ups that come together share a query."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._rows: Lookup[UUID, CardRow] = Lookup(self._fetch)

    async def read(self, card_id: UUID) -> CardRow:
        row = await self._rows.get(card_id)
        assert row is not None, "the query answers every key"
        return row

    async def _fetch(self, card_ids: Sequence[UUID]) -> Mapping[UUID, CardRow]:
        async with self._pool.connection() as connection:
            cursor = await connection.cursor(binary=True).execute(_READ, (list(card_ids),))
            rows = await cursor.fetchall()
        # Before the projector's first start there is no position to tell.
        position, now = (rows[0][0], rows[0][5]) if rows else (0, datetime.fromtimestamp(0).astimezone())
        found = {row[1]: CardRow(position, restored(*row[1:5]), now) for row in rows if row[1] is not None}
        return {card_id: found.get(card_id) or CardRow(position, None, now) for card_id in card_ids}
