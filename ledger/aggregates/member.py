"""The member: profile, proof of income, credit report; with the web login and the limit requests of their own files.

What must stay true: no personal fact is in any event. An event names the fields and the version of the member's stream
under which the vault keeps their values sealed; `sealed` says where the present value of each field is.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from ledger.aggregates.fact import Fact
from ledger.aggregates.limit_requests import MemberLimitRequests
from ledger.aggregates.web_login import MemberWebLogin
from ledger.calendar import business_day

PROFILE_FIELDS: Final = (
    "name",
    "kana",
    "birth_date",
    "email",
    "phone",
    "address",
    "workplace",
    "annual_income",
)
CHANGEABLE_FIELDS: Final = ("email", "phone", "address", "workplace")
ANNUAL_INCOME: Final = "annual_income"
OTHERS_BALANCE: Final = "others_balance"
PAYOUT_ACCOUNT: Final = "payout_account"


class MemberEnrolled(Fact, topic="member.member-enrolled"):
    fields: tuple[str, ...]
    sealed_version: int
    web_statements: bool

    def evolve(self, member: Member, at: datetime) -> None:
        member.enrolled_at, member.web_statements = at, self.web_statements
        member.sealed.update(dict.fromkeys(self.fields, self.sealed_version))


class ProfileChanged(Fact, topic="member.profile-changed"):
    """The names of the fields that changed. Another workplace voids the proof of income on file, and every one that was
    issued before the change (Rule 10-26)."""

    fields: tuple[str, ...]
    sealed_version: int
    voids_income_proof: bool

    def evolve(self, member: Member, at: datetime) -> None:
        member.sealed.update(dict.fromkeys(self.fields, self.sealed_version))
        if self.voids_income_proof:
            member.income_proof_issued_on = None
            member.workplace_changed_on = business_day(at)


class PayoutAccountRegistered(Fact, topic="member.payout-account-registered"):
    sealed_version: int

    def evolve(self, member: Member, at: datetime) -> None:
        member.sealed[PAYOUT_ACCOUNT] = self.sealed_version


class IncomeProofReceived(Fact, topic="member.income-proof-received"):
    """The income it proves is sealed."""

    issued_on: date
    sealed_version: int

    def evolve(self, member: Member, at: datetime) -> None:
        member.sealed[ANNUAL_INCOME] = self.sealed_version
        member.income_proof_issued_on = self.issued_on


class WorkplaceConfirmed(Fact, topic="member.workplace-confirmed"):
    """The workplace was found to be the one on file, which can make a proof of income good for longer."""

    confirmed_on: date

    def evolve(self, member: Member, at: datetime) -> None:
        member.workplace_confirmed_on = (*member.workplace_confirmed_on, self.confirmed_on)


class CreditReported(Fact, topic="member.credit-reported"):
    """What the credit bureau said of loans elsewhere; the balance is sealed."""

    reported_on: date
    sealed_version: int

    def evolve(self, member: Member, at: datetime) -> None:
        member.sealed[OTHERS_BALANCE] = self.sealed_version
        member.credit_reported_on = self.reported_on


class Member(MemberWebLogin, MemberLimitRequests, stream="member"):
    """A person with whom there is, was or may be an agreement; perhaps without a card, perhaps without a Web-ID.

    Each act that brings personal values returns the version of the stream to seal them under.
    """

    enrolled_at: datetime | None
    web_statements: bool
    sealed: dict[str, int]
    income_proof_issued_on: date | None
    workplace_changed_on: date | None
    workplace_confirmed_on: tuple[date, ...]
    credit_reported_on: date | None

    def begin(self) -> None:
        MemberWebLogin.begin(self)
        MemberLimitRequests.begin(self)
        self.enrolled_at, self.web_statements, self.sealed = None, False, {}
        self.income_proof_issued_on = self.workplace_changed_on = self.credit_reported_on = None
        self.workplace_confirmed_on = ()

    @property
    def has_payout_account(self) -> bool:
        return PAYOUT_ACCOUNT in self.sealed

    def enrol(self, *, web_statements: bool = False) -> int:
        """The first act of a member. That the person is of age was judged with the form (`forms.birth_date`)."""
        assert self.version == 0, "a member enrols once"
        sealed_version = self.version + 1
        self.record(MemberEnrolled(fields=PROFILE_FIELDS, sealed_version=sealed_version, web_statements=web_statements))
        return sealed_version

    def change_profile(self, fields: tuple[str, ...]) -> int:
        """Change some of `CHANGEABLE_FIELDS`; a payout account is an act of its own."""
        assert set(fields) <= set(CHANGEABLE_FIELDS), fields
        sealed_version = self.version + 1
        self.record(
            ProfileChanged(
                fields=tuple(sorted(fields)), sealed_version=sealed_version, voids_income_proof="workplace" in fields
            )
        )
        return sealed_version

    def register_payout_account(self) -> int:
        sealed_version = self.version + 1
        self.record(PayoutAccountRegistered(sealed_version=sealed_version))
        return sealed_version

    def receive_income_proof(self, *, issued_on: date) -> int:
        """Take a proof of income; it replaces the income and the proof on file."""
        sealed_version = self.version + 1
        self.record(IncomeProofReceived(issued_on=issued_on, sealed_version=sealed_version))
        return sealed_version

    def confirm_workplace(self) -> None:
        """Note that the workplace is unchanged. That there is a proof to be kept by it is found by `limits`."""
        self.record(WorkplaceConfirmed(confirmed_on=business_day(self.at)))

    def report_credit(self, *, reported_on: date) -> int:
        """Take a report of the credit bureau; what follows for the card is an act of the card."""
        sealed_version = self.version + 1
        self.record(CreditReported(reported_on=reported_on, sealed_version=sealed_version))
        return sealed_version
