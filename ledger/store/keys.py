"""Keys that live outside the database: everything secret is derived from them, so that a database alone tells nothing.

What must stay true: a key is never written into the database or a log line; a changed key file is noticed at start.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ledger.faults import EnvironmentFault

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keyring:
    """Master keys by id. New secrets use `current`; look-up indexes stay under the first key for ever."""

    current: str
    masters: tuple[tuple[str, bytes], ...]

    @classmethod
    def load(cls, path: Path) -> Keyring:
        """Read a key file; raises EnvironmentFault when it is missing, open to others, or not a key file."""
        try:
            mode = path.stat().st_mode
            content = json.loads(path.read_text("ascii"))
            masters = tuple((name, base64.b64decode(key, validate=True)) for name, key in content["keys"].items())
            keyring = cls(content["current"], masters)
            weak = any(len(key) != _KEY_BYTES or len(set(key)) < 8 for _, key in masters)
        except FileNotFoundError:
            raise EnvironmentFault(f"The key file {path} is missing.", "Restore it from its backup.") from None
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            raise EnvironmentFault(f"{path} is not a key file.", "Restore it from its backup.") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO) and not path.is_relative_to("/run/secrets"):
            raise EnvironmentFault(f"Others may read the key file {path}.", f"Run: chmod 600 {path}")
        if weak or keyring.current not in dict(masters):
            raise EnvironmentFault(f"The keys in {path} are too weak or incomplete.", "Restore it from its backup.")
        return keyring

    @classmethod
    def create(cls, path: Path) -> Keyring:
        """Write a new key file that only its owner can read."""
        content = {"current": "k1", "keys": {"k1": base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()}}
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)
        return cls.load(path)

    def secret(self, purpose: str, key_id: str | None = None) -> bytes:
        """32 bytes for one purpose, under the current key or the one named."""
        return _derive(dict(self.masters)[key_id or self.current], purpose)

    def index(self, purpose: str, text: str) -> bytes:
        """A blind index: equal for equal texts, and telling nothing about them without the key."""
        return hmac.digest(_derive(self.masters[0][1], f"index/{purpose}"), text.encode(), "sha256")

    @property
    def check(self) -> bytes:
        """What the database keeps to notice a wrong key file."""
        return hmac.digest(_derive(self.masters[0][1], "check"), b"card ledger", "sha256")


@lru_cache(maxsize=64)
def _derive(master: bytes, purpose: str) -> bytes:
    return HKDF(hashes.SHA256(), _KEY_BYTES, salt=None, info=f"cardledger/{purpose}".encode()).derive(master)
