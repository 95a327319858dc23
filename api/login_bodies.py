"""The body of a login: full-width input is told before any other fault, and mixed routes only when well-formed.

What must stay true: this order, whatever else is wrong with the body; and nothing here looks anything up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel

from api.bodies import Body, variant
from api.fields import CardNumber, Password, Pin, WebId
from ledger import forms
from ledger.refusals import BadCredentials, InputNotHalfWidth
from ledger.remedies import RESET_PASSWORD, RESET_PIN_OR_USE_WEB


class CardLogin(Body):
    """The card route: card number and PIN."""

    example = {"route": "card", "card_number": "4980123412341234", "pin": "8352"}

    route: Literal["card"]
    card_number: CardNumber
    pin: Pin


class WebLogin(Body):
    """The web route: Web-ID and password."""

    example = {"route": "web", "web_id": "hanako.y", "password": "kasumi-no-mori-27"}

    route: Literal["web"]
    web_id: WebId
    password: Password


class Login(Body):
    """Card number and PIN, or Web-ID and password; never a mixture."""

    example = CardLogin.example
    variants = {"card": CardLogin, "web": WebLogin}
    discriminator = "route"

    @classmethod
    def read(cls, value: object) -> BaseModel:
        """Full-width characters first, then form, then a mixture of the routes."""
        refuse_full_width(value)
        route = variant(cls, value)
        assert isinstance(value, dict)
        if mixes_routes(value):
            raise BadCredentials(remedy=RESET_PIN_OR_USE_WEB if route is CardLogin else RESET_PASSWORD)
        return route.read(value)


LOGIN_STRINGS = {
    "card_number": forms.card_number,
    "pin": forms.pin,
    "web_id": forms.web_id,
    "password": forms.password,
}


def refuse_full_width(value: object) -> None:
    """Raises InputNotHalfWidth for a login string that holds a full-width character."""
    if isinstance(value, dict):
        wide = [name for name in ("route", *LOGIN_STRINGS) if forms.holds_full_width(value.get(name))]
        if wide:
            raise InputNotHalfWidth(errors=[{"pointer": f"/{name}", "code": forms.NOT_HALF_WIDTH} for name in wide])


def mixes_routes(value: Mapping[str, object]) -> bool:
    """Whether well-formed fields of both routes stand together, or those of the route that is not named."""
    fields = value.keys() - {"route"}
    own = {"card_number", "pin"} if value["route"] == "card" else {"web_id", "password"}
    pairs = fields & {"card_number", "web_id"} and fields & {"pin", "password"}
    well_formed = all(name in LOGIN_STRINGS and LOGIN_STRINGS[name](value[name]) is None for name in fields)
    return bool(pairs) and well_formed and not fields <= own
