"""Who is who: from what a person types, or from an id, to streams, verifiers and sealed personal facts.

These are reads on the primary for decisions; what they find is checked again by the act where it can have moved.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from ledger.store.credentials import Verifier
from ledger.store.keys import Keyring
from ledger.store.personal import MemberKey, PersonalVault

PERSONAL, CARD_NUMBER, WEB_ID = "personal", "card-number", "web-id"
_KEYS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class CardEntry:
    """A card, its member, and the blind index of its number."""

    card_id: UUID
    member_id: UUID
    number_index: bytes


@dataclass(frozen=True, slots=True)
class Personal:
    """A member's personal facts with the stream version of the latest one, and the key that seals further ones."""

    facts: dict[str, Any]
    version: int
    key: MemberKey


class Directory:
    """Reads of the vaults and the indexes."""

    def __init__(self, pool: AsyncConnectionPool[Any], keys: Keyring) -> None:
        self._pool = pool
        self.keys = keys
        self.vault = PersonalVault(keys)
        self._member_keys: OrderedDict[UUID, MemberKey] = OrderedDict()

    async def _one(self, query: str, *parameters: object) -> tuple[Any, ...] | None:
        async with self._pool.connection() as connection:
            cursor = await connection.cursor(binary=True).execute(query, parameters)
            row: tuple[Any, ...] | None = await cursor.fetchone()
            return row

    async def _all(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.cursor(binary=True).execute(query, parameters)
            rows: list[tuple[Any, ...]] = await cursor.fetchall()
            return rows

    async def card_by_number(self, card_number: str) -> CardEntry | None:
        index = self.keys.index("card-number", card_number)
        row = await self._one("select card_id, member_id, number_index from cards where number_index = %s", index)
        return CardEntry(row[0], row[1], bytes(row[2])) if row else None

    async def card(self, card_id: UUID) -> CardEntry | None:
        row = await self._one("select card_id, member_id, number_index from cards where card_id = %s", card_id)
        return CardEntry(row[0], row[1], bytes(row[2])) if row else None

    async def latest_card(self, member_id: UUID) -> UUID | None:
        """The member's card that is not closed, or else one that was closed."""
        row = await self._one("select card_id from cards where member_id = %s order by closed limit 1", member_id)
        return row[0] if row else None

    async def cards(self, member_id: UUID) -> list[tuple[UUID, bool]]:
        """The member's cards, each with whether it is closed."""
        rows = await self._all(
            "select card_id, closed from cards where member_id = %s order by closed, card_id", member_id
        )
        return [(card_id, closed) for card_id, closed in rows]

    async def member_by_web_id(self, web_id: str) -> UUID | None:
        """`web_id` as compared: in lower case."""
        index = self.keys.index("web-id", web_id)
        row = await self._one("select member_id from web_ids where web_id_index = %s", index)
        return row[0] if row else None

    async def members_by_email(self, email: str) -> list[UUID]:
        index = self.keys.index("email", email.lower())
        rows = await self._all("select member_id from email_index where email_index = %s limit 20", index)
        return [row[0] for row in rows]

    async def reset_by_token(self, token_hash: bytes) -> tuple[UUID, UUID] | None:
        """The member and the reset that a mailed token stands for."""
        row = await self._one("select member_id, reset_id from reset_tokens where token_hash = %s", token_hash)
        return (row[0], row[1]) if row else None

    async def verifier(self, owner: UUID, kind: str) -> Verifier | None:
        row = await self._one(
            "select generation, key_id, verifier from credentials where owner = %s and kind = %s", owner, kind
        )
        return Verifier(row[0], row[1], bytes(row[2])) if row else None

    async def key_of(self, member_id: UUID) -> MemberKey | None:
        """The member's own key; None for an unknown member or one whose key was destroyed."""
        if (kept := self._member_keys.get(member_id)) is not None:
            self._member_keys.move_to_end(member_id)
            return kept
        row = await self._one("select key_id, wrapped from member_keys where member_id = %s", member_id)
        if row is None:
            return None
        key = self._member_keys[member_id] = self.vault.unwrap(member_id, row[0], bytes(row[1]))
        if len(self._member_keys) > _KEYS_KEPT:
            self._member_keys.popitem(last=False)
        return key

    async def personal(self, member_id: UUID) -> Personal | None:
        """The member's personal facts of now: later boxes replace the fields that they hold."""
        key = await self.key_of(member_id)
        if key is None:
            return None
        rows = await self._all(
            "select version, box from personal_boxes where stream = %s and kind = %s order by version",
            member_id,
            PERSONAL,
        )
        facts: dict[str, Any] = {}
        for version, box in rows:
            facts.update(key.open(member_id, version, PERSONAL, bytes(box)))
        return Personal(facts, rows[-1][0] if rows else 0, key)

    async def sealed(self, member_id: UUID, stream: UUID, kind: str) -> Any:
        """The latest content of one kind on a stream, or None."""
        key = await self.key_of(member_id)
        row = await self._one(
            "select version, box from personal_boxes where stream = %s and kind = %s order by version desc limit 1",
            stream,
            kind,
        )
        return key.open(stream, row[0], kind, bytes(row[1])) if key is not None and row is not None else None
