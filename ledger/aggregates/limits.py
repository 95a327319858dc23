"""Credit limits and rates: what may be granted, and changing it on an open account.

What must stay true: no limit or rate leaves here that the statutes of the day forbid; a limit may be cut below the
balance, which makes nothing fall due.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from ledger import refusals
from ledger.aggregates.balance import Account, AccountFact
from ledger.aggregates.passbook import Passbook, Repriced
from ledger.aggregates.repayments import CardRepayments
from ledger.aggregates.standing import Standing
from ledger.calendar import end_of_years
from ledger.money import Yen
from ledger.terms import Terms

# What may be granted --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What is known of a member's ability to repay on a day: yearly income, other lenders' balances, age, and proof."""

    annual_income: int
    others_balance: int
    age: int
    proof_issued_on: date | None = None
    workplace_changed_on: date | None = None
    workplace_confirmed_on: tuple[date, ...] = ()


def check_credit(limit: int, annual_rate_bps: int, *, means: Means, on: date, terms: Terms) -> None:
    """Refuse a limit at issue or at a raise, in this order: range, rate, one third of the income, proof of income."""
    check_limit(limit, terms)
    check_rate(limit, annual_rate_bps, terms)
    if over_one_third(limit, means.others_balance, means.annual_income, terms):
        raise refusals.OverOneThird
    if needs_proof(limit, means, terms) and not has_proof(means, on, terms):
        raise refusals.IncomeProofRequired


def check_limit(limit: int, terms: Terms) -> None:
    if not terms.limit.lowest <= limit <= terms.limit.highest or limit % terms.limit.step:
        raise refusals.LimitOutOfRange


def check_rate(limit: int, annual_rate_bps: int, terms: Terms) -> None:
    if annual_rate_bps > terms.limit.rate_cap(limit):
        raise refusals.RateOverCap


def over_one_third(limit: int, others_balance: int, annual_income: int, terms: Terms) -> bool:
    """Act 13-2: own limit and others' balances over a third of the income; equality is allowed, nothing is rounded."""
    return terms.limit.income_divisor * (limit + others_balance) > annual_income


def needs_proof(limit: int, means: Means, terms: Terms) -> bool:
    """Act 13(3): above 500,000 of one's own or 1,000,000 in all, and always below a certain age (house rule)."""
    own, total = terms.limit.proof_own_over, terms.limit.proof_total_over
    return limit > own or limit + means.others_balance > total or means.age < terms.limit.proof_below_age


def has_proof(means: Means, on: date, terms: Terms) -> bool:
    """Whether there is a proof of income that is good on a day."""
    issued_on, until = means.proof_issued_on, proof_good_until(means, terms)
    return issued_on is not None and until is not None and issued_on <= on <= until


def proof_good_until(means: Means, terms: Terms) -> date | None:
    """The last day of the proof of income on file; None where there is none, or the workplace was changed since it was
    issued. It lasts longer once the workplace was confirmed unchanged in the last part of its first years."""
    issued_on, changed_on, rule = means.proof_issued_on, means.workplace_changed_on, terms.limit
    if issued_on is None or (changed_on is not None and issued_on < changed_on):
        return None
    until = end_of_years(issued_on, rule.proof_valid_years)
    confirmable_after = end_of_years(issued_on, rule.proof_confirmable_years)
    if any(confirmable_after < confirmed_on <= until for confirmed_on in means.workplace_confirmed_on):
        return max(until, end_of_years(issued_on, rule.proof_confirmed_valid_years))
    return until


# Facts ----------------------------------------------------------------------------------------------------------------


class LimitChanged(AccountFact, topic="card.limit-changed"):
    """Another credit limit; `request_id` names the request that led to it."""

    old_limit: Yen
    new_limit: Yen
    reason: str
    request_id: UUID | None
    terms_version: str

    def apply(self, account: Account, at: datetime) -> None:
        account.credit_limit = self.new_limit


class RateChanged(AccountFact, topic="card.rate-changed"):
    """Another contract rate on the whole balance, from `effective_from` on, that day included."""

    change_id: UUID
    old_rate_bps: int
    new_rate_bps: int
    effective_from: date
    terms_version: str

    def apply(self, account: Account, at: datetime) -> None:
        account.standing = account.standing.repriced(self.effective_from, self.new_rate_bps)

    def note(self, passbook: Passbook, before: Standing) -> None:
        passbook.add(Repriced(self.change_id, self.effective_from, self.new_rate_bps), before)


# Acts -----------------------------------------------------------------------------------------------------------------


class CardLimits(CardRepayments):
    """The part of a card whose limit and rate can change."""

    def change_limit(
        self, new_limit: Yen, *, annual_rate_bps: int | None, request_id: UUID | None, reason: str, terms: Terms
    ) -> LimitChanged:
        """Raise or cut the limit. Without a rate, the present one stays as far as the statutes allow at the new limit.

        A higher rate on a balance needs the member's agreement and is refused. For a raise the caller checks the means,
        with `check_credit`; a cut needs none.
        """
        self.refuse_if_closed()
        check_limit(new_limit, terms)
        present = self.account.standing.annual_rate_bps
        rate = self._rate_at(new_limit, present, annual_rate_bps, terms)
        changed = LimitChanged(
            old_limit=self.account.credit_limit,
            new_limit=new_limit,
            reason=reason,
            request_id=request_id,
            terms_version=terms.version,
        )
        self.record(changed)
        if rate != present:
            self._change_rate(rate, present, terms)
        return changed

    def _rate_at(self, new_limit: Yen, present: int, asked: int | None, terms: Terms) -> int:
        cap = terms.limit.rate_cap(new_limit)
        if self.account.rate_cap_bps is not None:
            cap = min(cap, self.account.rate_cap_bps)
        rate = min(present, cap) if asked is None else asked
        if rate > cap or (rate > present and self.account.standing.principal > 0):
            raise refusals.RateOverCap
        return rate

    def _change_rate(self, rate: int, present: int, terms: Terms) -> None:
        self.record(
            RateChanged(
                change_id=self.new_id("rate-change"),
                old_rate_bps=present,
                new_rate_bps=rate,
                effective_from=self.today,
                terms_version=terms.version,
            )
        )
