"""Why a figure is what it is: lines that sum to it, each from the event that made it, fit to be read out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from acting import NOW, TERMS, Acting
from borrowing import CARD
from histories import LIVES, WITH_FEES, lived
from hypothesis import given, settings

from ledger.aggregates.card import Card
from ledger.aggregates.member import Member
from ledger.audit.bars import BarStory, discreet
from ledger.audit.explanation import CardStory, Explanation, Line
from ledger.audit.spoken import spoken
from ledger.interest import DENOMINATOR
from ledger.money import Yen
from ledger.store.pages import Recorded

MONEY = {name: name for name in ("principal", "interest", "late_damages", "fees", "available_credit")}
MONEY["next_due"] = "minimum_instalment"
A_LIFE = [("draw", 0, 200_000, 0, "atm"), ("repay", 29, 8_000, 0, "bank-transfer"), ("close", 9, 1, 0, "atm")]


def cut_at(recorded: list[Recorded]) -> Card:
    card = Card.blank(CARD)
    for each in recorded:
        each.event.mutate(card)
    return card


def explained(recorded: list[Recorded], of: str, at: datetime | None = None) -> Explanation:
    story = CardStory(CARD)
    for each in recorded:
        story.tell(each)
    last = recorded[-1]
    return story.explain(of, at or last.recorded_at, last.position, WITH_FEES)


@settings(max_examples=60)
@given(LIVES)
def test_debits_minus_credits_is_the_figure_as_of_every_position(recorded: list[Recorded]) -> None:
    story, card = CardStory(CARD), Card.blank(CARD)
    for each in recorded:
        story.tell(each)
        each.event.mutate(card)
        figures = card.account.figures(each.recorded_at.date(), WITH_FEES, card.borrowing_barred)
        for of, figure in MONEY.items():
            found = story.explain(of, each.recorded_at, each.position, WITH_FEES)
            assert sum(line.signed for line in found.lines) == found.figure == getattr(figures, figure)
            assert all(line.amount > 0 for line in found.lines)


@settings(max_examples=60)
@given(LIVES)
def test_every_line_of_interest_follows_from_its_own_segments(recorded: list[Recorded]) -> None:
    for line in explained(recorded, "interest").lines:
        if "segments" in line.calculation:
            parts = line.calculation["segments"]
            for part in parts:
                year = {365: 366, 366: 365}[part["basis"]]
                assert part["numerator"] == part["principal"] * part["annual_rate_bps"] * part["days"] * year
            assert line.amount == sum(part["numerator"] for part in parts) // DENOMINATOR == line.calculation["yen"]


def test_the_interest_of_a_month_says_principal_rate_days_basis_and_terms() -> None:
    found = explained(lived(A_LIFE[:1]), "interest", datetime(2023, 12, 5, 3, tzinfo=UTC))

    (line,) = found.lines
    (part,) = line.calculation["segments"]
    assert (part["principal"], part["annual_rate_bps"], part["days"], part["basis"]) == (200_000, 1780, 29, 365)
    assert (line.amount, line.calculation["exact"], line.calculation["rounding"]) == (2_828, "2828.493", "floor")
    assert line.calculation["terms_version"] == WITH_FEES.at(datetime(2023, 12, 5, tzinfo=UTC).date()).version
    assert (line.position, line.topic) == (None, None)


def test_what_is_due_next_says_the_instalment_what_it_was_reckoned_from_and_the_due_date() -> None:
    recorded = lived(A_LIFE[:2])
    by_topic = {each.event.fact.topic: each.position for each in recorded}
    found = explained(recorded, "next_due")
    figures = cut_at(recorded).account.figures(found.value_date, WITH_FEES, barred=False)

    (line,) = found.lines
    assert (line.topic, line.position) == ("card.instalment-set", by_topic["card.instalment-set"])
    assert (line.amount, line.value_date) == (figures.minimum_instalment, figures.next_due)
    assert line.calculation["due_set_at"] == by_topic["card.due-date-set"]
    assert (line.calculation["balance"], line.calculation["due"]["day"]) == (200_000, str(figures.next_due))
    assert f"{line.amount:,} yen" in spoken(found, "en")
    assert f"{line.amount:,}円" in spoken(found, "ja")


def test_what_is_due_next_is_never_above_what_is_owed() -> None:
    found = explained(lived([*A_LIFE[:1], ("repay", 29, 201_000, 0, "bank-transfer")]), "next_due")

    instalment, rest = found.lines
    assert (instalment.amount - rest.amount, rest.direction) == (found.figure, "credit")
    assert rest.calculation == {"never_above": found.figure}


def test_a_repayment_that_was_taken_back_stays_among_the_lines_of_the_principal() -> None:
    recorded = lived([*A_LIFE, ("unreceive", 3, 0, 0, "atm")])

    lines = explained(recorded, "principal").lines

    assert [line.topic for line in lines] == [
        "card.advance-confirmed", "card.repayment-made", "card.repayment-reversed"
    ]  # fmt: skip
    assert lines[1].amount == lines[2].amount
    assert all(recorded[(line.position or 0) - 1].event.fact.topic == line.topic for line in lines)


def test_available_credit_is_the_limit_without_principal_and_what_is_under_way() -> None:
    card = Card.blank(CARD)
    recorded = lived(A_LIFE[:1])
    for each in recorded:
        each.event.mutate(card)
    last = recorded[-1].event
    card.instructed_by(last.cause, last.at).reserve_advance(
        Yen(5_000), "transfer", channel="web", payout_account=True, terms=WITH_FEES.at(last.at.date())
    )
    (reserved,) = card.collect_events()
    under_way = Recorded(len(recorded) + 1, last.at, reserved)  # type: ignore[arg-type]

    found = explained([*recorded, under_way], "available_credit")

    assert [(line.direction, line.amount) for line in found.lines] == [
        ("debit", 900_000), ("credit", 200_000), ("credit", 5_000)
    ]  # fmt: skip
    assert found.lines[-1].position == under_way.position


def test_a_lock_names_the_failures_that_made_it_and_the_reset_that_ended_it() -> None:
    card = Acting(Card)
    card.by("clerk", "counter", "counter").issue(
        member_id=CARD, number_last4="0000", credit_limit=Yen(500_000), annual_rate_bps=1780, due_day=5,
        interest_free=False, pin_refused=False, terms=TERMS,
    )  # fmt: skip
    for _ in range(3):
        card.by().decide_pin_attempt(attempt_id=card.attempt_id(), right=False, generation=1, terms=TERMS)
    card.by("officer", "credit", "staff").stop("others-loans")
    card.by("clerk", "counter", "counter").reset_pin(
        document_kind="passport", verified_at=NOW, refused=False, terms=TERMS
    )
    story = BarStory()
    moved = [
        each
        for position, event in enumerate(card.events, 1)
        for each in story.tell(Recorded(position, event.at, event))
    ]

    assert [(each.topic, each.by) for each in moved] == [
        ("card.card-locked", 1), ("card.card-stopped", 1), ("card.pin-reset", -1)
    ]  # fmt: skip
    assert moved[0].told["failures_at"] == [2, 3, 4]
    assert (moved[1].told["bar"], moved[1].told["actor"]) == ("others-loans", "officer")
    hidden = discreet(moved[1].told, member=True)
    assert hidden["bar"] == "card-stopped"
    assert {"actor", "role", "channel"} & hidden.keys() == set()


def test_a_web_lock_names_its_failures() -> None:
    member = Acting(Member)
    member.by().enrol()
    member.by().register_web_id(refused=False)
    for number in range(10):
        member.later(hours=number + 1)
        member.by().decide_password_attempt(
            attempt_id=member.attempt_id(), right=False, generation=1, access=None, terms=TERMS
        )
    story = BarStory()
    moved = [
        each
        for position, event in enumerate(member.events, 1)
        for each in story.tell(Recorded(position, event.at, event))
    ]

    assert [each.told["bar"] for each in moved] == ["web-login-locked"]
    assert len(moved[0].told["failures_at"]) == 10


@pytest.mark.parametrize(
    ("language", "of", "words"),
    [
        (
            "en",
            "principal",
            "On 14 December 2023 the principal is 194,938 yen. 6 November 2023: an advance adds 200,000",
        ),
        ("ja", "principal", "2023年12月14日現在の元金は194,938円です。2023年11月6日、ご融資により200,000円増えます。"),
        ("en", "interest", "a repayment takes off"),
        ("ja", "interest", "日間、元金200,000円に年17.80パーセント。1円未満を切り捨てて"),
    ],
)
def test_an_explanation_can_be_read_out(language: str, of: str, words: str) -> None:
    found = explained(lived([*A_LIFE, ("refund", 0, 1, 0, "atm")]), of, datetime(2023, 12, 14, 3, tzinfo=UTC))

    assert words in spoken(found, language)


def test_nobody_is_read_more_lines_than_anybody_listens_to() -> None:
    one = Line(direction="debit", amount=1, topic="card.advance-confirmed", position=1)
    long = replace(explained(lived(A_LIFE), "principal"), lines=(one,) * 40, figure=40)

    assert spoken(long, "en").count("an advance adds 1 yen".removeprefix("an ")) == 12
    assert "What was before comes to 28 yen." in spoken(long, "en")


def test_what_stands_in_the_way_is_read_out_with_its_day() -> None:
    told: dict[str, Any] = {"bar": "card-locked", "at": "2024-01-05T16:00:00+00:00"}
    locked = replace(
        explained(lived(A_LIFE), "principal"),
        of="lockout",
        figure=1,
        lines=(Line(direction="debit", amount=1, topic="card.card-locked", position=9, calculation=told),),
    )

    assert spoken(locked, "en") == (
        "1 thing stands in the way. 6 January 2024: the PIN was wrong too often, so the card is locked."
    )
    assert spoken(locked, "ja") == (
        "現在、ご利用を妨げるものは1件です。2024年1月6日、暗証番号の誤りにより、カードを一時停止しました。"
    )
