"""A member with a card who is met over HTTP alone: enrols, logs in, draws, repays."""

from __future__ import annotations

from datetime import date
from typing import Any

from ledgers import PIN, PROFILE, WRONG_PIN
from serving import Client, Reply


def enrolled(service: Client, **profile: Any) -> str:
    """The id of a new member; a field given as None is left out."""
    told = {name: value for name, value in {**PROFILE, **profile}.items() if value is not None}
    return str(service.done("/v1/members", "counter", told)["member_id"])


def card_asked(service: Client, member_id: str, **asked: Any) -> Reply:
    """What asking for a card of 500,000 yen at 17.8 % is answered; `asked` is what differs."""
    body = {"pin": PIN, "credit_limit": 500_000, "annual_rate_bps": 1780, "due_day": 5, **asked}
    return service.post(f"/v1/members/{member_id}/cards", "counter", body)


class HttpBorrower:
    """One member and the card."""

    def __init__(self, service: Client, *, web_statements: bool = False, card: dict[str, Any] | None = None,
                 **profile: Any) -> None:  # fmt: skip
        self.service = service
        self.member_id = enrolled(service, web_statements=web_statements, **profile)
        issued = card_asked(service, self.member_id, **(card or {}))
        assert issued.status == 201, issued.body
        self.card_id, self.number = issued.body["card_id"], issued.body["card_number"]
        self.path = f"/v1/cards/{self.card_id}"

    def log_in(self, pin: str = PIN, through: str | None = None) -> Reply:
        body = {"route": "card", "card_number": self.number, "pin": pin}
        return self.service.post("/v1/sessions", through, body)

    @property
    def session(self) -> str:
        """The token of a new session."""
        opened = self.log_in()
        assert opened.status == 201, opened.body
        return str(opened.body["token"])

    def asks_advance(self, amount: int, purpose: str = "transfer", session: str | None = None, **named: Any) -> Reply:
        body = {"amount": amount, "purpose": purpose}
        return self.service.post(f"{self.path}/advances", session or self.session, body, **named)

    def draws(self, amount: int, value_date: date | None = None) -> str:
        """An advance reserved and confirmed; its id."""
        reserved = self.asks_advance(amount)
        assert reserved.status == 201, reserved.body
        advance_id = str(reserved.body["advance_id"])
        body = {"value_date": value_date.isoformat()} if value_date else {}
        self.service.done(f"{self.path}/advances/{advance_id}/confirmations", "service", body)
        return advance_id

    def asks_repayment(
        self, amount: int, method: str = "bank-transfer", by: str = "service", value_date: date | None = None
    ) -> Reply:
        body: dict[str, Any] = {"amount": amount, "method": method}
        if value_date is not None:
            body["value_date"] = value_date.isoformat()
        return self.service.post(f"{self.path}/repayments", by, body)

    def repays(self, amount: int, method: str = "bank-transfer", by: str = "service",
               value_date: date | None = None) -> Any:  # fmt: skip
        taken = self.asks_repayment(amount, method, by, value_date)
        assert taken.status == 201, taken.body
        return taken.body

    def balance(self, query: str = "") -> Any:
        return self.service.read(f"{self.path}/balance{query}")

    def lockout(self) -> Any:
        return self.service.read(f"{self.path}/lockout")

    def quote(self, day: date) -> Any:
        return self.service.read(f"{self.path}/settlement-quote?date={day}", "counter")

    def events(self, name: str) -> list[Any]:
        """The data of the card's events of a name, in order."""
        told = self.service.read(f"{self.path}/events?type=cardledger.card.{name}.v1&limit=200")
        return [event["data"] for event in told["data"]]

    def locks(self) -> None:
        """Three wrong PINs."""
        assert [self.log_in(WRONG_PIN).code for _ in "123"] == ["bad-credentials", "bad-credentials", "card-locked"]

    def is_stopped(self, reason: str = "fraud", by: str = "credit") -> str:
        return str(self.service.done(f"{self.path}/stops", by, {"reason": reason})["stop_id"])

    def is_suspended(self, reason: str = "unreachable") -> str:
        return str(self.service.done(f"{self.path}/suspensions", "credit", {"reason": reason})["suspension_id"])


def parts(**amounts: int) -> dict[str, int]:
    """An allocation: the parts named, and 0 for the others."""
    return {**dict.fromkeys(("fees", "late_damages", "interest", "principal", "overpayment"), 0), **amounts}
