"""The personal-data vault: facts about a person, sealed under a key of that member's own.

What must stay true: nothing personal is stored in clear, a box opens only at the stream and version it was sealed for,
and without the member's key every box of that member is closed for ever while the log stays valid.
"""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.faults import Damaged
from ledger.store.keys import Keyring


class BoxDamaged(Damaged):
    """A box does not open at its place: it was changed, moved, or its key is another one."""


class MemberKey:
    """A member's own key: seals and opens that member's boxes."""

    def __init__(self, member_id: UUID, key: bytes) -> None:
        self._member_id = member_id
        self._cipher = AESGCM(key)

    def seal(self, stream: UUID, version: int, kind: str, content: Any) -> bytes:
        """A box for this stream, version and kind."""
        nonce = os.urandom(12)
        bound = self._bound_to(stream, version, kind)
        return nonce + self._cipher.encrypt(nonce, msgspec.json.encode(content), bound)

    def open(self, stream: UUID, version: int, kind: str, box: bytes) -> Any:
        """What was sealed; raises BoxDamaged."""
        try:
            return msgspec.json.decode(self._cipher.decrypt(box[:12], box[12:], self._bound_to(stream, version, kind)))
        except (InvalidTag, ValueError):
            raise BoxDamaged(box=kind, stream=str(stream), version=str(version)) from None

    def row(self, stream: UUID, version: int, kind: str, content: Any) -> dict[str, Any]:
        """The row of a new box."""
        return {
            "member_id": self._member_id,
            "stream": stream,
            "version": version,
            "kind": kind,
            "box": self.seal(stream, version, kind, content),
        }

    def _bound_to(self, stream: UUID, version: int, kind: str) -> bytes:
        return self._member_id.bytes + stream.bytes + version.to_bytes(8, "big") + kind.encode()


class PersonalVault:
    """Makes, wraps and unwraps the members' keys under a key outside the database."""

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys

    def new_key(self, member_id: UUID) -> tuple[MemberKey, dict[str, Any]]:
        """A new member's key and the row that keeps it, wrapped."""
        key, nonce, key_id = AESGCM.generate_key(256), os.urandom(12), self._keys.current
        wrapped = nonce + AESGCM(self._keys.secret("member-key", key_id)).encrypt(nonce, key, member_id.bytes)
        return MemberKey(member_id, key), {"member_id": member_id, "key_id": key_id, "wrapped": wrapped}

    def unwrap(self, member_id: UUID, key_id: str, wrapped: bytes) -> MemberKey:
        """A member's key from its row; raises BoxDamaged."""
        cipher = AESGCM(self._keys.secret("member-key", key_id))
        try:
            return MemberKey(member_id, cipher.decrypt(wrapped[:12], wrapped[12:], member_id.bytes))
        except InvalidTag:
            raise BoxDamaged(box="key", member=str(member_id)) from None
