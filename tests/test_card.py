"""A card from issue to closing: what the first fact holds, and what re-issue and closing leave as it was."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import pytest
from acting import MEMBER_ID, NOW, TERMS, Acting

from ledger import refusals
from ledger.aggregates.card import Card, CardIssued
from ledger.aggregates.fact import FACTS
from ledger.money import Yen


def issue(card: Acting, **changed: Any) -> int:
    asked: dict[str, Any] = {
        "member_id": MEMBER_ID,
        "number_last4": "1111",
        "credit_limit": Yen(500_000),
        "annual_rate_bps": 1780,
        "due_day": 5,
        "interest_free": True,
        "pin_refused": False,
        "terms": TERMS,
    }
    generation: int = card.by("clerk-1", "counter", "counter").issue(**{**asked, **changed})
    return generation


def an_issued_card() -> Acting:
    card = Acting(Card)
    issue(card)
    return card


def test_an_issued_card_begins_with_its_first_pin_and_its_terms() -> None:
    card = Acting(Card)
    assert issue(card) == 1
    assert card.facts[0] == CardIssued(
        member_id=MEMBER_ID,
        number_last4="1111",
        generation=1,
        credit_limit=Yen(500_000),
        annual_rate_bps=1780,
        due_day=5,
        interest_free=True,
        terms_version=TERMS.version,
    )
    assert (card.aggregate.access.generation, card.aggregate.member_id, card.aggregate.issued_at) == (1, MEMBER_ID, NOW)
    assert card.aggregate.account.credit_limit == 500_000


def test_a_refused_pin_issues_no_card() -> None:
    card = Acting(Card)
    with pytest.raises(refusals.PinRefused):
        issue(card, pin_refused=True)
    assert card.facts == []


@pytest.mark.parametrize("due_day", [5, 15, 25, "end"])
def test_a_card_is_due_on_the_day_it_was_issued_with(due_day: int | str) -> None:
    card = Acting(Card)
    issue(card, due_day=due_day)
    assert card.fold().account == card.aggregate.account


def test_a_reissue_replaces_the_number_and_nothing_else() -> None:
    card = an_issued_card()
    stop_id = card.by("credit-1", "credit", "credit").stop("lost")
    card.aggregate.reissue(number_last4="2222")
    assert card.aggregate.number_last4 == "2222"
    assert list(card.aggregate.access.stops) == [stop_id]


def test_a_closed_card_takes_no_new_pin_no_stop_and_no_second_closing() -> None:
    card = an_issued_card()
    card.aggregate.close()
    with pytest.raises(refusals.CardClosed):
        card.aggregate.refuse_if_barred_from_borrowing()
    for act in (
        card.aggregate.close,
        lambda: card.aggregate.reissue(number_last4="2222"),
        lambda: card.aggregate.stop("lost"),
        lambda: card.aggregate.suspend("late"),
        lambda: card.by("clerk-1", "counter", "counter").reset_pin(
            document_kind="passport", verified_at=card.now, refused=False, terms=TERMS
        ),
    ):
        with pytest.raises(refusals.CardClosed):
            act()


def test_the_right_pin_of_a_closed_card_is_told_that_it_cannot_be_used() -> None:
    card = an_issued_card()
    card.aggregate.close()
    refusal = card.by().decide_pin_attempt(attempt_id=card.attempt_id(), right=True, generation=1, terms=TERMS)
    assert isinstance(refusal, refusals.CardStopped)


def test_sessions_end_with_a_lock_a_stop_a_new_pin_and_closing_and_with_nothing_else() -> None:
    card = an_issued_card()
    card.aggregate.suspend("own-wish")
    assert card.aggregate.epoch == 0
    for _ in range(3):
        card.by().decide_pin_attempt(attempt_id=card.attempt_id(), right=False, generation=1, terms=TERMS)
    assert card.aggregate.epoch == 1
    card.by("clerk-1", "counter", "counter").reset_pin(
        document_kind="passport", verified_at=card.now, refused=False, terms=TERMS
    )
    card.aggregate.stop("lost")
    card.aggregate.close()
    assert card.aggregate.epoch == 4


def test_the_fold_of_the_facts_is_the_card() -> None:
    card = an_issued_card()
    card.aggregate.suspend("own-wish")
    card.aggregate.close()
    folded = card.fold()
    assert (folded.access, folded.account, folded.epoch) == (
        card.aggregate.access,
        card.aggregate.account,
        card.aggregate.epoch,
    )


def test_no_fact_has_a_field_for_a_secret_or_a_whole_number() -> None:
    forbidden = {"pin", "password", "token", "verifier", "card_number", "web_id", "email", "phone", "name", "address"}
    named = {name for fact in FACTS.values() for name in fact.__struct_fields__}
    assert not named & forbidden


def test_ids_come_from_the_place_in_the_stream() -> None:
    first, second = an_issued_card(), an_issued_card()
    assert first.aggregate.stop("lost") == second.aggregate.stop("lost")
    assert isinstance(first.aggregate.stop("lost"), UUID)
    assert first.aggregate.stop("lost") not in second.aggregate.access.stops


def test_a_card_is_issued_on_the_japanese_day() -> None:
    card = Acting(Card)
    card.later(hours=13)
    issue(card)
    assert card.now.date() == date(2026, 4, 1)
    assert card.aggregate.account.issued_on == date(2026, 4, 2)
