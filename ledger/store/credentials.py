"""The credential vault: how a PIN or a password becomes a verifier, and how one is tested.

Argon2id over a peppered HMAC, sealed again under a key outside the database. The HMAC binds owner, kind and generation,
so that a verifier row cannot be moved to another card or replayed into a later generation.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from argon2.low_level import Type
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.faults import Damaged
from ledger.store.keys import Keyring


class VerifierDamaged(Damaged):
    """A verifier does not open: its row was changed or moved, or its key is not in the key file."""


@dataclass(frozen=True, slots=True)
class HashCost:
    """Argon2id's memory in KiB and its passes, for each kind of secret. One lane always."""

    pin: tuple[int, int] = (19 * 1024, 2)
    password: tuple[int, int] = (46 * 1024, 1)

    @classmethod
    def for_tests(cls) -> HashCost:
        """A cost that protects nothing: only for suites and sandboxes that say so."""
        return cls(pin=(64, 1), password=(64, 1))


@dataclass(frozen=True, slots=True)
class Verifier:
    """A stored verifier and the generation that it belongs to."""

    generation: int
    key_id: str
    sealed: bytes


class CredentialVault:
    """Makes and tests verifiers; every call costs a hash, so it belongs on a thread of its own."""

    def __init__(self, keys: Keyring, cost: HashCost) -> None:
        self._keys = keys
        self._hashers = {
            kind: PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=1, type=Type.ID)
            for kind, (memory, passes) in (("pin", cost.pin), ("password", cost.password))
        }

    def row(self, owner: UUID, kind: str, generation: int, secret: str) -> dict[str, Any]:
        """The row of a new verifier."""
        key_id = self._keys.current
        encoded = self._hashers[kind].hash(self._peppered(owner, kind, generation, key_id, secret))
        nonce = os.urandom(12)
        cipher = AESGCM(self._keys.secret("verifier", key_id))
        sealed = nonce + cipher.encrypt(nonce, encoded.encode(), _bound_to(owner, kind, generation))
        return {"owner": owner, "kind": kind, "generation": generation, "key_id": key_id, "verifier": sealed}

    def matches(self, owner: UUID, kind: str, verifier: Verifier, secret: str) -> bool:
        """Whether the secret is the one that the verifier was made of; raises VerifierDamaged."""
        try:
            cipher = AESGCM(self._keys.secret("verifier", verifier.key_id))
            nonce, sealed = verifier.sealed[:12], verifier.sealed[12:]
            encoded = cipher.decrypt(nonce, sealed, _bound_to(owner, kind, verifier.generation)).decode()
        except (InvalidTag, KeyError, ValueError, OverflowError):  # none of them says of which row
            raise VerifierDamaged(verifier=kind, owner=str(owner)) from None
        peppered = self._peppered(owner, kind, verifier.generation, verifier.key_id, secret)
        try:
            return self._hashers[kind].verify(encoded, peppered)
        except VerificationError:
            return False

    def decoy(self, kind: str) -> None:
        """Cost as much as a test, for an identifier that is nobody's."""
        self._hashers[kind].hash(os.urandom(32))

    def _peppered(self, owner: UUID, kind: str, generation: int, key_id: str, secret: str) -> bytes:
        pepper = self._keys.secret(f"pepper/{kind}", key_id)
        return hmac.digest(pepper, _bound_to(owner, kind, generation) + secret.encode(), "sha256")


def _bound_to(owner: UUID, kind: str, generation: int) -> bytes:
    return owner.bytes + generation.to_bytes(4, "big") + kind.encode()
