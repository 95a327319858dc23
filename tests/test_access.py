"""Stops, suspensions and PIN locks: separate facets, each with its own way out."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from acting import NOW, TERMS, Acting, through_json
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger import refusals
from ledger.aggregates.access import STOP_REASONS, SUSPENSION_REMEDIES, VerdictStale
from ledger.aggregates.pin import CardPin, PinReset
from ledger.refusals import Refusal

UNKNOWN = UUID("99999999-9999-4999-8999-999999999999")


def a_card() -> Acting:
    """A card in its first PIN generation."""
    card = Acting(CardPin)
    card.aggregate.access.generation = 1
    return card


def type_pin(card: Acting, *, right: bool, generation: int | None = None, channel: str = "web") -> Refusal | None:
    access = card.aggregate.access
    refusal: Refusal | None = card.by(channel=channel).decide_pin_attempt(
        attempt_id=card.attempt_id(), right=right, generation=generation or access.generation, terms=TERMS
    )
    return refusal


def lock(card: Acting) -> None:
    while not card.aggregate.access.locked:
        type_pin(card, right=False)


def reset(card: Acting, *, refused: bool = False, age: timedelta = timedelta(0), kind: str = "passport") -> int:
    generation: int = card.by("clerk-1", "counter", "counter").reset_pin(
        document_kind=kind, verified_at=card.now - age, refused=refused, terms=TERMS
    )
    return generation


def by_credit(card: Acting, subject: str = "credit-1") -> CardPin:
    aggregate: CardPin = card.by(subject, "credit", "credit")
    return aggregate


# PIN attempts ---------------------------------------------------------------------------------------------------------


def test_the_third_wrong_pin_in_a_row_locks_the_card() -> None:
    card = a_card()
    answers = [type_pin(card, right=False) for _ in range(5)]
    assert [answer.code for answer in answers if answer] == ["bad-credentials"] * 2 + ["card-locked"] * 3
    assert card.topics == ["login-failed"] * 3 + ["card-locked"]
    assert card.facts[-1].limit == "consecutive"  # type: ignore[attr-defined]


@pytest.mark.parametrize("at_the_machine", range(4))
def test_all_surfaces_share_the_counter(at_the_machine: int) -> None:
    card = a_card()
    for number in range(3):
        type_pin(card, right=False, channel="atm" if number < at_the_machine else "web")
    assert card.aggregate.access.locked


def test_a_success_clears_the_row_of_failures_only() -> None:
    card = a_card()
    type_pin(card, right=False)
    type_pin(card, right=False)
    assert type_pin(card, right=True) is None
    access = card.aggregate.access
    assert (access.consecutive, len(access.recent), access.in_generation) == (0, 2, 2)


def test_only_a_cash_machine_tells_the_tries_left() -> None:
    card = a_card()
    first, second = type_pin(card, right=False, channel="atm"), type_pin(card, right=False, channel="web")
    assert first is not None
    assert second is not None
    assert first.details == {"tries_left": 2}
    assert second.details == {}


def test_a_locked_card_refuses_the_right_pin_and_records_nothing() -> None:
    card = a_card()
    lock(card)
    before = card.facts
    assert isinstance(type_pin(card, right=True), refusals.CardLocked)
    assert card.facts == before


def test_a_verdict_on_an_older_pin_counts_for_nothing() -> None:
    card = a_card()
    reset(card)
    for right in (True, False):
        with pytest.raises(VerdictStale):
            type_pin(card, right=right, generation=1)
    assert card.topics == ["pin-reset"]


def test_ten_wrong_pins_in_thirty_days_lock_the_card_whatever_comes_between() -> None:
    card = a_card()
    for _ in range(4):
        for right in (False, False, True):
            type_pin(card.later(days=2), right=right)
    type_pin(card, right=False)
    assert not card.aggregate.access.locked
    assert isinstance(type_pin(card, right=False), refusals.CardLocked)
    assert card.facts[-1].limit == "window"  # type: ignore[attr-defined]


def test_a_failure_leaves_the_window_after_thirty_times_24_hours() -> None:
    card = a_card()
    type_pin(card, right=False)
    type_pin(card, right=True)
    type_pin(card.later(days=30, microseconds=-1), right=False)
    assert len(card.aggregate.access.recent) == 2
    type_pin(card, right=True)
    type_pin(card.later(microseconds=1), right=False)
    assert len(card.aggregate.access.recent) == 2


def test_a_hundred_wrong_pins_of_one_generation_lock_the_card() -> None:
    card = a_card()
    for _ in range(49):
        for right in (False, False, True):
            type_pin(card, right=right)
        card.later(days=8)
    type_pin(card, right=False)
    assert not card.aggregate.access.locked
    assert isinstance(type_pin(card, right=False), refusals.CardLocked)
    assert card.facts[-1].limit == "generation"  # type: ignore[attr-defined]
    assert card.count("login-failed") == 100


# A new PIN ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locked", [True, False])
def test_a_new_pin_clears_the_lock_and_the_three_counters(locked: bool) -> None:
    card = a_card()
    type_pin(card, right=False)
    if locked:
        lock(card)
    assert reset(card) == 2
    access = card.aggregate.access
    assert (access.locked, access.consecutive, access.recent, access.in_generation) == (False, 0, (), 0)
    assert type_pin(card, right=True) is None


@pytest.mark.parametrize(
    ("kind", "age"),
    [
        ("none", timedelta(0)),
        ("looks like him", timedelta(0)),
        ("passport", timedelta(minutes=15, microseconds=1)),
        ("passport", timedelta(microseconds=-1)),
    ],
)
def test_a_new_pin_needs_an_accepted_document_checked_just_now(kind: str, age: timedelta) -> None:
    card = a_card()
    with pytest.raises(refusals.DocumentRefused):
        reset(card, kind=kind, age=age)
    assert card.facts == []


def test_a_document_is_good_for_fifteen_minutes_to_the_end() -> None:
    assert reset(a_card(), age=timedelta(minutes=15)) == 2


def test_a_refused_pin_leaves_the_card_locked() -> None:
    card = a_card()
    lock(card)
    with pytest.raises(refusals.PinRefused):
        reset(card, refused=True)
    assert card.aggregate.access.locked


@pytest.mark.parametrize("channel", ["web", "atm", "app", "call-centre", "internet"])
def test_no_other_channel_sets_a_pin(channel: str) -> None:
    card = a_card()
    with pytest.raises(refusals.ChannelNotPermitted):
        card.by(channel=channel).reset_pin(document_kind="passport", verified_at=card.now, refused=False, terms=TERMS)


def test_a_new_pin_never_lifts_a_stop_or_a_suspension() -> None:
    card = a_card()
    by_credit(card).stop("others-loans")
    by_credit(card).suspend("late")
    lock(card)
    reset(card)
    access = card.aggregate.access
    assert (len(access.stops), len(access.suspensions), access.locked) == (1, 1, False)
    assert isinstance(type_pin(card, right=True), refusals.CardStopped)


# Stops ----------------------------------------------------------------------------------------------------------------


def test_nothing_of_a_stop_is_told_before_the_right_pin() -> None:
    card = a_card()
    by_credit(card).stop("fraud")
    assert isinstance(type_pin(card, right=False), refusals.BadCredentials)
    assert isinstance(type_pin(card, right=True), refusals.CardStopped)
    assert isinstance(type_pin(card, right=False), refusals.BadCredentials)
    assert isinstance(type_pin(card, right=False), refusals.CardLocked)


def test_a_told_stop_is_on_record_at_most_once_an_hour() -> None:
    card = a_card()
    by_credit(card).stop("fraud")
    for minutes in (0, 1, 58, 1, 59):
        type_pin(card.later(minutes=minutes), right=True)
    assert card.count("login-refused") == 2


def test_stops_stand_side_by_side_and_end_one_by_one() -> None:
    card = a_card()
    lost, fraud = by_credit(card).stop("lost"), by_credit(card).stop("fraud")
    by_credit(card).request_lifting(lost, "ref-1")
    by_credit(card, "credit-2").approve_lifting(lost)
    assert list(card.aggregate.access.stops) == [fraud]
    assert isinstance(type_pin(card, right=True), refusals.CardStopped)


def test_a_lifting_needs_a_request_and_another_person() -> None:
    card = a_card()
    stop_id = by_credit(card).stop("lost")
    with pytest.raises(refusals.LiftingNotRequested):
        by_credit(card, "credit-2").approve_lifting(stop_id)
    by_credit(card).request_lifting(stop_id, "ref-1")
    with pytest.raises(refusals.SecondPersonRequired):
        by_credit(card).approve_lifting(stop_id)
    by_credit(card, "credit-2").approve_lifting(stop_id)
    for act in (
        lambda: by_credit(card).approve_lifting(stop_id),
        lambda: by_credit(card).request_lifting(stop_id, "r"),
    ):
        with pytest.raises(refusals.AlreadyEnded):
            act()


def test_an_unknown_stop_or_suspension_is_not_found() -> None:
    card = a_card()
    suspension_id = by_credit(card).suspend("late")
    for act in (
        lambda: by_credit(card).request_lifting(suspension_id, "ref"),
        lambda: by_credit(card).approve_lifting(UNKNOWN),
        lambda: by_credit(card).resume(UNKNOWN, "ref"),
    ):
        with pytest.raises(refusals.NotFound):
            act()


# Suspensions ----------------------------------------------------------------------------------------------------------


def test_a_suspended_member_logs_in_and_reads_what_to_do() -> None:
    card = a_card()
    for reason in ("late", "unreachable", "own-wish", "income-proof-missing"):
        by_credit(card).suspend(reason)
    assert type_pin(card, right=True) is None
    told = [(each.code, each.remedy.code) for each in card.aggregate.access.restrictions()]
    assert told == [
        ("borrowing-suspended", "repay-arrears"),
        ("borrowing-suspended", "call-centre"),
        ("borrowing-suspended", "submit-income-proof"),
    ]
    with pytest.raises(refusals.BorrowingSuspended):
        card.aggregate.refuse_if_barred_from_borrowing()


def test_each_suspension_ends_by_its_own_id() -> None:
    card = a_card()
    first, second = by_credit(card).suspend("late"), by_credit(card).suspend("late")
    by_credit(card).resume(first, "ref-1")
    with pytest.raises(refusals.AlreadyEnded):
        by_credit(card).resume(first, "ref-1")
    assert list(card.aggregate.access.suspensions) == [second]
    assert card.aggregate.borrowing_barred


def test_a_rule_ends_what_it_began_and_leaves_what_a_person_set() -> None:
    card = a_card()
    by_rule, by_person = by_credit(card).suspend("late", rule=True), by_credit(card).suspend("late")
    by_credit(card).resume_by_rule("late")
    by_credit(card).resume_by_rule("late")
    assert list(card.aggregate.access.suspensions) == [by_person]
    assert card.aggregate.access.ended_suspensions == (by_rule,)


def test_a_rule_sets_a_suspension_or_a_stop_once() -> None:
    card = a_card()
    assert by_credit(card).suspend("late", rule=True) == by_credit(card).suspend("late", rule=True)
    assert by_credit(card).stop("repeated-lateness", rule=True) == by_credit(card).stop("repeated-lateness", rule=True)
    assert card.topics == ["borrowing-suspended", "card-stopped"]


def test_borrowing_is_barred_by_the_stop_before_the_lock_before_the_suspension() -> None:
    card = a_card()
    by_credit(card).suspend("late")
    assert card.aggregate.access.borrowing_bar().code == "borrowing-suspended"
    lock(card)
    assert card.aggregate.access.borrowing_bar().code == "card-locked"
    by_credit(card).stop("lost")
    assert card.aggregate.access.borrowing_bar().code == "card-stopped"


# Orders and sequences -------------------------------------------------------------------------------------------------

ACTS = {
    "lock": lock,
    "stop": lambda card: by_credit(card).stop("fraud"),
    "suspend": lambda card: by_credit(card).suspend("late", rule=True),
}


@given(st.permutations(sorted(ACTS)), st.integers(0, 3))
def test_locks_stops_suspensions_and_a_new_pin_commute_where_they_should(order: list[str], reset_at: int) -> None:
    card = a_card()
    for place, name in enumerate(order):
        if place == reset_at:
            reset(card)
        ACTS[name](card)
    if reset_at == len(order):
        reset(card)
    access = card.aggregate.access
    assert [stop.reason for stop in access.stops.values()] == ["fraud"]
    assert [suspension.reason for suspension in access.suspensions.values()] == ["late"]
    assert access.generation == 2
    assert access.locked == (order.index("lock") >= reset_at)


class LockoutSequences(RuleBasedStateMachine):
    """A card and a plain model of it: three numbers and three sets."""

    def __init__(self) -> None:
        super().__init__()
        self.card = a_card()
        self.row = self.total = self.answered = 0
        self.failed_at: list[object] = []
        self.generation = 1
        self.locked = False

    @rule(right=st.booleans(), channel=st.sampled_from(["web", "atm", "app"]))
    def attempt(self, right: bool, channel: str) -> None:
        refusal = type_pin(self.card, right=right, channel=channel)
        if self.locked:
            assert isinstance(refusal, refusals.CardLocked)
        elif right:
            stopped = bool(self.card.aggregate.access.stops)
            assert isinstance(refusal, refusals.CardStopped) == stopped
            self.row = self.row if stopped else 0
        else:
            self.row, self.total = self.row + 1, self.total + 1
            self.failed_at.append(self.card.now)
            inside = sum(self.card.now - at < timedelta(days=30) for at in self.failed_at)  # type: ignore[operator]
            self.locked = self.row == 3 or inside == 10 or self.total == 100
            assert isinstance(refusal, refusals.CardLocked) == self.locked

    @rule(days=st.integers(0, 4000))
    def wait(self, days: int) -> None:
        before = through_json(self.card.aggregate.access)
        self.card.later(days=days)
        assert self.card.aggregate.access == before

    @rule()
    def new_pin(self) -> None:
        self.generation += 1
        assert reset(self.card) == self.generation
        self.row, self.total, self.failed_at, self.locked = 0, 0, [], False

    @rule(reason=st.sampled_from(sorted(STOP_REASONS)), by_rule=st.booleans())
    def stop(self, reason: str, by_rule: bool) -> None:
        by_credit(self.card).stop(reason, rule=by_rule)

    @rule(reason=st.sampled_from(sorted(SUSPENSION_REMEDIES)), by_rule=st.booleans())
    def suspend(self, reason: str, by_rule: bool) -> None:
        by_credit(self.card).suspend(reason, rule=by_rule)

    @rule(reason=st.sampled_from(sorted(SUSPENSION_REMEDIES)))
    def cure(self, reason: str) -> None:
        by_credit(self.card).resume_by_rule(reason)

    @rule()
    def lift_the_oldest_stop(self) -> None:
        for stop_id in tuple(self.card.aggregate.access.stops)[:1]:
            by_credit(self.card).request_lifting(stop_id, "ref-1")
            by_credit(self.card, "credit-2").approve_lifting(stop_id)

    @invariant()
    def the_lock_is_that_of_the_model(self) -> None:
        access = self.card.aggregate.access
        assert (access.locked, access.generation) == (self.locked, self.generation)
        assert len(access.recent) <= 10

    @invariant()
    def the_fold_of_the_facts_is_the_live_state(self) -> None:
        folded = self.card.fold()
        folded.access.generation = max(folded.access.generation, 1)
        assert folded.access == self.card.aggregate.access
        assert through_json(folded.access) == folded.access

    @invariant()
    def between_two_pins_at_most_one_lock_and_never_a_success_after_it(self) -> None:
        locked = False
        for fact in self.card.facts:
            if isinstance(fact, PinReset):
                locked = False
            elif fact.topic in ("card.card-locked", "card.login-succeeded", "card.login-failed"):
                assert not locked
                locked = fact.topic == "card.card-locked"


TestLockoutSequences = LockoutSequences.TestCase
TestLockoutSequences.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_time_alone_never_unlocks() -> None:
    card = a_card()
    lock(card)
    card.later(days=3650)
    assert card.now - NOW == timedelta(days=3650)
    assert isinstance(type_pin(card, right=True), refusals.CardLocked)
