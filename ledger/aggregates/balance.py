"""The state of an account, and the figures of any day that follow from it.

What must stay true: `Account` holds plain values only, so that a read model can store it as JSON and get it back equal;
amounts that grow by the day are computed when they are asked for and never stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Self

from ledger.aggregates.fact import Fact
from ledger.aggregates.passbook import Passbook
from ledger.aggregates.schedule import brought_to
from ledger.aggregates.standing import Accrual, Standing
from ledger.calendar import ONE_DAY
from ledger.money import ZERO, Yen
from ledger.terms import Terms, TermsBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The balance of a day, as a read tells it, in whole yen."""

    value_date: date
    principal: Yen
    interest: Yen
    late_damages: Yen
    fees: Yen
    total: Yen
    available_credit: Yen
    credit_limit: Yen
    annual_rate_bps: int
    minimum_instalment: Yen
    next_due: date | None
    days_late: int
    interest_free_until: date | None
    customer_credit: Yen


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementQuote:
    """What settles the account on one day; it holds until the midnight that ends the day in Japan."""

    value_date: date
    principal: Yen
    interest: Yen
    late_damages: Yen
    fees: Yen
    total: Yen


@dataclass(slots=True, kw_only=True)
class Account:
    """A revolving account. `in_flight` holds reserved advances by id; `missed_dues` every missed due date that stands.

    `rate_cap_bps` is the statutory cap of the highest balance there has been, None before any: it never rises again.
    `credit_check_through`: the end of the last period that a credit check was said to be due for.
    """

    issued_on: date
    credit_limit: Yen
    standing: Standing
    rate_cap_bps: int | None = None
    in_flight: dict[str, int] = field(default_factory=dict)
    missed_dues: tuple[date, ...] = ()
    free_end_recorded: bool = False
    credit_check_through: date | None = None

    @classmethod
    def opened(
        cls, *, credit_limit: Yen, annual_rate_bps: int, due_day: int | str, issued_on: date, interest_free: bool
    ) -> Self:
        standing = Standing(
            due_day=due_day,
            day=issued_on,
            paid_through=issued_on,
            rates=((issued_on, annual_rate_bps),),
            free_eligible=interest_free,
        )
        return cls(issued_on=issued_on, credit_limit=credit_limit, standing=standing)

    @property
    def principal(self) -> Yen:
        return self.standing.principal

    @property
    def next_due(self) -> date | None:
        """The due date set last; `figures` tells the one that is next on a given day."""
        return None if self.standing.due is None else self.standing.due.day

    @property
    def available(self) -> Yen:
        """The available credit if nothing bars borrowing: the limit without the principal and what is in flight."""
        return Yen(max(0, self.credit_limit - self.standing.principal - sum(self.in_flight.values())))

    def standing_on(self, on: date, terms: Terms) -> Standing:
        """The standing with every due date before this day judged: the due day itself still counts."""
        return brought_to(self.standing, on - ONE_DAY, terms)[0]

    def accrual(self, on: date, book: TermsBook) -> Accrual:
        """The segments that interest and late damages of a day are made of, beside the carried claims."""
        return self.standing_on(on, book.at(on)).accrual(on)

    def figures(self, on: date, book: TermsBook, barred: bool) -> Figures:
        """The figures of a day not before the last entry; a day ahead is a forecast without further entries.

        `barred`: whether anything bars borrowing, which makes the available credit 0.
        """
        standing = self.standing_on(on, book.at(on))
        owed = standing.owed(on)
        due, free_until = standing.due, standing.free_until
        return Figures(
            value_date=on,
            principal=owed.principal,
            interest=owed.interest,
            late_damages=owed.late_damages,
            fees=owed.fees,
            total=owed.total,
            available_credit=ZERO if barred else self.available,
            credit_limit=self.credit_limit,
            annual_rate_bps=standing.annual_rate_bps,
            minimum_instalment=ZERO if due is None else Yen(min(standing.instalment, owed.total)),
            next_due=None if due is None else due.day,
            days_late=(on - standing.missed[0].due).days if standing.missed else 0,
            interest_free_until=free_until if free_until is not None and on <= free_until else None,
            customer_credit=standing.customer_credit,
        )

    def settlement_quote(self, on: date, book: TermsBook) -> SettlementQuote:
        """What is to be paid on a day so that nothing is owed."""
        owed = self.standing_on(on, book.at(on)).owed(on)
        return SettlementQuote(
            value_date=on,
            principal=owed.principal,
            interest=owed.interest,
            late_damages=owed.late_damages,
            fees=owed.fees,
            total=owed.total,
        )

    @property
    def closes_on(self) -> date | None:
        """The first day whose closing finds something here besides the income of a month end; None: there is none."""
        due, free_until = self.standing.due, self.standing.free_until
        days = [] if due is None else [due.day]
        if free_until is not None and not self.free_end_recorded:
            days.append(free_until)
        return min(days, default=None)


class AccountFact(Fact):
    """A fact about the account: `apply` folds it into the state alone, for a read model that holds nothing else."""

    def apply(self, account: Account, at: datetime) -> None:
        """Apply the fact. A fact that tells what another one already did changes nothing."""

    def note(self, passbook: Passbook, before: Standing) -> None:
        """Note the fact in the passbook; `before` is the standing it is applied to."""

    def evolve(self, card: Any, at: datetime) -> None:
        if card.passbook is not None:  # a card restored by a read model has none
            self.note(card.passbook, card.account.standing)
        self.apply(card.account, at)
