"""Members, cards and logins over HTTP, as the counter and the login page make them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

from ledgers import PROFILE
from serving import Client, Reply

PIN, WRONG_PIN, NEW_PIN = "3749", "8261", "5926"
PASSWORD, WRONG_PASSWORD, NEW_PASSWORD = "correct horse battery", "wrong horse battery", "another horse battery"

_numbers = count(1)


@dataclass(frozen=True)
class Person:
    """A member with a card, and with a Web-ID where one was registered."""

    member_id: str
    card_id: str
    number: str
    web_id: str = ""

    @property
    def card(self) -> UUID:
        return UUID(self.card_id)

    @property
    def member(self) -> UUID:
        return UUID(self.member_id)


def enrolled(client: Client, **profile: Any) -> str:
    """The id of a member without a card, with an address of his own."""
    address = {"email": f"person{next(_numbers)}@example.com"}
    done: dict[str, str] = client.done("/v1/members", "counter", {**PROFILE, **address, **profile})
    return done["member_id"]


def with_card(client: Client, member_id: str | None = None, pin: str = PIN, **profile: Any) -> Person:
    member_id = member_id or enrolled(client, **profile)
    body = {"pin": pin, "credit_limit": 500_000, "annual_rate_bps": 1780, "due_day": 5}
    issued = client.done(f"/v1/members/{member_id}/cards", "counter", body)
    return Person(member_id, issued["card_id"], issued["card_number"])


def with_web_id(client: Client, person: Person | None = None, password: str = PASSWORD, **profile: Any) -> Person:
    person = person or with_card(client, **profile)
    web_id = f"member.{next(_numbers):06}"
    assert registered(client, person.member_id, web_id, password).status == 200
    return Person(person.member_id, person.card_id, person.number, web_id)


def registered(
    client: Client, member_id: str, web_id: str, password: str = PASSWORD, by: str = "counter", **named: Any
) -> Reply:
    """The answer to a Web-ID and password being set; further fields of the body and headers by name."""
    headers = {name: named.pop(name) for name in ("Idempotency_Key",) if name in named}
    body = {"web_id": web_id, "password": password, **named}
    return client.ask("PUT", f"/v1/members/{member_id}/web-credentials", by, body, **headers)


def by_card(number: str, pin: str = PIN) -> dict[str, str]:
    return {"route": "card", "card_number": number, "pin": pin}


def by_web(web_id: str, password: str = PASSWORD) -> dict[str, str]:
    return {"route": "web", "web_id": web_id, "password": password}


def logged_in(client: Client, body: dict[str, str], by: str | None = None) -> str:
    """The token of a session that must open."""
    token: str = client.done("/v1/sessions", by, body)["token"]
    return token


def new_pin(client: Client, pin: str) -> dict[str, Any]:
    """The body of a PIN reset on a licence that was looked at just now."""
    seen = (client.now() - timedelta(minutes=1)).isoformat()
    return {"new_pin": pin, "identity_document": {"kind": "driving-licence", "verified_at": seen}}


def reset_token(client: Client, person: Person) -> str:
    """The token of the newest password mail to the person."""
    mails = client.read("/v1/sandbox/outbox", "operator")["data"]
    return next(
        str(mail["token"])
        for mail in mails
        if mail["member_id"] == person.member_id and mail["kind"] == "password-reset"
    )
