"""Kept states: a card of a long stream as it stood at one version, so that its next act need not fold all of it.

What must stay true: what is restored acts as the stream folded from its first event would. A state is used by the code
that folded it and by no other, and the log never needs one: any row may be deleted at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Final
from uuid import UUID

import msgspec

from ledger.aggregates.access import Access
from ledger.aggregates.account import Account
from ledger.aggregates.card import Card
from ledger.aggregates.passbook import Advance, Entry, Passbook
from ledger.aggregates.standing import Standing

ENTRIES_KEPT: Final = 40
"""Three years of instalments. An act on an older entry has the card folded from its first event."""
FOLDED_BY: Final = ("calendar.py", "interest.py", "money.py", "repayment.py", "store/kept.py", "store/mapper.py")
"""What folds a stream beside all of `aggregates`."""


class FoldedCard(msgspec.Struct):
    """What the facts of a card come to, without its entries: all that a read needs."""

    access: Access
    account: Account
    number_last4: str
    issued_at: datetime

    @classmethod
    def of(cls, card: Card) -> FoldedCard:
        return cls(card.access, card.account, card.number_last4, card.issued_at)

    def card(self, card_id: UUID, member_id: UUID, version: int) -> Card:
        card = Card.blank(card_id)
        card.version = version
        card.member_id, card.number_last4, card.issued_at = member_id, self.number_last4, self.issued_at
        card.access, card.account = self.access, self.account
        return card


class _KeptPassbook(msgspec.Struct):
    entries: list[Entry]
    checkpoints: list[tuple[date, Standing]]
    advances: dict[UUID, Advance]
    reversed_repayments: list[UUID]
    cut_through: date | None

    @classmethod
    def of(cls, passbook: Passbook) -> _KeptPassbook:
        reversed_ = sorted(passbook.reversed_repayments)
        return cls(passbook.entries, passbook.checkpoints, passbook.advances, reversed_, passbook.cut_through)

    def passbook(self) -> Passbook:
        by_id = {entry.id: entry for entry in self.entries}
        reversed_ = set(self.reversed_repayments)
        return Passbook(self.entries, by_id, self.checkpoints, self.advances, reversed_, self.cut_through)


class _KeptCard(msgspec.Struct):
    """What an act needs besides: the epoch of the sessions, and the passbook."""

    folded: FoldedCard
    member_id: UUID
    epoch: int
    passbook: _KeptPassbook


@dataclass(frozen=True, slots=True)
class KeptState:
    """A row: the state that the stream had at the version."""

    stream: UUID
    version: int
    state: bytes


encode = msgspec.json.Encoder().encode
decode_folded = msgspec.json.Decoder(FoldedCard).decode
_decode = msgspec.json.Decoder(_KeptCard).decode


def kept(card: Card, entries: int = ENTRIES_KEPT) -> KeptState:
    """The card as it is now, with its last entries."""
    return _with(card, card.written.cut_to(entries))


def kept_like(card: Card, cut_through: date | None) -> KeptState:
    """The card as it is now, with the entries of a state that was cut through that day."""
    return _with(card, card.written if cut_through is None else card.written.cut(cut_through))


def _with(card: Card, written: Passbook) -> KeptState:
    passbook = _KeptPassbook.of(written)
    return KeptState(
        card.id, card.version, encode(_KeptCard(FoldedCard.of(card), card.member_id, card.epoch, passbook))
    )


def restored(row: KeptState) -> Card:
    """The card as it was kept; raises msgspec.MsgspecError for a row that cannot be read."""
    state = _decode(row.state)
    card = state.folded.card(row.stream, state.member_id, row.version)
    card.epoch, card.passbook = state.epoch, state.passbook.passbook()
    return card


@cache
def fold_code() -> bytes:
    """The digest of the source that folds: a state that other code kept is never used, and kept anew in time."""
    package = resources.files("ledger")
    aggregates = [f"aggregates/{file.name}" for file in package.joinpath("aggregates").iterdir()]
    digest = sha256()
    for name in sorted((*(name for name in aggregates if name.endswith(".py")), *FOLDED_BY)):
        digest.update(sha256(name.encode()).digest() + sha256(package.joinpath(name).read_bytes()).digest())
    return digest.digest()
