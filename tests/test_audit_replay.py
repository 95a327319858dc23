"""Replay: a stream as it was at any position, and every decision made again from what is on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import msgspec
import pytest
from borrowing import CARD
from histories import LIVES, WITH_FEES, as_recorded, lived
from hypothesis import event, given, settings
from msgspec import structs

from ledger.aggregates.card import Card
from ledger.aggregates.instalments import InterestPosted
from ledger.aggregates.pin import CardLocked, LoginFailed
from ledger.aggregates.repayments import RepaymentMade
from ledger.audit.fold import LogFold
from ledger.audit.recompute import Recomputed, recompute_stream
from ledger.store.mapper import decode, encode
from ledger.store.pages import Recorded
from ledger.terms import TermsBook

A_LIFE = [
    ("draw", 0, 200_000, 0, "atm"),
    ("repay", 29, 8_000, 0, "bank-transfer"),
    ("close", 45, 1, 0, "atm"),
    ("repay", 3, 20_000, 40, "bank-transfer"),
    ("settle", 9, 1, 0, "counter"),
]


def recomputed(recorded: list[Recorded], book: TermsBook = WITH_FEES) -> Recomputed:
    done = Recomputed()
    recompute_stream(recorded, book, done)
    return done


def with_fact(recorded: list[Recorded], kind: type, **changed: object) -> tuple[list[Recorded], Recorded]:
    """The facts with the first of a kind changed as a forger would."""
    forged = next(each for each in recorded if isinstance(each.event.fact, kind))
    fact = structs.replace(forged.event.fact, **changed)
    other = Recorded(forged.position, forged.recorded_at, structs.replace(forged.event, fact=fact))
    return [other if each is forged else each for each in recorded], other


@settings(max_examples=100)
@given(LIVES)
def test_every_decision_comes_out_again_as_it_is_on_record(recorded: list[Recorded]) -> None:
    done = recomputed(recorded)

    event(f"acts: {done.acts // 10 * 10}+")
    assert (done.findings, done.undecided, done.told) == ([], [], 0)
    assert done.facts == len(recorded)


@settings(max_examples=25)
@given(LIVES)
def test_the_fold_that_was_cut_is_the_fold_of_the_log_as_it_was_then(recorded: list[Recorded]) -> None:
    going, card = LogFold(), Card.blank(CARD)
    for each in recorded:
        going.take([each])
        each.event.mutate(card)
        fresh = LogFold()
        fresh.take(recorded[: each.position])
        assert going.cards[CARD].account == fresh.cards[CARD].account == card.account
        assert going.totals == fresh.totals
    assert going.findings == []


@settings(max_examples=50)
@given(LIVES)
def test_stored_facts_fold_to_what_the_acts_left(recorded: list[Recorded]) -> None:
    card, read = Card.blank(CARD), Card.blank(CARD)
    for each in recorded:
        stored = encode(each.event)
        each.event.mutate(card)
        decode(CARD, each.event.originator_version, each.event.fact.topic, stored).mutate(read)
    assert (read.account, read.access, read.passbook) == (card.account, card.access, card.passbook)


def test_interest_that_was_posted_a_yen_too_high_is_found_and_named() -> None:
    recorded = lived(A_LIFE)
    right = next(each.event.fact.interest for each in recorded if isinstance(each.event.fact, InterestPosted))
    forged, where = with_fact(recorded, InterestPosted, interest=right + 1)

    found = recomputed(forged).findings[0]

    assert (found.what, found.position, found.field) == ("recomputed-field", where.position, "interest")
    assert (found.stored, found.replayed) == (right + 1, right)


def test_an_interest_segment_that_was_bent_is_found() -> None:
    recorded = lived(A_LIFE)
    made = next(each.event.fact for each in recorded if isinstance(each.event.fact, RepaymentMade))
    bent = replace(made.interest_segments[0], days=made.interest_segments[0].days + 1)
    forged, where = with_fact(recorded, RepaymentMade, interest_segments=(bent, *made.interest_segments[1:]))

    found = recomputed(forged).findings[0]

    assert (found.position, found.field) == (where.position, "interest_segments")


def test_a_lock_that_came_too_late_is_found() -> None:
    card = Card.blank(CARD)
    locked = [each for each in lived([]) if each.event.mutate(card)]
    for number in range(1, 4):
        acted = card.instructed_by(structs.replace(locked[0].event.cause, command_id=CARD), locked[0].event.at)
        acted.decide_pin_attempt(attempt_id=CARD, right=False, generation=1, terms=WITH_FEES.at(date(2023, 11, 6)))
        assert acted.access.consecutive == number
    recorded = as_recorded([*(each.event for each in locked), *card.collect_events()])  # type: ignore[list-item]
    assert [type(each.event.fact) for each in recorded[1:]] == [LoginFailed] * 3 + [CardLocked]

    assert recomputed(recorded).findings == []
    assert recomputed(recorded[:-1]).findings[0].what == "recomputed-more"


def test_an_act_under_terms_that_are_not_here_is_not_decided() -> None:
    recorded, where = with_fact(lived(A_LIFE), RepaymentMade, terms_version="1999-01-01")

    done = recomputed(recorded)

    assert [(finding.position, finding.stored) for finding in done.undecided] == [
        (where.position, done.undecided[0].stored)
    ]
    assert "1999-01-01" in done.undecided[0].stored
    assert done.findings == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda each: replace(each, position=each.position + 1), "position"),
        (lambda each: replace(each, recorded_at=each.recorded_at.replace(year=2001)), "recorded-time"),
        (lambda each: replace(each, event=structs.replace(each.event, originator_version=99)), "version"),
    ],
)
def test_a_hole_or_a_step_backward_is_found_at_its_position(change: object, what: str) -> None:
    recorded = lived(A_LIFE)
    changed = change(recorded[5])  # type: ignore[operator]
    fold = LogFold()
    fold.take([*recorded[:5], changed])

    assert [(finding.what, finding.position) for finding in fold.findings] == [(what, changed.position)]


def test_a_receipt_whose_use_does_not_add_up_unbalances_the_books_at_its_position() -> None:
    made = next(each.event.fact for each in lived(A_LIFE) if isinstance(each.event.fact, RepaymentMade))
    more = replace(made.allocation, principal=made.allocation.principal + 1)
    recorded, where = with_fact(lived(A_LIFE), RepaymentMade, allocation=more)
    fold = LogFold()
    fold.take(recorded)

    assert [(each.what, each.position, each.stored) for each in fold.findings] == [("unbalanced", where.position, -1)]


def test_the_folded_state_is_plain_json() -> None:
    fold = LogFold()
    fold.take(lived(A_LIFE))
    account = fold.cards[CARD].account

    assert msgspec.json.decode(msgspec.json.encode(account), type=type(account)) == account
