"""The revolving account of a card, put together: advances, repayments, instalments, limits and their restatement.

What must stay true: the account follows from its facts alone; an act checks all its rules before it records anything.
"""

from __future__ import annotations

from ledger.aggregates.balance import Account, AccountFact, Figures, SettlementQuote
from ledger.aggregates.limits import CardLimits
from ledger.aggregates.passbook import Passbook

__all__ = ["Account", "AccountFact", "CardAccount", "Figures", "SettlementQuote"]


class CardAccount(CardLimits):
    """All acts of money on a card; `account` is set by the fact that issues it."""

    def begin(self) -> None:
        self.passbook = None

    def open_passbook(self) -> None:
        """Keep entries from the issue on, as the write side does; a read model restores an account without them."""
        self.passbook = Passbook()
