"""The story of `cardledger demo`, asked of a real server process: what it claims, whatever its printed text says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ledger.demo import issued_tokens
from ledger.demo.client import Client
from ledger.demo.page import Page
from ledger.demo.server import Server
from ledger.demo.story import PASSWORD, PIN, SECOND_PIN, THIRD_PIN, WRONG_PINS, Exchange, Story
from ledger.settings import Settings

DAYS, DAYS_OF_THE_YEAR = 35, 366
"""From the day after 2020-01-01 to 2020-02-05, all in a leap year."""
INTEREST = 100_000 * 1780 * DAYS // (10_000 * DAYS_OF_THE_YEAR)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The story told to its end, on a new sandbox whose server is still up."""
    settings = Settings.read(data=tmp_path_factory.mktemp("story"), sandbox=True, port=0)
    embedded = settings.model_copy(update={"database_url": None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDLEDGER_TEST_HASH_COST", "true")
        with Server.started(embedded) as server:
            told = Story(Client(server.url, issued_tokens(embedded)), Page(None))
            told.tell()
            yield told


def asked(story: Story, chapter: str) -> list[Exchange]:
    return [each for each in story.exchanges if each.chapter == chapter]


def outcomes(story: Story, chapter: str) -> list[tuple[int, str | None]]:
    return [(each.status, each.body.get("code")) for each in asked(story, chapter)]


def read(story: Story, path: str, caller: str = "auditor") -> Any:
    reply = story.client.ask(caller, "GET", path.replace("$CARD", story.names["CARD"]))
    assert reply.status == 200, reply.body
    return reply.body


def test_a_full_width_pin_is_refused_with_the_hint_and_counts_nothing(story: Story) -> None:
    refusal, lockout = asked(story, "full_width_digits_are_refused")

    assert (refusal.status, refusal.body["code"]) == (422, "input-not-half-width")
    assert refusal.body["errors"] == [{"pointer": "/pin", "code": "not-half-width"}]
    assert "テンキー" in refusal.body["detail"]
    assert refusal.body["remedy"]["code"] == "use-half-width"
    assert lockout.body["pin_failures"] == 0
    assert lockout.body["can_log_in"] == {"card": True, "web": True}


def test_two_wrong_pins_are_forgiven_by_the_right_one(story: Story) -> None:
    *logins, lockout = asked(story, "two_wrong_pins_then_the_right_one")

    assert [(each.status, each.body.get("code")) for each in logins] == [
        (401, "bad-credentials"),
        (401, "bad-credentials"),
        (201, None),
    ]
    assert logins[2].body["outcome"] == "ok"
    assert lockout.body["pin_failures"] == 0


def test_an_advance_cuts_the_credit_at_once_and_becomes_principal_when_confirmed(story: Story) -> None:
    reserved, confirmed, balance = (each.body for each in asked(story, "an_advance"))

    assert (reserved["state"], reserved["available_credit"]) == ("reserved", 400_000)
    assert (confirmed["state"], confirmed["value_date"]) == ("confirmed", "2020-01-01")
    assert (balance["principal"], balance["interest"], balance["available_credit"]) == (100_000, 0, 400_000)
    assert (balance["minimum_instalment"], balance["next_due"]) == (4_000, "2020-02-05")


def test_a_month_of_interest_is_right_to_the_yen(story: Story) -> None:
    clock, balance = (each.body for each in asked(story, "a_month_passes"))

    assert clock["now"] == "2020-02-05T01:00:00Z"
    assert INTEREST == 1_702
    assert (balance["interest"], balance["total"], balance["days_late"]) == (INTEREST, 100_000 + INTEREST, 0)


def test_a_repayment_goes_to_interest_first(story: Story) -> None:
    (repayment,) = (each.body for each in asked(story, "a_repayment"))

    assert repayment["allocation"] == {
        "fees": 0,
        "late_damages": 0,
        "interest": INTEREST,
        "principal": 10_000 - INTEREST,
        "overpayment": 0,
    }
    assert repayment["principal_after"] == 110_000 - 10_000 - (10_000 - INTEREST)
    assert (repayment["instalment"], repayment["next_due"]) == ("satisfied", "2020-03-05")


def test_three_wrong_pins_lock_the_card_on_every_route_but_not_for_money_that_comes_in(story: Story) -> None:
    lockout = asked(story, "three_wrong_pins_lock_the_card")[-1].body
    (repayment,) = (each.body for each in asked(story, "a_repayment_still_goes_through"))

    assert outcomes(story, "three_wrong_pins_lock_the_card")[:3] == [
        (401, "bad-credentials"),
        (401, "bad-credentials"),
        (403, "card-locked"),
    ]
    assert lockout["can_log_in"] == {"card": False, "web": False}
    assert (lockout["can_borrow"], lockout["can_repay"]) == (False, True)
    assert lockout["locks"] == [{"code": "card-locked"}]
    assert lockout["remedy"]["where"] == ["counter", "contract-machine"]
    assert outcomes(story, "the_web_route_is_closed_too") == [(403, "card-locked")]
    assert (repayment["allocation"]["interest"], repayment["allocation"]["principal"]) == (0, 5_000)
    assert (repayment["principal_after"], repayment["instalment"]) == (86_702, "extra")


def test_a_new_pin_comes_from_the_contract_machine_alone_and_frees_the_card(story: Story) -> None:
    login, reserved, confirmed = (each.body for each in asked(story, "the_card_is_usable_again"))

    assert outcomes(story, "the_call_centre_may_not_reset_the_pin") == [(403, "role-not-permitted")]
    assert outcomes(story, "the_contract_machine_may") == [(201, None)]
    assert login["outcome"] == "ok"
    assert (reserved["available_credit"], confirmed["state"]) == (500_000 - 86_702 - 20_000, "confirmed")


def test_a_report_over_the_base_suspends_borrowing_and_ends_the_wish_for_more(story: Story) -> None:
    (wish,) = (each.body for each in asked(story, "the_member_asks_for_a_higher_limit"))
    report, advance, decision = (each.body for each in asked(story, "a_credit_report_suspends_borrowing"))

    assert wish["state"] == "requested"
    assert report["suspended"] is True
    assert advance["code"] == "borrowing-suspended"
    assert decision["state"] == "declined"
    assert read(story, "/v1/cards/$CARD/balance")["available_credit"] == 0


def test_a_new_pin_does_not_lift_a_stop(story: Story) -> None:
    _, login, lockout = asked(story, "a_new_pin_does_not_lift_the_stop")

    assert (login.status, login.body["code"]) == (403, "card-stopped")
    assert "loan" not in login.body["detail"]
    assert login.body["remedy"]["code"] == "call-centre"
    assert [(each["code"], each["released_by"]) for each in lockout.body["locks"]] == [
        ("others-loans", "lifting-approval"),
        ("over-one-third", "resumption"),
    ]
    assert lockout.body["can_log_in"] == {"card": False, "web": False}
    assert (lockout.body["can_borrow"], lockout.body["can_repay"]) == (False, True)


def test_the_stream_of_the_card_holds_what_happened_in_its_order(story: Story) -> None:
    (stream,) = (each.body["data"] for each in asked(story, "the_stream_of_the_card"))

    assert [each["type"].removeprefix("cardledger.card.").removesuffix(".v1") for each in stream] == [
        "card-issued",
        *("login-failed", "login-failed", "login-succeeded"),
        *("advance-reserved", "advance-confirmed", "instalment-set", "due-date-set"),
        *("repayment-made", "instalment-satisfied", "due-date-set"),
        *("login-failed", "login-failed", "login-failed", "card-locked"),
        "repayment-made",
        *("pin-reset", "login-succeeded"),
        *("advance-reserved", "advance-confirmed", "instalment-set"),
        "borrowing-suspended",
        *("card-stopped", "pin-reset", "login-refused"),
    ]
    assert [each["streamversion"] for each in stream] == [*range(1, len(stream) + 1)]
    assert {each["subject"] for each in stream} == {story.names["CARD"]}


def test_positions_of_the_log_are_dense_and_the_card_is_locked_as_of_its_own(story: Story) -> None:
    log = read(story, "/v1/events?limit=200")["data"]
    locked = next(each["id"] for each in log if each["type"] == "cardledger.card.card-locked.v1")

    assert [int(each["id"]) for each in log] == [*range(1, len(log) + 1)]
    then = read(story, f"/v1/cards/$CARD/lockout?as_of={locked}")
    assert [each["code"] for each in then["locks"]] == ["card-locked"]
    assert then["position"] == int(locked)


def test_no_secret_and_no_personal_fact_is_in_the_log(story: Story) -> None:
    log = str(read(story, "/v1/events?limit=200"))

    assert not [each for each in (PIN, SECOND_PIN, THIRD_PIN, *WRONG_PINS) if f"'{each}'" in log]
    assert not [each for each in (PASSWORD, "架空", "カクウ", "hanako", "3600000", "900000") if each in log]


def test_a_second_member_lives_on_in_the_same_ledger_from_where_the_clock_stands(story: Story) -> None:
    again = Story(Client(story.client.url, story.client.tokens), Page(None))

    again.tell()

    assert again.names["MEMBER"] != story.names["MEMBER"]
    clock, balance = (each.body for each in asked(again, "a_month_passes"))
    assert clock["now"] == "2020-03-05T01:00:00Z"
    assert balance["interest"] == 100_000 * 1780 * 29 // (10_000 * DAYS_OF_THE_YEAR)
