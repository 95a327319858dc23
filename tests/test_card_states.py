"""A card in every combination of locked, stopped, suspended and closed.

What must stay true: money that comes in changes none of them, and what is closed stays closed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import date
from itertools import combinations
from uuid import uuid4

import pytest
from acting import through_json
from borrowing import CAUSE, Borrower, noon
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ledger.money import Yen
from ledger.refusals import BadCredentials, CardStopped, Refusal

DAY = date(2026, 4, 1)
Act = Callable[[Borrower], object]


def type_pin(borrower: Borrower, *, right: bool) -> Refusal | None:
    card = borrower.on(DAY)
    refusal: Refusal | None = card.decide_pin_attempt(
        attempt_id=uuid4(), right=right, generation=card.access.generation, terms=borrower.terms
    )
    return refusal


def lock(borrower: Borrower) -> None:
    for _ in range(3):
        type_pin(borrower, right=False)


def new_pin(borrower: Borrower) -> None:
    at_the_counter = borrower.card.instructed_by(structs.replace(CAUSE, channel="counter"), noon(DAY))
    at_the_counter.reset_pin(document_kind="passport", verified_at=noon(DAY), refused=False, terms=borrower.terms)


def lift(borrower: Borrower) -> None:
    for stop_id in tuple(borrower.card.access.stops):
        borrower.on(DAY).request_lifting(stop_id, "checked")
        borrower.card.instructed_by(structs.replace(CAUSE, actor="another"), noon(DAY)).approve_lifting(stop_id)


def change_limit(borrower: Borrower) -> None:
    card = borrower.on(DAY)
    card.change_limit(Yen(600_000), annual_rate_bps=None, request_id=None, reason="x", terms=borrower.terms)


BARS: dict[str, Act] = {
    "locked": lock,
    "stopped": lambda borrower: borrower.on(DAY).stop("fraud"),
    "suspended": lambda borrower: borrower.on(DAY).suspend("own-wish"),
    "closed": lambda borrower: borrower.on(DAY).close(),
}
STATES = [state for size in range(len(BARS) + 1) for state in combinations(BARS, size)]


@pytest.mark.parametrize("method", ["atm", "counter", "bank-transfer", "direct-debit", "internet"])
@pytest.mark.parametrize("state", STATES, ids=[" and ".join(state) or "in use" for state in STATES])
def test_a_repayment_is_taken_in_every_state_and_leaves_who_may_use_the_card_as_it_was(
    state: tuple[str, ...], method: str
) -> None:
    borrower = Borrower(DAY)
    borrower.draw(DAY, 50_000)
    bounced = borrower.repay(DAY, 50_000).repayment_id
    for bar in state:
        BARS[bar](borrower)
    borrower.on(DAY).reverse_repayment(bounced, borrower.terms)  # the debt is back, of a closed card too
    before, epoch = through_json(borrower.card.access), borrower.card.epoch

    assert borrower.repay(DAY, 20_000, method).principal_after == 30_000
    assert borrower.repay(DAY, 30_000, method).principal_after == 0
    assert (borrower.card.access, borrower.card.epoch) == (before, epoch)


ACTS: dict[str, Act] = {
    "the right PIN": lambda borrower: type_pin(borrower, right=True),
    "a wrong PIN": lambda borrower: type_pin(borrower, right=False),
    "a new PIN": new_pin,
    "another number": lambda borrower: borrower.on(DAY).reissue(number_last4="1111"),
    "a stop": lambda borrower: borrower.on(DAY).stop("lost"),
    "a stop by rule": lambda borrower: borrower.on(DAY).stop("repeated-lateness", rule=True),
    "its lifting": lift,
    "a suspension by rule": lambda borrower: borrower.on(DAY).suspend("late", rule=True),
    "its end": lambda borrower: borrower.on(DAY).resume_by_rule("late"),
    "an advance": lambda borrower: borrower.draw(DAY, 10_000),
    "a repayment": lambda borrower: borrower.repay(DAY, 60_000, "atm"),
    "another limit": change_limit,
    "the close of the day": lambda borrower: borrower.close_through(DAY, DAY),
    "closing it again": lambda borrower: borrower.on(DAY).close(),
}


@given(st.lists(st.sampled_from(sorted(ACTS)), max_size=12), st.booleans())
def test_what_is_closed_stays_closed_whatever_is_done(acts: list[str], stopped: bool) -> None:
    borrower = Borrower(DAY)
    if stopped:
        BARS["stopped"](borrower)
    BARS["closed"](borrower)
    since = borrower.card.access.closed_since
    for act in acts:
        with suppress(Refusal):
            ACTS[act](borrower)
    folded = borrower.fold()
    assert folded.access.closed_since == borrower.card.access.closed_since == since
    assert folded.access.generation == 1  # nobody sets a PIN for it
    assert not {"advance-reserved", "login-succeeded"} & set(borrower.topics)


@pytest.mark.parametrize("state", ["stopped", "closed"])
def test_of_a_stopped_or_closed_card_only_the_right_pin_is_told_and_wrong_ones_count_as_ever(state: str) -> None:
    borrower = Borrower(DAY)
    BARS[state](borrower)

    assert isinstance(type_pin(borrower, right=True), CardStopped)
    assert isinstance(type_pin(borrower, right=False), BadCredentials)
    lock(borrower)
    assert borrower.topics.count("login-failed") == 3
    assert borrower.topics[-1] == "card-locked"
