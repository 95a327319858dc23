"""Bugs of the PIN counter, its lock, and the new PIN."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ledger import forms, refusals
from ledger.aggregates import pin
from ledger.aggregates.access import Access
from ledger.aggregates.pin import CardLocked, CardPin, LoginFailed, LoginSucceeded, PinReset
from planted.soil import Soil, bug

NEVER = 1_000_000


@bug("the fourth wrong PIN in a row locks, not the third")
def limit_one_too_many(soil: Soil) -> None:
    soil.change("lock", pin_max_failures=4)


@bug("the second wrong PIN in a row locks")
def limit_one_too_few(soil: Soil) -> None:
    soil.change("lock", pin_max_failures=2)


@bug("wrong PINs are not counted over thirty days")
def no_window(soil: Soil) -> None:
    soil.change("lock", pin_window_failures=NEVER)


@bug("the window is a week long")
def window_of_a_week(soil: Soil) -> None:
    soil.change("lock", pin_window_days=7)


@bug("the window never slides")
def window_of_a_life(soil: Soil) -> None:
    soil.change("lock", pin_window_days=10_000)


@bug("wrong PINs are not counted over one generation")
def no_generation_cap(soil: Soil) -> None:
    soil.change("lock", pin_generation_failures=NEVER)


@bug("a locked card leaves the web login open")
def lock_leaves_web_open(soil: Soil) -> None:
    soil.change("lock", pin_lock_blocks_web=False)


@bug("a right PIN does not end the row of wrong ones")
def success_clears_nothing(soil: Soil) -> None:
    soil.put(LoginSucceeded, "evolve", lambda self, card, at: None)


@bug("a right PIN clears the thirty days too")
def success_clears_window(soil: Soil) -> None:
    def evolve(original: Any, self: Any, card: Any, at: Any) -> None:
        original(self, card, at)
        card.access.recent = ()

    soil.around(LoginSucceeded, "evolve", evolve)


@bug("a right PIN clears the count of the generation too")
def success_clears_generation(soil: Soil) -> None:
    def evolve(original: Any, self: Any, card: Any, at: Any) -> None:
        original(self, card, at)
        card.access.in_generation = 0

    soil.around(LoginSucceeded, "evolve", evolve)


def before_attempt(soil: Soil, first: Any) -> None:
    """Let something look at a PIN attempt first; what it returns, unless None, is the answer."""

    def decide(original: Any, card: Any, **named: Any) -> Any:
        answer = first(card, named)
        return answer if answer is not None else original(card, **named)

    soil.around(CardPin, "decide_pin_attempt", decide)


@bug("a lock ends by itself after a day")
def timer_unlocks(soil: Soil) -> None:
    def first(card: Any, named: Any) -> None:
        since = card.access.locked_since
        if since is not None and card.at - since > timedelta(days=1):
            card.access.locked_since, card.access.consecutive = None, 0

    before_attempt(soil, first)


@bug("a row of wrong PINs is forgotten after a day")
def timer_forgets(soil: Soil) -> None:
    def first(card: Any, named: Any) -> None:
        if card.access.recent and card.at - card.access.recent[-1] > timedelta(days=1):
            card.access.consecutive = 0

    before_attempt(soil, first)


@bug("an ATM counts apart")
def atm_counts_apart(soil: Soil) -> None:
    def count(original: Any, card: Any, *given: Any) -> Any:
        return refusals.BadCredentials() if card.cause.channel == "atm" else original(card, *given)

    soil.around(CardPin, "_count_failure", count)


@bug("an ATM does not tell the tries left")
def atm_tells_nothing(soil: Soil) -> None:
    def count(original: Any, card: Any, *given: Any) -> Any:
        refusal = original(card, *given)
        refusal.details = {}
        return refusal

    soil.around(CardPin, "_count_failure", count)


@bug("the right PIN is told from a wrong one on a locked card")
def oracle_on_locked_card(soil: Soil) -> None:
    before_attempt(soil, lambda card, named: refusals.CardStopped() if card.access.locked and named["right"] else None)


@bug("the right PIN opens a locked card")
def right_pin_unlocks(soil: Soil) -> None:
    def first(card: Any, named: Any) -> None:
        if named["right"]:
            card.access.locked_since = None

    before_attempt(soil, first)


@bug("wrong PINs on a locked card are counted on")
def locked_card_counts(soil: Soil) -> None:
    def first(card: Any, named: Any) -> None:
        if card.access.locked and not named["right"]:
            card.access.consecutive += 1

    before_attempt(soil, first)


@bug("a stop is told before the PIN is right")
def stop_told_to_strangers(soil: Soil) -> None:
    before_attempt(soil, lambda card, named: refusals.CardStopped() if card.access.stops else None)


@bug("wrong PINs on a stopped card are not counted")
def stopped_card_counts_nothing(soil: Soil) -> None:
    def first(card: Any, named: Any) -> Any:
        return refusals.BadCredentials() if card.access.stops and not named["right"] else None

    before_attempt(soil, first)


@bug("a verdict on the old PIN is taken for one on the new")
def old_pin_opens(soil: Soil) -> None:
    before_attempt(soil, lambda card, named: named.update(generation=card.access.generation))


@bug("a full-width PIN is read as a PIN, and counted")
def full_width_is_counted(soil: Soil) -> None:
    soil.put(forms, "pin", lambda value: None)


@bug("the limit is reached and nothing locks")
def limit_does_not_lock(soil: Soil) -> None:
    soil.put(CardLocked, "evolve", lambda self, card, at: None)


@bug("a wrong PIN is not counted towards the generation")
def generation_not_counted(soil: Soil) -> None:
    def evolve(original: Any, self: Any, card: Any, at: Any) -> None:
        original(self, card, at)
        card.access.in_generation = 0

    soil.around(LoginFailed, "evolve", evolve)


# A new PIN ------------------------------------------------------------------------------------------------------------


def after_reset(soil: Soil, then: Any) -> None:
    """Let something happen to the access after a new PIN was set; it is given what was there before."""

    def evolve(original: Any, self: Any, card: Any, at: Any) -> None:
        before = (card.access.consecutive, card.access.recent, card.access.in_generation, card.access.locked_since)
        original(self, card, at)
        then(card.access, *before)

    soil.around(PinReset, "evolve", evolve)


@bug("a new PIN keeps the row of wrong ones")
def reset_keeps_row(soil: Soil) -> None:
    after_reset(soil, lambda access, row, window, total, since: setattr(access, "consecutive", row))


@bug("a new PIN keeps the thirty days of the old one")
def reset_keeps_window(soil: Soil) -> None:
    after_reset(soil, lambda access, row, window, total, since: setattr(access, "recent", window))


@bug("a new PIN keeps the lock")
def reset_keeps_lock(soil: Soil) -> None:
    after_reset(soil, lambda access, row, window, total, since: setattr(access, "locked_since", since))


@bug("a new PIN lifts the stops")
def reset_lifts_stops(soil: Soil) -> None:
    after_reset(soil, lambda access, *before: access.stops.clear())


@bug("a new PIN ends the suspensions")
def reset_ends_suspensions(soil: Soil) -> None:
    after_reset(soil, lambda access, *before: access.suspensions.clear())


@bug("the call centre sets PINs")
def reset_by_phone(soil: Soil) -> None:
    soil.put(pin, "PIN_RESET_CHANNELS", ("counter", "contract-machine", "call-centre"))


@bug("a document that was seen an hour ago is taken")
def stale_document(soil: Soil) -> None:
    soil.change(None, pin_document_max_age_minutes=60)


@bug("any document is taken")
def any_document(soil: Soil) -> None:
    soil.put(pin, "IDENTITY_DOCUMENTS", ("passport", "diary"))


@bug("the present PIN, or a common one, is taken as the new one")
def any_pin(soil: Soil) -> None:
    soil.around(CardPin, "reset_pin", lambda original, card, **named: original(card, **{**named, "refused": False}))


@bug("a lock bars nothing")
def lock_bars_nothing(soil: Soil) -> None:
    soil.put(Access, "locked", property(lambda access: False))
