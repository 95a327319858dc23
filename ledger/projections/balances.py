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

import msgspec
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.access import Access
from ledger.aggregates.account import Account, AccountFact
from ledger.aggregates.card import Card
from ledger.store.lookup import Lookup
from ledger.store.pages import Connection, Recorded


class FoldedCard(msgspec.Struct):
    """What the row keeps of a card."""

    access: Access
    account: Account
    number_last4: str
    issued_at: datetime


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(FoldedCard).decode

_LOAD = "select card_id, member_id, version, state from {table} where card_id = any(%b)"
_STORE = """
insert into {table} as b (card_id, member_id, version, principal, closes_on, state)
select * from unnest(%b::uuid[], %b::uuid[], %b::bigint[], %b::bigint[], %b::date[], %b::bytea[])
on conflict (card_id) do update set version = excluded.version, principal = excluded.principal,
    closes_on = excluded.closes_on, state = excluded.state
"""
_READ = """
select p.position, b.card_id, b.member_id, b.version, b.state, business_now() from projections p
left join balances b on b.card_id = any(%s) where p.name = 'balances'
"""


def restored(card_id: UUID, member_id: UUID, version: int, state: bytes) -> Card:
    """The card as the row keeps it."""
    folded = _decode(state)
    card = Card.blank(card_id)
    card.version = version
    card.member_id, card.number_last4, card.issued_at = member_id, folded.number_last4, folded.issued_at
    card.access, card.account = folded.access, folded.account
    return card


class Balances:
    """The writer."""

    name = "balances"

    async def apply(self, connection: Connection, events: Sequence[Recorded], table: str) -> None:
        """Fold the cards' events into their rows."""
        news = [recorded.event for recorded in events if recorded.event.fact.topic.startswith("card.")]
        if not news:
            return
        cards = await self._load(connection, list({event.originator_id for event in news}), table)
        for event in news:
            card = cards.setdefault(event.originator_id, Card.blank(event.originator_id))
            assert card.version + 1 == event.originator_version, (card.version, event)
            if isinstance(event.fact, AccountFact):
                event.fact.apply(card.account, event.at)
            else:
                event.fact.evolve(card, event.at)
            card.version = event.originator_version
        await self._store(connection, list(cards.values()), table)

    async def _load(self, connection: Connection, card_ids: list[UUID], table: str) -> dict[UUID, Card]:
        query = sql.SQL(_LOAD).format(table=sql.Identifier(table))
        cursor = await connection.cursor(binary=True).execute(query, (card_ids,))
        return {row[0]: restored(*row) for row in await cursor.fetchall()}

    async def _store(self, connection: Connection, cards: list[Card], table: str) -> None:
        await connection.execute(
            sql.SQL(_STORE).format(table=sql.Identifier(table)),
            (
                [card.id for card in cards],
                [card.member_id for card in cards],
                [card.version for card in cards],
                [card.account.standing.principal for card in cards],
                [card.account.closes_on for card in cards],
                [_encode(FoldedCard(card.access, card.account, card.number_last4, card.issued_at)) for card in cards],
            ),
        )


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
