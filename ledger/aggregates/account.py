"""The revolving account of a card, put together: advances, repayments, instalments, limits and their restatement.

What must stay true: the account follows from its facts alone; an act checks all its rules before it records anything.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace
from datetime import date

from ledger.aggregates.balance import Account, AccountFact, Figures, SettlementQuote
from ledger.aggregates.limits import CardLimits
from ledger.aggregates.passbook import Passbook
from ledger.aggregates.rerun import Rerun
from ledger.calendar import ONE_DAY
from ledger.terms import Terms

__all__ = ["Account", "AccountFact", "CardAccount", "Figures", "SettlementQuote"]


class CardAccount(CardLimits):
    """All acts of money on a card; `account` is set by the fact that issues it."""

    def begin(self) -> None:
        self.passbook = None

    def open_passbook(self) -> None:
        """Keep entries from the issue on, as the write side does; a read model restores an account without them."""
        self.passbook = Passbook()

    def account_on(self, day: date, terms: Terms) -> Account:
        """The account at the end of an earlier day as it is known now: without the entries of later value dates.

        Limit and what is in flight are the present ones: they have no value date.
        """
        entries = self.written.entries
        since, standing = self.written.before(day + ONE_DAY, self.account.standing)
        first = bisect_left(entries, since, key=lambda entry: entry.on)
        rerun = Rerun(standing, terms)
        rerun.run(entries[first : bisect_right(entries, day, key=lambda entry: entry.on)], day - ONE_DAY)
        return replace(self.account, standing=rerun.standing)
