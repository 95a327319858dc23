"""The periodic credit check: the end of a period says that the credit bureau must be asked, and why.

What must stay true: whether a check is due follows from the agreement, and from advances and balance of the period.
Too many checks are lawful and too few are not: what cannot be told counts as due.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from ledger.aggregates.account import Account, AccountFact, CardAccount
from ledger.calendar import business_day, is_month_end
from ledger.money import Yen
from ledger.terms import Terms

MONTHLY: Final = "monthly"
EVERY_FEW_MONTHS: Final = "every-few-months"

# The rule -------------------------------------------------------------------------------------------------------------


def rules_that_ask(advances: int, balance: int, *, ends_longer_period: bool, terms: Terms) -> tuple[str, ...]:
    """Which rules ask for a check at the end of a month, by what was lent in it and what is owed at its end."""
    rule = terms.credit_check
    if balance <= rule.balance_over:
        return ()
    monthly = (MONTHLY,) if advances > rule.advances_over else ()
    return (*monthly, EVERY_FEW_MONTHS) if ends_longer_period else monthly


def ends_longer_period(issued_on: date, day: date, terms: Terms) -> bool:
    """Whether a month's end also ends one of the longer periods. Both kinds begin with the agreement: the first period
    is what is left of its month, so that none is longer than the law allows."""
    months = (day.year - issued_on.year) * 12 + day.month - issued_on.month + 1
    return months % terms.credit_check.every_months == 0


# The fact -------------------------------------------------------------------------------------------------------------


class CreditCheckDue(AccountFact, topic="card.credit-check-due"):
    """The bureau must be asked by `ask_by`. A credit report of the member that is dated after the period answers it."""

    first_day: date
    last_day: date
    rules: tuple[str, ...]
    advances: Yen
    balance: Yen
    ask_by: date
    terms_version: str

    def apply(self, account: Account, at: datetime) -> None:
        account.credit_check_through = self.last_day


# The act --------------------------------------------------------------------------------------------------------------


class CardCreditChecks(CardAccount):
    """The part of a card that is checked again from time to time."""

    def close_day(self, day: date, terms: Terms) -> None:
        """Close a business day; the end of a month is also the end of a period."""
        super().close_day(day, terms)
        told = day <= (self.account.credit_check_through or date.min)
        if is_month_end(day) and not told and not self._barred_until_checked(day):
            self._ask_for_check(day, terms)

    def _ask_for_check(self, day: date, terms: Terms) -> None:
        issued_on = self.account.issued_on
        first_day = max(day.replace(day=1), issued_on)
        under_way = sum(self.account.in_flight.values())  # it may be confirmed yet for a day of the period
        advances = sum(entry.amount for entry in self.written.drawn_in(first_day, day)) + under_way
        balance = self.account_on(day, terms).principal + under_way
        longer = ends_longer_period(issued_on, day, terms)
        rules = rules_that_ask(advances, balance, ends_longer_period=longer, terms=terms)
        if rules:
            self.record(
                CreditCheckDue(
                    first_day=first_day,
                    last_day=day,
                    rules=rules,
                    advances=Yen(advances),
                    balance=Yen(balance),
                    ask_by=day + timedelta(days=terms.credit_check.ask_within_days),
                    terms_version=terms.version,
                )
            )

    def _barred_until_checked(self, day: date) -> bool:
        """Whether advances were stopped at the end of the period by what a person ends, with a check of its own.

        A lock ends with a new PIN and the suspension for lateness with the cure: neither spares a check.
        """
        access = self.access
        since = [stop.since for stop in access.stops.values()]
        since += [each.since for each in access.suspensions.values() if not (each.by_rule and each.reason == "late")]
        return access.closed or any(business_day(instant) <= day for instant in since)
