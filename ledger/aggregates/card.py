"""The card: its PIN and stops (`pin.py`, `access.py`) and its revolving account (`account.py`) in one ordered stream.

What must stay true: one member, one account, one stream; the number embossed on the card is an attribute that a
re-issue replaces, and no event holds more of it than the last four digits.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ledger import refusals
from ledger.aggregates.account import Account
from ledger.aggregates.credit_checks import CardCreditChecks
from ledger.aggregates.fact import Fact
from ledger.aggregates.pin import CardPin
from ledger.calendar import business_day
from ledger.money import Yen
from ledger.terms import Terms


class CardIssued(Fact, topic="card.card-issued"):
    """The agreement begins. `annual_rate_bps` is in basis points; `generation` is that of the first PIN."""

    member_id: UUID
    number_last4: str
    generation: int
    credit_limit: Yen
    annual_rate_bps: int
    due_day: int | str
    interest_free: bool
    terms_version: str

    def evolve(self, card: Card, at: datetime) -> None:
        card.member_id, card.number_last4, card.issued_at = self.member_id, self.number_last4, at
        card.access.generation = self.generation
        card.account = self.opened_account(at)
        card.open_passbook()

    def opened_account(self, at: datetime) -> Account:
        """The account this fact opens, for a read model that holds nothing else too."""
        return Account.opened(
            credit_limit=self.credit_limit,
            annual_rate_bps=self.annual_rate_bps,
            due_day=self.due_day,
            issued_on=business_day(at),
            interest_free=self.interest_free,
        )


class CardReissued(Fact, topic="card.card-reissued"):
    """Another number for the same account; PIN, lock, stops and suspensions stay."""

    number_last4: str

    def evolve(self, card: Card, at: datetime) -> None:
        card.number_last4 = self.number_last4


class CardClosed(Fact, topic="card.card-closed"):
    """The agreement ends. A debt that a bounced repayment brings back is owed, and money that arrives is taken."""

    ends_sessions = True

    def evolve(self, card: Card, at: datetime) -> None:
        card.access.closed_since = at


class Card(CardPin, CardCreditChecks, stream="card"):
    """One card and its account."""

    member_id: UUID
    number_last4: str
    issued_at: datetime

    def begin(self) -> None:
        CardPin.begin(self)
        CardCreditChecks.begin(self)

    def issue(
        self,
        *,
        member_id: UUID,
        number_last4: str,
        credit_limit: Yen,
        annual_rate_bps: int,
        due_day: int | str,
        interest_free: bool,
        pin_refused: bool,
        terms: Terms,
    ) -> int:
        """The first act of a card; returns the generation to keep the verifier of its PIN under.

        The credit itself was checked by `limits.check_credit`; that the member has no open card, by the caller.
        """
        assert self.version == 0, "a card is issued once"
        if pin_refused:
            raise refusals.PinRefused
        self.record(
            CardIssued(
                member_id=member_id,
                number_last4=number_last4,
                generation=1,
                credit_limit=credit_limit,
                annual_rate_bps=annual_rate_bps,
                due_day=due_day,
                interest_free=interest_free,
                terms_version=terms.version,
            )
        )
        return 1

    def reissue(self, *, number_last4: str) -> None:
        self.refuse_if_closed()
        self.record(CardReissued(number_last4=number_last4))

    def close(self) -> None:
        """End the agreement; refused while anything is owed or under way. Money kept for the member does not bar it."""
        self.refuse_if_closed()
        standing = self.account.standing
        # All days are charged up to the receipt that paid the principal off, so nothing can have accrued without any.
        if standing.principal or standing.carried.total or self.account.in_flight:
            raise refusals.NotSettled
        self.record(CardClosed())
