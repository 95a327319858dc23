"""Bugs of advances, of the available credit, and of what a repayment covers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec import structs

from ledger import interest, refusals
from ledger.aggregates import schedule, standing
from ledger.aggregates.advances import AdvanceFailed, AdvanceReserved, AdvanceReversed, CardAdvances
from ledger.aggregates.balance import Account
from ledger.aggregates.repayments import CardRepayments, RepaymentReversed
from ledger.aggregates.standing import Standing
from ledger.interest import DENOMINATOR
from ledger.repayment import Allocation
from planted.soil import Soil, bug

ONE_DAY = timedelta(days=1)


# Advances -------------------------------------------------------------------------------------------------------------


def around_reserving(soil: Soil, outside: Any) -> None:
    soil.around(CardAdvances, "reserve_advance", outside)


@bug("the available credit is cut at the confirmation only")
def credit_cut_late(soil: Soil) -> None:
    soil.put(AdvanceReserved, "apply", lambda self, account, at: None)


@bug("the available credit stays cut after a failure")
def credit_stays_cut(soil: Soil) -> None:
    soil.put(AdvanceFailed, "apply", lambda self, account, at: None)


@bug("the whole of the available credit cannot be drawn")
def last_yen_refused(soil: Soil) -> None:
    def reserve(original: Any, card: Any, amount: Any, *given: Any, **named: Any) -> Any:
        if not card.borrowing_barred and amount == card.account.available:
            raise refusals.CreditLimitExceeded(available_credit=card.account.available)
        return original(card, amount, *given, **named)

    around_reserving(soil, reserve)


@bug("one yen more than the limit can be drawn")
def one_yen_too_many(soil: Soil) -> None:
    soil.put(
        Account,
        "available",
        property(lambda a: max(0, a.credit_limit + 1 - a.standing.principal - sum(a.in_flight.values()))),
    )


@bug("nobody asks for a payout account")
def no_payout_account_needed(soil: Soil) -> None:
    def reserve(original: Any, card: Any, *given: Any, **named: Any) -> Any:
        return original(card, *given, **{**named, "payout_account": True})

    around_reserving(soil, reserve)


@bug("the payout account is asked for before the bars", life="whole")
def payout_account_first(soil: Soil) -> None:
    def reserve(original: Any, card: Any, amount: Any, purpose: str, **named: Any) -> Any:
        if purpose == "transfer" and not named["payout_account"]:
            raise refusals.PayoutAccountMissing
        return original(card, amount, purpose, **named)

    around_reserving(soil, reserve)


@bug("cash comes in single yen")
def cash_in_single_yen(soil: Soil) -> None:
    soil.change("advance", cash_unit=1)


@bug("an advance is confirmed any number of times")
def confirmed_again(soil: Soil) -> None:
    def confirm(original: Any, card: Any, advance_id: Any, **named: Any) -> Any:
        card.written.advances[advance_id].state = "reserved"
        return original(card, advance_id, **named)

    soil.around(CardAdvances, "confirm_advance", confirm)


@bug("the money of a reversed advance is still owed")
def reversed_advance_is_owed(soil: Soil) -> None:
    soil.put(AdvanceReversed, "apply", lambda self, account, at: None)


@bug("the credit is shown although borrowing is barred", life="whole")
def credit_shown_when_barred(soil: Soil) -> None:
    soil.around(Account, "figures", lambda original, account, on, book, barred: original(account, on, book, False))


# Repayments -----------------------------------------------------------------------------------------------------------


def refuse_repayments(soil: Soil, when: Any) -> None:
    def repay(original: Any, card: Any, *given: Any, **named: Any) -> Any:
        if when(card.access):
            raise refusals.CardStopped
        return original(card, *given, **named)

    soil.around(CardRepayments, "repay", repay)


@bug("a stopped card takes no repayment", life="whole")
def stop_refuses_money(soil: Soil) -> None:
    refuse_repayments(soil, lambda access: access.stops)


@bug("a locked card takes no repayment", life="whole")
def lock_refuses_money(soil: Soil) -> None:
    refuse_repayments(soil, lambda access: access.locked)


@bug("a suspension of borrowing blocks repayments", life="whole")
def suspension_refuses_money(soil: Soil) -> None:
    refuse_repayments(soil, lambda access: access.suspensions)


@bug("a repayment ends the suspensions", life="whole")
def money_ends_suspensions(soil: Soil) -> None:
    def repay(original: Any, card: Any, *given: Any, **named: Any) -> Any:
        answer = original(card, *given, **named)
        card.access.suspensions.clear()
        return answer

    soil.around(CardRepayments, "repay", repay)


@bug("by internet any amount is taken")
def no_internet_minimum(soil: Soil) -> None:
    soil.change("repayment", internet_minimum=0)


def allocating(soil: Soil, divide: Any) -> None:
    """Another use of a receipt: `divide(amount, owed)` gives damages, interest, principal and the rest."""

    def allocate(amount: int, owed: Any) -> Allocation:
        damages, paid, principal, rest = divide(amount, owed)
        return Allocation(late_damages=damages, interest=paid, principal=principal, overpayment=rest)

    soil.put(schedule, "allocate", allocate)


@bug("principal is paid before interest")
def principal_first(soil: Soil) -> None:
    def divide(amount: int, owed: Any) -> tuple[int, ...]:
        principal = min(amount, owed.principal)
        damages = min(amount - principal, owed.late_damages)
        paid = min(amount - principal - damages, owed.interest)
        return damages, paid, principal, amount - principal - damages - paid

    allocating(soil, divide)


@bug("interest is paid before damages")
def interest_before_damages(soil: Soil) -> None:
    def divide(amount: int, owed: Any) -> tuple[int, ...]:
        paid = min(amount, owed.interest)
        damages = min(amount - paid, owed.late_damages)
        principal = min(amount - paid - damages, owed.principal)
        return damages, paid, principal, amount - paid - damages - principal

    allocating(soil, divide)


@bug("what is paid too much makes the principal negative")
def negative_principal(soil: Soil) -> None:
    def divide(amount: int, owed: Any) -> tuple[int, ...]:
        damages = min(amount, owed.late_damages)
        paid = min(amount - damages, owed.interest)
        return damages, paid, amount - damages - paid, 0

    allocating(soil, divide)


@bug("what is paid too much is lost")
def overpayment_lost(soil: Soil) -> None:
    def received(original: Any, self: Any, on: Any, owed: Any, allocation: Any, **named: Any) -> Any:
        return structs.replace(original(self, on, owed, allocation, **named), customer_credit=self.customer_credit)

    soil.around(Standing, "received", received)


@bug("the money of a reversed repayment stays credited")
def reversed_repayment_stays(soil: Soil) -> None:
    soil.put(RepaymentReversed, "apply", lambda self, account, at: None)


# Interest -------------------------------------------------------------------------------------------------------------


@bug("interest runs from the day of the advance: both ends count")
def both_ends_count(soil: Soil) -> None:
    soil.around(
        Standing, "drawn", lambda original, self, on, amount, fee: structs.replace(
            original(self, on, amount, fee),
            balances=tuple((day - ONE_DAY if day > on else day, value)
                           for day, value in original(self, on, amount, fee).balances),
        ),
    )  # fmt: skip


@bug("a leap year has 365 days")
def no_leap_years(soil: Soil) -> None:
    soil.put(interest, "isleap", lambda year: False)


@bug("every year has 366 days")
def only_leap_years(soil: Soil) -> None:
    soil.put(interest, "isleap", lambda year: True)


@bug("the fraction is dropped for each segment")
def floored_by_segment(soil: Soil) -> None:
    soil.put(standing, "whole_yen", lambda cut: sum(each.numerator // DENOMINATOR for each in cut))


@bug("interest is rounded to the nearest yen")
def rounded_half_up(soil: Soil) -> None:
    soil.put(standing, "whole_yen", lambda cut: (sum(each.numerator for each in cut) + DENOMINATOR // 2) // DENOMINATOR)


@bug("unpaid interest bears interest")
def interest_on_interest(soil: Soil) -> None:
    def received(original: Any, self: Any, on: Any, owed: Any, allocation: Any, **named: Any) -> Any:
        after = original(self, on, owed, allocation, **named)
        return structs.replace(after, balances=tuple((day, value + after.interest) for day, value in after.balances))

    soil.around(Standing, "received", received)


@bug("a repayment does not stop the interest of the days before it")
def days_charged_twice(soil: Soil) -> None:
    def received(original: Any, self: Any, on: Any, owed: Any, allocation: Any, **named: Any) -> Any:
        after = original(self, on, owed, allocation, **named)
        return structs.replace(after, paid_through=self.paid_through, balances=self.balances)

    soil.around(Standing, "received", received)
