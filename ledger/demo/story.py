"""The story: a member, a card, a month of money, a lock, its way out, and a stop that nothing but a person lifts.

What must stay true: every chapter says what the service must answer, so a story told to its end is a test passed. All
persons, numbers and secrets are invented.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from string import Template
from typing import Any
from uuid import uuid4

from ledger.demo import gist
from ledger.demo.client import NOBODY, Body, Client
from ledger.demo.page import Page

PIN, SECOND_PIN, THIRD_PIN = "3749", "5182", "6093"
WRONG_PINS = ("1746", "2836", "9042")
FULL_WIDTH_PIN = "\uff13\uff17\uff14\uff19"
PASSWORD = "an invented pass phrase"  # noqa: S105 - nobody's
HANAKO: Body = {
    "name": "架空花子",
    "kana": "カクウハナコ",
    "annual_income": 3_600_000,
    "birth_date": "1988-02-29",
    "email": "hanako@example.com",
    "phone": "09000000000",
    "address": "架空県架空市1-2-3",
    "workplace": "架空商事",
    "payout_account": {
        "bank_code": "0000",
        "branch_code": "000",
        "kind": "ordinary",
        "number": "0000000",
        "holder_kana": "カクウハナコ",
    },
}

TELL_NOTHING = gist.fields()
TELL_STATE = gist.fields("state")


class StoryBroken(Exception):
    """The service answered something else than the story says."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of the story and what came back; the path names what it is about as `$CARD`."""

    chapter: str
    caller: str
    method: str
    path: str
    status: int
    body: Body


class Story:
    """The chapters in their order, over one client."""

    def __init__(self, client: Client, page: Page) -> None:
        self.client = client
        self.names: dict[str, str] = {}
        self.exchanges: list[Exchange] = []
        self._page = page
        self._chapter = ""
        self._card_number = ""
        self._due = ""
        self._web_id = f"hanako.{uuid4().hex[:12]}"

    def tell(self) -> None:
        """Tell all of it. Raises StoryBroken at the first answer that is another than it should be."""
        for chapter in (
            self._a_member_gets_a_card,
            self._full_width_digits_are_refused,
            self._two_wrong_pins_then_the_right_one,
            self._an_advance,
            self._a_month_passes,
            self._a_repayment,
            self._three_wrong_pins_lock_the_card,
            self._the_web_route_is_closed_too,
            self._a_repayment_still_goes_through,
            self._the_call_centre_may_not_reset_the_pin,
            self._the_contract_machine_may,
            self._the_card_is_usable_again,
            self._the_member_asks_for_a_higher_limit,
            self._a_credit_report_suspends_borrowing,
            self._a_person_stops_the_card,
            self._a_new_pin_does_not_lift_the_stop,
            self._the_stream_of_the_card,
        ):
            self._chapter = chapter.__name__.strip("_")
            chapter()

    def _a_member_gets_a_card(self) -> None:
        self._page.chapter(
            "A counter enrols a member with an income of 3,600,000 yen a year and issues a card: limit 500,000 yen at"
            " 17.8 % a year, due on the 5th."
        )
        member = self._ask(201, "counter", "POST", "/v1/members", HANAKO, told=gist.fields("member_id"))
        self.names["MEMBER"] = member["member_id"]
        terms = {"pin": PIN, "credit_limit": 500_000, "annual_rate_bps": 1780, "due_day": 5}
        card = self._ask(201, "counter", "POST", "/v1/members/$MEMBER/cards", terms, told=gist.fields("card_id"))
        self.names["CARD"], self._card_number = card["card_id"], card["card_number"]
        credentials = {"web_id": self._web_id, "password": PASSWORD}
        self._ask(
            200, "counter", "PUT", "/v1/members/$MEMBER/web-credentials", credentials,
            told=lambda _: "the Web-ID is the member's",
        )  # fmt: skip

    def _full_width_digits_are_refused(self) -> None:
        self._page.chapter(
            "The member types the PIN in full-width digits, behind dots that hide it. The service says so, in Japanese"
            " as asked; nothing is looked up, nothing is counted."
        )
        self._log_in(422, FULL_WIDTH_PIN, language="ja")
        self._look_at_the_lockout("counter")

    def _two_wrong_pins_then_the_right_one(self) -> None:
        self._page.chapter("Two wrong PINs, then the right one, which clears the count.")
        for wrong in WRONG_PINS[:2]:
            self._log_in(401, wrong)
        self._log_in(201, PIN)
        self._look_at_the_lockout("counter")

    def _an_advance(self) -> None:
        self._page.chapter(
            "The member draws 100,000 yen to the own bank account. Reserving cuts the available credit; the principal"
            " follows when the bank has sent the money."
        )
        self._draw(100_000)
        self._due = self._look_at_the_balance("member")["next_due"]

    def _a_month_passes(self) -> None:
        self._page.chapter("A month passes: the sandbox's clock moves to the morning of the due date.")
        morning = {"now": f"{self._due}T10:00:00+09:00"}
        self._ask(200, "operator", "PUT", "/v1/sandbox/clock", morning, told=gist.fields("now"))
        self._look_at_the_balance("service")

    def _a_repayment(self) -> None:
        self._page.chapter("A bank transfer of 10,000 yen arrives: first the interest, then the principal.")
        self._repay(10_000)

    def _three_wrong_pins_lock_the_card(self) -> None:
        self._page.chapter("Three wrong PINs in a row lock the card itself, until somebody comes in person.")
        for wrong, status in zip(WRONG_PINS, (401, 401, 403), strict=True):
            self._log_in(status, wrong)
        self._look_at_the_lockout("call-centre")

    def _the_web_route_is_closed_too(self) -> None:
        self._page.chapter("The right Web-ID and password do not open the locked card either.")
        web = {"route": "web", "web_id": self._web_id, "password": PASSWORD}
        self._ask(403, NOBODY, "POST", "/v1/sessions", web)

    def _a_repayment_still_goes_through(self) -> None:
        self._page.chapter("A repayment of 5,000 yen still goes through: money that has arrived is never refused.")
        self._repay(5_000)

    def _the_call_centre_may_not_reset_the_pin(self) -> None:
        self._page.chapter("The member telephones. The call centre may not reset the PIN, whoever asks.")
        self._reset_pin(403, "call-centre", SECOND_PIN)

    def _the_contract_machine_may(self) -> None:
        self._page.chapter("The contract machine may, with a driving licence that was looked at just now.")
        self._reset_pin(201, "contract-machine", SECOND_PIN)

    def _the_card_is_usable_again(self) -> None:
        self._page.chapter("The new PIN logs in, and the card lends again: 20,000 yen.")
        self._log_in(201, SECOND_PIN)
        self._draw(20_000)

    def _the_member_asks_for_a_higher_limit(self) -> None:
        self._page.chapter("The member asks for a limit of 800,000 yen. The credit desk will look at it.")
        asked = self._ask(
            201, "member", "POST", "/v1/members/$MEMBER/limit-change-requests", {"requested_limit": 800_000},
            told=TELL_STATE,
        )  # fmt: skip
        self.names["REQUEST"] = asked["request_id"]

    def _a_credit_report_suspends_borrowing(self) -> None:
        self._page.chapter(
            "The credit bureau reports 900,000 yen lent by others. With the own limit that is over a third of the"
            " income, so borrowing is suspended by rule in the same commit, and the request is declined."
        )
        report = {"others_balance": 900_000, "reported_on": self._due}
        self._ask(201, "credit", "POST", "/v1/members/$MEMBER/credit-reports", report, told=gist.fields("suspended"))
        wish = {"amount": 10_000, "purpose": "transfer"}
        self._ask(409, "member", "POST", "/v1/cards/$CARD/advances", wish)
        path = "/v1/members/$MEMBER/limit-change-requests/$REQUEST/decisions"
        self._ask(
            201, "credit", "POST", path, {"approve": False, "reason": "over one third of the income"}, told=TELL_STATE
        )

    def _a_person_stops_the_card(self) -> None:
        self._page.chapter("A person at the credit desk stops the card because of the others' loans.")
        self._ask(
            201, "credit", "POST", "/v1/cards/$CARD/stops", {"reason": "others-loans"}, told=gist.fields("stop_id")
        )

    def _a_new_pin_does_not_lift_the_stop(self) -> None:
        self._page.chapter(
            "A new PIN does not lift it. The member, who is told no reason, is sent to the call centre; the credit desk"
            " sees both reasons, each ended in its own way."
        )
        self._reset_pin(201, "contract-machine", THIRD_PIN)
        self._log_in(403, THIRD_PIN)
        self._look_at_the_lockout("credit")

    def _the_stream_of_the_card(self) -> None:
        self._page.chapter(
            "All of it is in the card's stream, fact by fact, each at its position in the log. Positions that are not"
            " here are facts of the member. An auditor folds these and needs nothing else."
        )
        told = self._ask(
            200, "auditor", "GET", "/v1/cards/$CARD/events?limit=200",
            told=lambda body: f"{len(body['data'])} facts",
        )  # fmt: skip
        self._page.rows([gist.HEADINGS, *map(gist.event, told["data"])], widths=(5, 16, 21, 16))

    def _log_in(self, expected: int, pin: str, language: str = "en") -> None:
        card = {"route": "card", "card_number": self._card_number, "pin": pin}
        session = self._ask(
            expected, NOBODY, "POST", "/v1/sessions", card, told=gist.fields("outcome"), language=language
        )
        if "token" in session:
            self.client.tokens["member"] = session["token"]

    def _draw(self, amount: int) -> None:
        wish = {"amount": amount, "purpose": "transfer"}
        advance = self._ask(
            201, "member", "POST", "/v1/cards/$CARD/advances", wish, told=gist.fields("state", "available_credit")
        )
        self.names["ADVANCE"] = advance["advance_id"]
        path = "/v1/cards/$CARD/advances/$ADVANCE/confirmations"
        self._ask(201, "service", "POST", path, {}, told=gist.fields("state", "value_date"))

    def _repay(self, amount: int) -> None:
        money = {"amount": amount, "method": "bank-transfer"}
        self._ask(201, "service", "POST", "/v1/cards/$CARD/repayments", money, told=gist.repayment)

    def _reset_pin(self, expected: int, caller: str, pin: str) -> None:
        """The document was verified at this moment of the sandbox's clock, which is asked off the page."""
        now = self.client.ask("operator", "GET", "/v1/sandbox/clock").body["now"]
        body = {"new_pin": pin, "identity_document": {"kind": "driving-licence", "verified_at": now}}
        self._ask(expected, caller, "POST", "/v1/cards/$CARD/pin-resets", body, told=lambda _: "the PIN is set anew")

    def _look_at_the_balance(self, caller: str) -> Any:
        return self._ask(200, caller, "GET", "/v1/cards/$CARD/balance", told=gist.balance)

    def _look_at_the_lockout(self, caller: str) -> None:
        self._ask(200, caller, "GET", "/v1/cards/$CARD/lockout", told=gist.lockout)

    def _ask(
        self,
        expected: int,
        caller: str,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        told: Callable[[Body], str] = TELL_NOTHING,
        language: str = "en",
    ) -> Any:
        """Ask, write down what was asked and what came back, and go on only if it is what the story says."""
        self._page.request(caller, method, path, body)
        reply = self.client.ask(caller, method, Template(path).substitute(self.names), body, language)
        self.exchanges.append(Exchange(self._chapter, caller, method, path, reply.status, reply.body))
        self._page.reply(reply.status, gist.problem(reply.body) if "code" in reply.body else told(reply.body))
        if reply.status != expected:
            raise StoryBroken(f"{method} {path} answered {reply.status} where {expected} was due.")
        return reply.body
