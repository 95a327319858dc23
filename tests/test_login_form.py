"""The form of a login: what is refused before any secret is tested, in the order of the login table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from stand_in import StandIn, bearer, serving
from starlette.testclient import TestClient

from api.login_bodies import CardLogin, WebLogin
from ledger.refusals import Maintenance

Served = tuple[TestClient, StandIn]
CARD, WEB = dict(CardLogin.example), dict(WebLogin.example)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as both:
        yield both


def login(served: Served, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = served[0].post("/v1/sessions", json=body)
    return answer.status_code, answer.json()


@pytest.mark.parametrize("pin", ["１２３４", "1２3４", "1234\u3000"])
def test_a_full_width_pin_is_told_as_such(served: Served, pin: str) -> None:
    status, told = login(served, CARD | {"pin": pin, "stray": 1})

    assert (status, told["code"], told["remedy"]["code"]) == (422, "input-not-half-width", "use-half-width")
    assert told["errors"] == [{"pointer": "/pin", "code": "not-half-width"}]


@pytest.mark.parametrize(
    "pin",
    ["١٢٣٤", "۱۲۳۴", "१२३४", "𝟏𝟐𝟑𝟒", "¹²³⁴", "1234\n", " 1234", "1234 ", "1234\u00a0", "12\u200b34", "\u202e4321",
     "12\x0034", "+123", "1_23", "0x4D", "1e3", "-123", "123", "12345", "", "9" * 10_000, "ab12"],
)  # fmt: skip
def test_only_four_half_width_digits_are_a_pin(served: Served, pin: str) -> None:
    status, told = login(served, CARD | {"pin": pin})

    assert (status, told["code"], told["remedy"]["code"]) == (422, "input-format", "check-input")
    assert told["errors"] == [{"pointer": "/pin", "code": "format"}]


@pytest.mark.parametrize("pin", [1234, True, None, [], {}, ["1", "2", "3", "4"], 1.5])
def test_a_pin_is_a_string(served: Served, pin: object) -> None:
    assert login(served, CARD | {"pin": pin})[1]["errors"] == [{"pointer": "/pin", "code": "type"}]


@pytest.mark.parametrize(
    "number", ["4980 1234 1234 1234", "4980-1234-1234-1234", "498012341234123", "49801234123412345", "498012341234123a"]
)
def test_only_sixteen_digits_are_a_card_number(served: Served, number: str) -> None:
    assert login(served, CARD | {"card_number": number})[1]["code"] == "input-format"


def test_the_check_digit_of_a_card_number_is_not_tested(served: Served) -> None:
    assert login(served, CARD | {"card_number": "0000000000000001"})[0] == 201


@pytest.mark.parametrize("web_id", ["hanako y", "İstanbul", "ﬁnance", "hаnako", "short", "x" * 33, "hanako@y"])
def test_a_web_id_is_plain_ascii(served: Served, web_id: str) -> None:
    assert login(served, WEB | {"web_id": web_id})[1]["code"] == "input-format"


@pytest.mark.parametrize("password", ["x" * 11, "x" * 129, "é" * 128, "kasumi-no-mori\t", "x" * 15_000])
def test_a_password_is_printable_ascii_of_12_to_128(served: Served, password: str) -> None:
    assert login(served, WEB | {"password": password})[1]["code"] == "input-format"


def test_a_password_is_used_as_typed(served: Served) -> None:
    typed = " spaces at both ends "

    assert login(served, WEB | {"password": typed})[0] == 201
    assert served[1].asked[-1][2]["password"] == typed


@pytest.mark.parametrize(
    ("body", "remedy"),
    [
        ({"route": "card", "card_number": CARD["card_number"], "password": WEB["password"]}, "reset-pin-or-use-web"),
        ({"route": "card", "web_id": WEB["web_id"], "pin": CARD["pin"]}, "reset-pin-or-use-web"),
        ({"route": "web", "web_id": WEB["web_id"], "pin": CARD["pin"]}, "reset-password"),
        (CARD | WEB, "reset-password"),
        (WEB | CARD, "reset-pin-or-use-web"),
        (CARD | {"route": "web"}, "reset-password"),
    ],
)
def test_fields_of_both_routes_are_bad_credentials_and_nothing_is_looked_up(
    served: Served, body: dict[str, Any], remedy: str
) -> None:
    before = len(served[1].asked)

    status, told = login(served, body)

    assert (status, told["code"], told["remedy"]["code"]) == (401, "bad-credentials", remedy)
    assert len(served[1].asked) == before


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"route": "card", "card_number": CARD["card_number"]}, "input-format"),
        ({"route": "card", "password": WEB["password"]}, "input-format"),
        ({"route": "card", "card_number": "1", "password": WEB["password"]}, "input-format"),
        (CARD | {"route": "atm"}, "input-format"),
        ({"pin": "8352", "card_number": CARD["card_number"]}, "input-format"),
        (CARD | {"route": None}, "input-format"),
        (CARD | {"route": []}, "input-format"),
        (CARD | WEB | {"pin": "１２３４"}, "input-not-half-width"),
    ],
)
def test_a_malformed_login_is_told_before_a_mixture(served: Served, body: dict[str, Any], code: str) -> None:
    status, told = login(served, body)

    assert (status, told["code"]) == (422, code)


def test_an_outage_is_told_before_the_form_of_a_login() -> None:
    with serving() as (client, ledger):
        ledger.outage = Maintenance(retry_after=60)

        answer = client.post("/v1/sessions", json=CARD | {"pin": "１２３４"})

    assert (answer.status_code, answer.json()["code"]) == (503, "maintenance")


@pytest.mark.parametrize(("role", "channel"), [("anonymous", "web"), ("atm", "atm"), ("app", "app")])
def test_the_channel_of_a_login_follows_from_the_caller(served: Served, role: str, channel: str) -> None:
    answer = served[0].post("/v1/sessions", json=CARD, headers=bearer(role))

    assert answer.status_code == 201
    assert served[1].asked[-1][1][0].cause.channel == channel
