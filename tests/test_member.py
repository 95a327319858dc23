"""The member: web login, mailed resets, profile without personal facts, limit requests."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from acting import TERMS, Acting, through_json
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger import refusals
from ledger.aggregates.access import Access, Stop, VerdictStale
from ledger.aggregates.member import CHANGEABLE_FIELDS, Member
from ledger.calendar import business_day
from ledger.money import Yen
from ledger.refusals import Refusal

UNKNOWN = UUID("99999999-9999-4999-8999-999999999999")


def a_member() -> Acting:
    """An enrolled member with a Web-ID."""
    member = Acting(Member)
    member.by("clerk-1", "counter", "counter").enrol()
    member.by("clerk-1", "counter", "counter").register_web_id(refused=False)
    return member


def type_password(
    member: Acting, *, right: bool, generation: int | None = None, access: Access | None = None
) -> Refusal | None:
    refusal: Refusal | None = member.by().decide_password_attempt(
        attempt_id=member.attempt_id(),
        right=right,
        generation=generation or member.aggregate.web.generation,
        access=access,
        terms=TERMS,
    )
    return refusal


def fail(member: Acting, times: int) -> Refusal | None:
    """Wrong passwords, each after the wait that the last one brought."""
    refusal = None
    for _ in range(times):
        refusal = type_password(member.later(hours=1), right=False)
    return refusal


def a_locked_card(member: Acting) -> Access:
    return Access(generation=1, locked_since=member.now)


# Web login ------------------------------------------------------------------------------------------------------------


def test_a_member_without_a_card_may_log_in() -> None:
    member = a_member()
    assert type_password(member, right=True) is None
    assert member.topics[-1] == "login-succeeded"


def test_the_waits_begin_with_the_fifth_wrong_password() -> None:
    member = a_member()
    waits = []
    for _ in range(9):
        refusal = type_password(member, right=False)
        assert refusal is not None
        assert (refusal.code, refusal.remedy.code) == ("bad-credentials", "reset-password")
        wait_until = member.aggregate.web.wait_until
        waits.append(0 if wait_until is None else (wait_until - member.now).total_seconds())
        if wait_until is not None:
            member.later(seconds=waits[-1])
    assert waits == [0, 0, 0, 0, 30, 60, 120, 240, 480]


def test_inside_a_wait_nothing_is_counted_and_the_seconds_left_are_told() -> None:
    member = a_member()
    fail(member, 5)
    for right in (True, False):
        refusal = type_password(member.later(seconds=0.25), right=right)
        assert isinstance(refusal, refusals.LoginWait)
        assert refusal.retry_after == 30
    with pytest.raises(refusals.LoginWait):
        member.aggregate.refuse_if_waiting()
    assert member.aggregate.web.failures == 5
    assert type_password(member.later(seconds=29.5), right=True) is None


def test_the_tenth_wrong_password_locks_the_web_login_and_no_time_unlocks_it() -> None:
    member = a_member()
    assert isinstance(fail(member, 10), refusals.WebLoginLocked)
    before = member.facts
    assert isinstance(type_password(member.later(days=3650), right=True), refusals.WebLoginLocked)
    with pytest.raises(refusals.WebLoginLocked):
        member.aggregate.refuse_if_web_locked()
    assert member.facts == before
    assert member.count("web-login-locked") == 1


def test_a_right_password_clears_the_failures() -> None:
    member = a_member()
    fail(member, 9)
    assert type_password(member.later(hours=1), right=True) is None
    assert isinstance(fail(member, 9), refusals.BadCredentials)


def test_a_verdict_on_an_older_password_counts_for_nothing() -> None:
    member = a_member()
    member.aggregate.register_web_id(refused=False)
    with pytest.raises(VerdictStale):
        type_password(member, right=True, generation=1)


def test_a_pin_lock_closes_the_web_too_and_is_told_after_the_right_password_only() -> None:
    member = a_member()
    access = a_locked_card(member)
    assert isinstance(type_password(member, right=False, access=access), refusals.BadCredentials)
    assert isinstance(type_password(member, right=True, access=access), refusals.CardLocked)
    assert member.topics[-1] == "login-refused"
    assert member.aggregate.web.failures == 1


def test_the_terms_may_let_the_web_stay_open_under_a_pin_lock() -> None:
    member = a_member()
    lenient = replace(TERMS, lock=replace(TERMS.lock, pin_lock_blocks_web=False))
    access = a_locked_card(member)
    asked = {"attempt_id": member.attempt_id(), "right": True, "generation": 1, "access": access}
    assert member.by().decide_password_attempt(**asked, terms=lenient) is None
    access.stops[UNKNOWN] = Stop("lost", member.now, by_rule=False)
    assert isinstance(member.by().decide_password_attempt(**asked, terms=lenient), refusals.CardStopped)


@pytest.mark.parametrize("closed", [True, False])
def test_a_stopped_or_closed_card_closes_the_web_login(closed: bool) -> None:
    member = a_member()
    access = Access(generation=1, closed_since=member.now if closed else None)
    if not closed:
        access.stops[UNKNOWN] = Stop("others-loans", member.now, by_rule=False)
    assert isinstance(type_password(member, right=True, access=access), refusals.CardStopped)


def test_refused_logins_are_on_record_at_most_once_an_hour() -> None:
    member = a_member()
    for minutes in (0, 30, 29, 1):
        type_password(member.later(minutes=minutes), right=True, access=a_locked_card(member))
    assert member.count("login-refused") == 2


# Passwords ------------------------------------------------------------------------------------------------------------


def test_a_mailed_reset_clears_the_web_lock_and_its_failures() -> None:
    member = a_member()
    fail(member, 10)
    reset_id = member.by().request_password_reset(terms=TERMS)
    assert member.by().reset_password(reset_id=reset_id, refused=False) == 2
    assert type_password(member, right=True) is None


def test_a_reset_token_works_once() -> None:
    member = a_member()
    reset_id = member.by().request_password_reset(terms=TERMS)
    member.by().reset_password(reset_id=reset_id, refused=False)
    with pytest.raises(refusals.ResetTokenSpent):
        member.by().reset_password(reset_id=reset_id, refused=False)


def test_a_reset_token_dies_with_the_password_it_was_to_replace() -> None:
    member = a_member()
    first, second = (member.by().request_password_reset(terms=TERMS) for _ in range(2))
    member.by().reset_password(reset_id=first, refused=False)
    with pytest.raises(refusals.ResetTokenSpent):
        member.by().reset_password(reset_id=second, refused=False)


def test_a_reset_token_lives_ten_minutes() -> None:
    member = a_member()
    reset_id = member.by().request_password_reset(terms=TERMS)
    member.later(minutes=10)
    with pytest.raises(refusals.ResetTokenSpent):
        member.by().reset_password(reset_id=reset_id, refused=False)


def test_an_unknown_reset_token_is_spent_too() -> None:
    with pytest.raises(refusals.ResetTokenSpent):
        a_member().by().reset_password(reset_id=UNKNOWN, refused=False)


def test_a_refused_password_leaves_the_token_unspent() -> None:
    member = a_member()
    reset_id = member.by().request_password_reset(terms=TERMS)
    with pytest.raises(refusals.PasswordRefused):
        member.by().reset_password(reset_id=reset_id, refused=True)
    assert member.by().reset_password(reset_id=reset_id, refused=False) == 2


def test_three_mails_go_out_in_an_hour() -> None:
    member = a_member()
    sent = [member.later(minutes=10).by().request_password_reset(terms=TERMS) is not None for _ in range(4)]
    assert sent == [True, True, True, False]
    assert member.later(minutes=30).by().request_password_reset(terms=TERMS) is not None
    assert member.by().request_password_reset(terms=TERMS) is None


def test_no_mail_goes_out_for_a_member_without_a_web_id() -> None:
    member = Acting(Member)
    member.by("clerk-1", "counter", "counter").enrol()
    assert member.by().request_password_reset(terms=TERMS) is None


def test_another_web_id_ends_sessions_and_the_first_one_does_not() -> None:
    member = a_member()
    assert member.aggregate.epoch == 0
    member.aggregate.register_web_id(refused=False)
    assert member.aggregate.epoch == 1
    with pytest.raises(refusals.PasswordRefused):
        member.aggregate.register_web_id(refused=True)


# Profile --------------------------------------------------------------------------------------------------------------


def test_an_event_names_fields_and_the_version_they_are_sealed_under() -> None:
    member = a_member()
    assert member.aggregate.change_profile(("phone", "email")) == 3
    assert member.facts[-1].fields == ("email", "phone")  # type: ignore[attr-defined]
    sealed = member.aggregate.sealed
    assert (sealed["email"], sealed["phone"], sealed["name"]) == (3, 3, 1)


def test_no_fact_of_a_member_has_room_for_a_personal_value() -> None:
    member = a_member()
    member.aggregate.change_profile(CHANGEABLE_FIELDS)
    member.aggregate.register_payout_account()
    member.aggregate.receive_income_proof(issued_on=date(2026, 3, 1))
    member.aggregate.report_credit(reported_on=date(2026, 3, 1))
    names = {name for fact in member.facts for name in fact.__struct_fields__}
    assert names == {
        "fields", "sealed_version", "web_statements", "generation", "replaces",
        "voids_income_proof", "issued_on", "reported_on",
    }  # fmt: skip


def test_another_workplace_voids_the_income_proof_and_another_phone_does_not() -> None:
    member = a_member()
    member.aggregate.receive_income_proof(issued_on=date(2026, 3, 1))
    member.aggregate.change_profile(("phone",))
    assert member.aggregate.income_proof_issued_on == date(2026, 3, 1)
    member.aggregate.change_profile(("workplace",))
    assert member.aggregate.income_proof_issued_on is None
    assert member.fold().income_proof_issued_on is None


def test_the_day_of_another_workplace_is_kept_and_any_other_change_leaves_it() -> None:
    member = a_member()
    member.aggregate.change_profile(("phone",))
    assert member.aggregate.workplace_changed_on is None
    member.aggregate.change_profile(("workplace",))
    changed_on = business_day(member.aggregate.at)
    assert member.aggregate.workplace_changed_on == member.fold().workplace_changed_on == changed_on
    member.aggregate.receive_income_proof(issued_on=changed_on - timedelta(days=1))
    assert member.aggregate.workplace_changed_on == changed_on


def test_a_payout_account_is_there_once_it_is_registered() -> None:
    member = a_member()
    assert not member.aggregate.has_payout_account
    assert member.aggregate.register_payout_account() == member.aggregate.version
    assert member.aggregate.has_payout_account


# Limit requests -------------------------------------------------------------------------------------------------------


def test_a_limit_request_is_decided_once() -> None:
    member = a_member()
    first, second = (member.by().request_limit_change(Yen(500_000)) for _ in range(2))
    assert first != second
    assert member.aggregate.approve_limit_change(first, Yen(300_000))[0] == 300_000
    member.aggregate.decline_limit_change(second)
    states = [(request.state, request.limit) for request in member.aggregate.limit_requests.values()]
    assert states == [("approved", 300_000), ("declined", None)]
    for request_id in (first, second):
        with pytest.raises(refusals.RequestNotOpen):
            member.aggregate.decline_limit_change(request_id)
    with pytest.raises(refusals.NotFound):
        member.aggregate.approve_limit_change(UNKNOWN)


def test_a_limit_request_is_approved_in_full_unless_a_limit_is_named() -> None:
    member = a_member()
    request_id = member.by().request_limit_change(Yen(500_000))
    given, sealed_version = member.aggregate.approve_limit_change(request_id)
    assert (given, sealed_version) == (500_000, member.aggregate.version)


# Sequences ------------------------------------------------------------------------------------------------------------


class WebLoginSequences(RuleBasedStateMachine):
    """A member and a plain model: failures in a row, and whether the web login is locked."""

    def __init__(self) -> None:
        super().__init__()
        self.member = a_member()
        self.failures, self.locked = 0, False

    @rule(right=st.booleans(), card_locked=st.booleans())
    def attempt(self, right: bool, card_locked: bool) -> None:
        access = a_locked_card(self.member) if card_locked else None
        waiting = self.member.aggregate.web.bar(self.member.now)
        refusal = type_password(self.member, right=right, access=access)
        if waiting is not None:
            assert refusal is not None
            assert refusal.code == waiting.code
        elif not right:
            self.failures += 1
            self.locked = self.failures == 10
            assert isinstance(refusal, refusals.WebLoginLocked) == self.locked
        elif not card_locked:
            self.failures = 0
            assert refusal is None

    @rule(seconds=st.integers(0, 600))
    def wait(self, seconds: int) -> None:
        self.member.later(seconds=seconds)

    @rule(times=st.integers(1, 12))
    def guess_patiently(self, times: int) -> None:
        for _ in range(times):
            self.member.later(minutes=8)
            self.attempt(right=False, card_locked=False)

    @rule()
    def mail_and_reset(self) -> None:
        reset_id = self.member.by().request_password_reset(terms=TERMS)
        if reset_id is not None:
            self.member.by().reset_password(reset_id=reset_id, refused=False)
            self.failures, self.locked = 0, False

    @invariant()
    def the_lock_is_that_of_the_model(self) -> None:
        assert (self.member.aggregate.web.failures, self.member.aggregate.web.locked) == (self.failures, self.locked)

    @invariant()
    def the_fold_of_the_facts_is_the_live_state(self) -> None:
        folded = self.member.fold().web
        assert folded == self.member.aggregate.web
        assert through_json(folded) == folded
        assert len(folded.mailed) <= 3

    @invariant()
    def mails_are_three_in_any_hour(self) -> None:
        sent = [event.at for event in self.member.events if event.fact.topic == "member.password-reset-requested"]
        assert all(later - sooner >= timedelta(hours=1) for sooner, later in zip(sent, sent[3:], strict=False))


TestWebLoginSequences = WebLoginSequences.TestCase
TestWebLoginSequences.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
