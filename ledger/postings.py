"""Double entry: the lines that each fact of money is in the books, and the chart of accounts they stand in.

What must stay true: the lines follow from the fact alone, both sides are equal, and a fact that was posted under a set
of rules is posted so for ever: other rules are another version. What an account of a card holds here is what its folded
account says, as `BALANCES` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import singledispatch
from typing import Final, NamedTuple

from ledger.aggregates.advances import AdvanceConfirmed, AdvanceReversed
from ledger.aggregates.fact import Fact
from ledger.aggregates.instalments import InterestPosted
from ledger.aggregates.repayments import RefundSent, RepaymentMade, RepaymentReversed
from ledger.aggregates.rerun import Restatement
from ledger.aggregates.restatement import AllocationRevised
from ledger.aggregates.standing import Standing
from ledger.repayment import Allocation

RULES: Final = 1
"""The version of these rules; each line in the books names its own."""

PRINCIPAL: Final = "Assets:Loans:Principal"
INTEREST: Final = "Assets:Loans:Interest"
LATE_DAMAGES: Final = "Assets:Loans:LateDamages"
FEES: Final = "Assets:Loans:Fees"
MEMBER_CREDIT: Final = "Liabilities:MemberCredit"
ADVANCES: Final = "Assets:Clearing:Advances"
REFUNDS: Final = "Assets:Clearing:Refunds"
RECEIPTS: Final = {
    "internet": "Assets:Clearing:Internet",
    "atm": "Assets:Clearing:Atm",
    "direct-debit": "Assets:Clearing:DirectDebit",
    "bank-transfer": "Assets:Clearing:BankTransfer",
    "counter": "Assets:Clearing:Counter",
}
INTEREST_INCOME: Final = "Income:Interest"
LATE_DAMAGES_INCOME: Final = "Income:LateDamages"
FEE_INCOME: Final = "Income:Fees"

ACCOUNTS: Final = {
    PRINCIPAL: "営業貸付金",
    INTEREST: "未収利息",
    LATE_DAMAGES: "未収遅延損害金",
    FEES: "未収手数料",
    MEMBER_CREDIT: "預り金",
    ADVANCES: "仮払金（貸付）",
    REFUNDS: "仮払金（返金）",
    RECEIPTS["internet"]: "未収金（インターネット）",
    RECEIPTS["atm"]: "未収金（ATM）",
    RECEIPTS["direct-debit"]: "未収金（口座振替）",
    RECEIPTS["bank-transfer"]: "未収金（振込）",
    RECEIPTS["counter"]: "未収金（店頭窓口）",
    INTEREST_INCOME: "貸付金利息",
    LATE_DAMAGES_INCOME: "遅延損害金収入",
    FEE_INCOME: "手数料収入",
}
"""The chart of accounts, with the name each has in Japanese books."""

BALANCES: Final[dict[str, Callable[[Standing], int]]] = {
    PRINCIPAL: lambda standing: standing.principal,
    INTEREST: lambda standing: standing.interest_posted,
    LATE_DAMAGES: lambda standing: standing.late_damages_posted,
    FEES: lambda standing: standing.fees,
    MEMBER_CREDIT: lambda standing: -standing.customer_credit,
}
"""The control accounts, kept by card: what each holds, debits less credits, by the folded account of the card."""


class Posting(NamedTuple):
    """One line: an amount above zero on one side of an account."""

    account: str
    direction: str
    amount: int

    @property
    def signed(self) -> int:
        """Debit as plus, credit as minus."""
        return self.amount if self.direction == "debit" else -self.amount


def postings(fact: Fact) -> tuple[Posting, ...]:
    """The lines of a fact in the books, none for a fact that moves no money."""
    moves = _moves.registry.get(type(fact))  # most facts, and so the whole log, are told apart at once
    if moves is None:
        return ()
    return tuple(
        [
            Posting(account, "debit" if amount > 0 else "credit", abs(amount))
            for account, amount in moves(fact)
            if amount
        ]
    )


def moves_money(fact: type[Fact]) -> bool:
    """Whether facts of this kind can have lines in the books."""
    return fact in _moves.registry


def value_date(fact: Fact) -> date:
    """The day that a fact of money concerns: its value date, or the month end that income is booked through."""
    day: date = fact.through if isinstance(fact, InterestPosted) else fact.value_date  # type: ignore[attr-defined]
    return day


Moves = Iterator[tuple[str, int]]
"""Accounts with what is added to each: debit as plus, credit as minus; zero where nothing is."""


@singledispatch
def _moves(_fact: Fact) -> Moves:
    yield from ()


@_moves.register
def _(fact: AdvanceConfirmed) -> Moves:
    yield PRINCIPAL, fact.amount
    yield ADVANCES, -fact.amount
    yield FEES, fact.fee
    yield FEE_INCOME, -fact.fee
    if fact.restated is not None:
        yield from _restated(fact.restated)


@_moves.register
def _(fact: AdvanceReversed) -> Moves:
    yield ADVANCES, fact.amount
    yield PRINCIPAL, -fact.amount
    yield FEE_INCOME, fact.fee
    yield FEES, -fact.fee
    yield from _restated(fact.restated)


@_moves.register
def _(fact: RepaymentMade) -> Moves:
    if fact.restated is not None:
        yield from _restated(fact.restated)
    else:
        yield from _earned(fact.interest_earned, fact.late_damages_earned)
    yield RECEIPTS[fact.method], fact.amount
    yield from _used(fact.allocation, -1)


@_moves.register
def _(fact: RepaymentReversed) -> Moves:
    yield from _used(fact.allocation, 1)
    yield RECEIPTS[fact.method], -fact.amount
    yield from _restated(fact.restated)


@_moves.register
def _(fact: AllocationRevised) -> Moves:
    """Each receipt's old use is taken back and its new one booked; the cause has booked the income."""
    for receipt in fact.revised:
        yield from _used(receipt.old, 1)
        yield from _used(receipt.new, -1)


@_moves.register
def _(fact: InterestPosted) -> Moves:
    yield from _earned(fact.interest, fact.late_damages)


@_moves.register
def _(fact: RefundSent) -> Moves:
    yield MEMBER_CREDIT, fact.amount
    yield REFUNDS, -fact.amount


def _used(allocation: Allocation, sign: int) -> Moves:
    """The parts of a receipt: -1 books its use, 1 takes it back."""
    yield FEES, sign * allocation.fees
    yield LATE_DAMAGES, sign * allocation.late_damages
    yield INTEREST, sign * allocation.interest
    yield PRINCIPAL, sign * allocation.principal
    yield MEMBER_CREDIT, sign * allocation.overpayment


def _earned(interest: int, late_damages: int) -> Moves:
    """Income that becomes a claim on the member; a correction may be below zero."""
    yield INTEREST, interest
    yield INTEREST_INCOME, -interest
    yield LATE_DAMAGES, late_damages
    yield LATE_DAMAGES_INCOME, -late_damages


def _restated(restatement: Restatement) -> Moves:
    """What a restatement books besides receipts: income, and refunds that turn out to be lent (or not to be)."""
    yield from _earned(restatement.interest_earned, restatement.late_damages_earned)
    yield PRINCIPAL, restatement.refund_as_principal
    yield MEMBER_CREDIT, -restatement.refund_as_principal
