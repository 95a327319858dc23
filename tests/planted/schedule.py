"""Bugs of instalments, due dates, lateness and the interest-free period."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from msgspec import structs

from ledger.aggregates import advances, instalments, rerun, restatement, schedule
from ledger.aggregates.instalments import CardInstalments
from ledger.aggregates.restatement import CardRestatement
from ledger.aggregates.standing import Accrual, Due, Standing
from ledger.calendar import nominal_due, shifted
from ledger.interest import segments
from ledger.money import ZERO
from planted.soil import Soil, bug

ONE_DAY = timedelta(days=1)


def put_everywhere(soil: Soil, name: str, value: Any) -> None:
    """Put a rule of the schedule in the place of the real one, wherever it was imported."""
    for module in (schedule, instalments, advances, rerun, restatement):
        if name in vars(module):
            soil.put(module, name, value)


@bug("the instalment follows the balance down as it is repaid")
def instalment_slides(soil: Soil) -> None:
    def received(original: Any, self: Any, *given: Any, **named: Any) -> Any:
        after = original(self, *given, **named)
        return (
            structs.replace(after, instalment=-(-after.principal * 361 // 10_000_000) * 1_000) if after.due else after
        )

    soil.around(Standing, "received", received)


@bug("a balance of exactly 300,000 is in the higher bracket")
def bracket_edge(soil: Soil) -> None:
    soil.around(schedule, "bracket_of", lambda original, balance, brackets: original(balance + 1, brackets))


@bug("instalments are rounded down")
def instalment_rounded_down(soil: Soil) -> None:
    soil.put(
        schedule,
        "instalment_for",
        lambda balance, bracket, unit: balance * bracket.coefficient_bps // 10_000 // unit * unit,
    )


@bug("a due date on a closed day stays there")
def due_date_not_shifted(soil: Soil) -> None:
    soil.put(schedule, "shifted", lambda day: day)


@bug("a due date on a closed day moves to the day before")
def due_date_shifted_back(soil: Soil) -> None:
    def back(day: date) -> date:
        while shifted(day) != day:
            day -= ONE_DAY
        return day

    soil.put(schedule, "shifted", back)


@bug("the next due date is reckoned from the shifted one")
def next_due_from_shifted(soil: Soil) -> None:
    def following(due_day: Any, due: Due) -> Due:
        nominal = nominal_due(due_day, due.day, 1)
        return Due(nominal, shifted(nominal), due.day + ONE_DAY)

    put_everywhere(soil, "following_due", following)


@bug("a second payment in one window counts for the next instalment")
def extra_counts_ahead(soil: Soil) -> None:
    original = schedule.following_due

    def following(due_day: Any, due: Due) -> Due:
        return replace(original(due_day, due), opens=date.min)

    put_everywhere(soil, "following_due", following)


@bug("the due day itself is late")
def due_day_is_late(soil: Soil) -> None:
    original = schedule.missed_by
    put_everywhere(soil, "missed_by", lambda standing, through: original(standing, through + ONE_DAY))


@bug("damages come on top of interest")
def damages_on_top(soil: Soil) -> None:
    def accrual(original: Any, self: Standing, to: date) -> Accrual:
        found: Accrual = original(self, to)
        whole = segments(self.balances, self.rates, self.paid_through + ONE_DAY, to)
        return Accrual(whole, found.late_damages) if self.missed else found

    soil.around(Standing, "accrual", accrual)


@bug("no damages for being late")
def no_damages(soil: Soil) -> None:
    soil.around(Standing, "accrual", lambda original, self, to: original(structs.replace(self, missed=()), to))


@bug("damages begin on the due date")
def damages_a_day_early(soil: Soil) -> None:
    def accrual(original: Any, self: Standing, to: date) -> Any:
        return original(structs.replace(self, missed=tuple(replace(m, due=m.due - ONE_DAY) for m in self.missed)), to)

    soil.around(Standing, "accrual", accrual)


@bug("being late does not suspend borrowing")
def late_goes_on_borrowing(soil: Soil) -> None:
    soil.around(
        CardInstalments,
        "suspend",
        lambda original, card, reason, rule=False: None if rule else original(card, reason),
    )


@bug("paying the arrears does not end the suspension")
def cure_ends_nothing(soil: Soil) -> None:
    soil.put(CardInstalments, "resume_by_rule", lambda card, reason: None)


@bug("paying the arrears ends every suspension", life="whole")
def cure_ends_everything(soil: Soil) -> None:
    def resume(card: Any, reason: str) -> None:
        for suspension_id in tuple(card.access.suspensions):
            card.resume(suspension_id, "check")

    soil.put(CardInstalments, "resume_by_rule", resume)


@bug("a part of the arrears cures them")
def part_cures(soil: Soil) -> None:
    soil.around(
        Standing,
        "_counting",
        lambda original, self, counted: original(self, tuple(replace(part, fulfilled=True) for part in counted)),
    )


@bug("a cure that was taken back leaves the late member free to borrow")
def cure_taken_back_stays(soil: Soil) -> None:
    def follow(original: Any, card: Any, outcome: Any, cause: Any, on: date, terms: Any) -> None:
        before = structs.replace(outcome.before, missed=card.account.standing.missed)
        original(card, replace(outcome, before=before), cause, on, terms)

    soil.around(CardRestatement, "follow_restatement", follow)


@bug("nobody is stopped for being late again and again")
def never_too_often(soil: Soil) -> None:
    soil.change("lateness", stop_at_missed=1_000)


@bug("the second missed instalment stops the card")
def too_often_too_soon(soil: Soil) -> None:
    soil.change("lateness", stop_at_missed=2)


@bug("the interest-free period has 31 days")
def free_day_too_many(soil: Soil) -> None:
    soil.change("interest", free_days=31)


@bug("the interest-free period begins on the day of the advance")
def free_a_day_early(soil: Soil) -> None:
    original = rerun.free_period

    def free_period(on: date, terms: Any) -> Any:
        first, last = original(on, terms)
        return first - ONE_DAY, last - ONE_DAY

    for module in (rerun, advances):
        soil.put(module, "free_period", free_period)


@bug("being late does not end the interest-free period")
def free_although_late(soil: Soil) -> None:
    soil.change("interest", free_ends_on_lateness=False)


@bug("every advance begins another interest-free period")
def free_again_and_again(soil: Soil) -> None:
    def drawn(original: Any, self: Standing, on: date, amount: int, fee: int) -> Any:
        return structs.replace(original(self, on, amount, fee), free_from=None, free_until=None)

    soil.around(Standing, "drawn", drawn)


@bug("a small remainder goes on bearing interest")
def remainder_bears_interest(soil: Soil) -> None:
    soil.change("repayment", free_remainder_below=0)


@bug("a small remainder is forgiven")
def remainder_forgiven(soil: Soil) -> None:
    def received(original: Any, self: Any, *given: Any, **named: Any) -> Any:
        after = original(self, *given, **named)
        return structs.replace(after, principal=ZERO) if after.remainder else after

    soil.around(Standing, "received", received)
