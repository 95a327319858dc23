"""The lockout view says what the refusals do, and a member reads no credit reason in it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid5

import pytest
from acting import NOW, STREAM, TERMS, Acting
from hypothesis import given
from hypothesis import strategies as st

from ledger.aggregates.access import CREDIT_REASONS, STOP_REASONS, SUSPENSION_REMEDIES, Access, Stop, Suspension
from ledger.aggregates.pin import CardPin
from ledger.aggregates.web_login import MemberWebLogin, WebLogin
from ledger.lockout import Lockout, lockout
from ledger.login_help import LOGIN_CHECKS

ID = UUID("33333333-3333-4333-8333-333333333333")

since = st.none() | st.just(NOW)
accesses = st.builds(
    Access,
    generation=st.just(1),
    locked_since=since,
    closed_since=since,
    stops=st.dictionaries(
        st.uuids(), st.builds(Stop, st.sampled_from(sorted(STOP_REASONS)), st.just(NOW), st.booleans()), max_size=2
    ),
    suspensions=st.dictionaries(
        st.uuids(),
        st.builds(Suspension, st.sampled_from(sorted(SUSPENSION_REMEDIES)), st.just(NOW), st.booleans()),
        max_size=2,
    ),
)
webs = st.builds(
    WebLogin,
    generation=st.just(1),
    failures=st.integers(0, 9),
    locked_since=since,
    wait_until=st.none() | st.just(NOW + timedelta(seconds=30)),
)


def view(access: Access, web: WebLogin | None = None, *, discreet: bool = False) -> Lockout:
    return lockout(access, web or WebLogin(generation=1), at=NOW, terms=TERMS, discreet=discreet)


@given(accesses, webs)
def test_the_view_promises_what_a_right_secret_would_get(access: Access, web: WebLogin) -> None:
    card, member = Acting(CardPin), Acting(MemberWebLogin)
    card.aggregate.access, member.aggregate.web = access, web
    seen = view(access, web)
    asked = {"attempt_id": uuid5(STREAM, "attempt"), "right": True, "generation": 1, "terms": TERMS}
    assert seen.can_borrow == (not card.aggregate.borrowing_barred)
    assert seen.can_log_in_card == (card.by().decide_pin_attempt(**asked) is None)
    assert seen.can_log_in_web == (member.by().decide_password_attempt(**asked, access=access) is None)


@given(accesses, webs, st.booleans())
def test_whatever_stands_in_the_way_has_a_lock_and_a_remedy_and_repaying_is_always_possible(
    access: Access, web: WebLogin, discreet: bool
) -> None:
    seen = view(access, web, discreet=discreet)
    assert seen.can_repay
    free = seen.can_log_in_card and seen.can_log_in_web and seen.can_borrow
    assert free == (seen.remedy is None)
    assert free == (not seen.locks and not web.wait_until)
    by_an_id = [lock for lock in seen.locks if lock.id is not None]
    assert len(by_an_id) == len(access.stops) + len(access.suspensions)


@given(accesses)
def test_a_member_reads_no_credit_reason(access: Access) -> None:
    codes = {lock.code for lock in view(access, discreet=True).locks}
    assert not codes & CREDIT_REASONS
    assert ("card-stopped" in codes) == any(stop.reason in CREDIT_REASONS for stop in access.stops.values())


@pytest.mark.parametrize("reason", sorted(STOP_REASONS))
def test_staff_read_every_reason(reason: str) -> None:
    (lock,) = view(Access(generation=1, stops={ID: Stop(reason, NOW, by_rule=False)})).locks
    assert lock.code == reason


@pytest.mark.parametrize("discreet", [True, False])
def test_a_member_reads_what_is_no_credit_reason(discreet: bool) -> None:
    access = Access(generation=1, stops={ID: Stop("stolen", NOW, by_rule=False)})
    (lock,) = view(access, discreet=discreet).locks
    assert (lock.code, lock.since, lock.id, lock.released_by) == ("stolen", NOW, ID, "lifting-approval")


def test_a_locked_card_is_released_in_person_and_a_stopped_one_too_late_for_that() -> None:
    access = Access(generation=1, consecutive=3, locked_since=NOW)
    seen = view(access)
    assert (seen.pin_failures, seen.pin_failures_allowed) == (3, 3)
    assert seen.remedy is not None
    assert seen.remedy.code == "visit-counter-or-machine"
    access.stops[ID] = Stop("fraud", NOW, by_rule=False)
    assert view(access).remedy.code == "call-centre"  # type: ignore[union-attr]


def test_a_locked_web_login_leaves_the_card() -> None:
    seen = view(Access(generation=1), WebLogin(generation=1, failures=10, locked_since=NOW))
    assert (seen.can_log_in_card, seen.can_log_in_web, seen.can_borrow, seen.web_failures) == (True, False, True, 10)
    assert seen.remedy is not None
    assert seen.remedy.code == "reset-password"


def test_a_member_without_a_web_id_cannot_log_in_by_it_and_needs_no_remedy() -> None:
    seen = view(Access(generation=1), WebLogin())
    assert (seen.can_log_in_card, seen.can_log_in_web, seen.remedy) == (True, False, None)


def test_the_first_check_of_a_failed_login_is_the_full_width_trap() -> None:
    assert LOGIN_CHECKS[0].remedy.code == "use-half-width"
    assert LOGIN_CHECKS[-1].remedy.code == "call-centre"
    assert len({check.code for check in LOGIN_CHECKS}) == len(LOGIN_CHECKS)


def test_a_check_speaks_to_a_person_and_not_to_a_program() -> None:
    assert not [check.code for check in LOGIN_CHECKS if "`" in check.remedy.en + check.remedy.ja]
