"""A card that is stopped or locked, on every route there is: the cases are generated from the table of operations.

What must stay true: a route is refused to members and machines unless `LET_BE` names it with the reason, so that a new
one makes these tests fail until somebody has decided.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from conftest import NewDatabase
from ledgers import PROFILE, rows, topics
from people import (
    NEW_PASSWORD,
    NEW_PIN,
    WRONG_PASSWORD,
    WRONG_PIN,
    Person,
    by_card,
    by_web,
    logged_in,
    new_pin,
    reset_token,
    with_card,
    with_web_id,
)
from serving import Client, Reply, served

from api.operation import Operation
from api.operations import operations
from api.roles import ANONYMOUS
from api.routes.money import METHODS_OF_ROLE

ROWS = {row.operation_id: row for row in operations(in_sandbox=True)}
AT_LARGE = (ANONYMOUS, "atm", "app", "contract-machine")
"""Who comes without a session of the card and without a desk."""
LET_BE = {
    "takeRepayment": "money that has arrived is taken whatever the card is",
    "readLockout": "the machine tells the owner where to go",
    "resetPin": "the way out of a lock, in person and on a document; a stop stays",
    "setWebCredentials": "in person at the machine; it opens no card",
    "enrolMember": "it is about somebody new",
    "requestPasswordReset": "a new password opens no card",
    "completePasswordReset": "a new password opens no card",
    "simulateRepayment": "it is about no card",
    "readLoginHelp": "it is about no card",
    "readLiveness": "it is about no card",
    "readReadiness": "it is about no card",
}
"""What goes on as ever while a card is stopped or locked, and why."""
OF_A_REPAYMENT = {"card.repayment-made", "card.instalment-satisfied", "card.due-date-set"}
NEW_SECRETS = ("resetPin", "setWebCredentials", "completePasswordReset")
REFUSALS = {"card-stopped", "card-locked", "card-exists"}
BARS = ("stopped", "locked")
CODES = {"stopped": "card-stopped", "locked": "card-locked"}
WITH_A_SESSION = [row for row in ROWS.values() if "member" in row.roles and not row.open]
CELLS = [(row, role) for row in ROWS.values() for role in AT_LARGE if role in row.roles]


@dataclass
class Victim:
    """A member who owes, the sessions that were open and the ids of what was made before the card was barred."""

    client: Client
    person: Person
    email: str
    sessions: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, client: Client) -> Victim:
        email = f"victim{uuid4().hex[:12]}@example.com"
        self = cls(client, with_web_id(client, with_card(client, email=email)), email)
        card, member = f"/v1/cards/{self.person.card_id}", f"/v1/members/{self.person.member_id}"
        self.sessions = {
            "card": logged_in(client, by_card(self.person.number)),
            "web": logged_in(client, by_web(self.person.web_id)),
            "atm": logged_in(client, by_card(self.person.number), "atm"),
        }
        drawn = [client.done(f"{card}/advances", self.sessions["card"], {"amount": 30_000, "purpose": "transfer"})
                 for _ in range(2)]  # fmt: skip
        client.done(f"{card}/advances/{drawn[0]['advance_id']}/confirmations", "service")
        paid = client.done(f"{card}/repayments", "service", {"amount": 1_000, "method": "bank-transfer"})
        asked = client.done(f"{member}/limit-change-requests", "counter", {"requested_limit": 600_000})
        suspended = client.done(f"{card}/suspensions", "credit", {"reason": "unreachable"})
        self.ids = {
            "card_id": self.person.card_id,
            "member_id": self.person.member_id,
            "advance_id": drawn[1]["advance_id"],
            "repayment_id": paid["repayment_id"],
            "request_id": asked["request_id"],
            "suspension_id": suspended["suspension_id"],
            "stop_id": str(uuid4()),
            "session_id": client.read("/v1/sessions", self.sessions["card"])["data"][0]["session_id"],
        }
        return self

    def barred(self, how: str) -> Victim:
        if how == "locked":
            answers = [self.client.post("/v1/sessions", None, by_card(self.person.number, WRONG_PIN)) for _ in "123"]
            assert answers[-1].code == "card-locked"
        else:
            stopped = self.client.done(f"/v1/cards/{self.person.card_id}/stops", "credit", {"reason": "fraud"})
            self.ids["stop_id"] = stopped["stop_id"]
        return self

    def asks(self, row: Operation, by: str | None, **body: Any) -> Reply:
        """The operation about this card, with its own example as the body unless told otherwise."""
        query = "?of=principal" if row.operation_id == "explainFigure" else ""
        caller = None if by == ANONYMOUS else by
        told = {**self.body_of(row, by), **body} if row.body else None
        return self.client.ask(row.method, row.path.format(**self.ids) + query, caller, told)

    def body_of(self, row: Operation, by: str | None) -> dict[str, Any]:
        known = {
            "takeRepayment": {"amount": 1_000, "method": min(METHODS_OF_ROLE.get(by or "", {"internet"}))},
            "resetPin": new_pin(self.client, NEW_PIN),
            "setWebCredentials": {"web_id": f"victim.{uuid4().hex[:12]}", "password": NEW_PASSWORD},
            "enrolMember": {**PROFILE, "email": f"{uuid4().hex}@example.com"},
            "requestPasswordReset": {"email": self.email, "birth_date": PROFILE["birth_date"]},
        }
        assert row.body is not None
        return known.get(row.operation_id, dict(row.body.example))

    def facts(self) -> list[str]:
        return topics(self.client.dsn, self.person.card)

    def answer_to_the_right_secret(self) -> set[str]:
        """How every way in is answered by somebody who knows PIN and password."""
        return {
            self.client.post("/v1/sessions", by, body).code
            for by in (None, "atm", "app")
            for body in (by_card(self.person.number), by_web(self.person.web_id))
        }


@pytest.fixture(scope="module")
def client(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with new_database("bars") as dsn, served(dsn, tmp_path_factory.mktemp("bars")) as one:
        yield one


@pytest.fixture(scope="module")
def victims(client: Client) -> dict[str, Victim]:
    """One for each bar; no test lets them in again."""
    return {bar: Victim.of(client).barred(bar) for bar in BARS}


# Members and machines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("session", ["card", "web", "atm"])
@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("row", WITH_A_SESSION, ids=[row.operation_id for row in WITH_A_SESSION])
def test_no_route_takes_a_session_from_before_the_card_was_barred(
    victims: dict[str, Victim], row: Operation, bar: str, session: str
) -> None:
    victim = victims[bar]
    before = victim.facts()

    assert victim.asks(row, victim.sessions[session]).code == "session-ended"
    assert victim.facts() == before


@pytest.mark.parametrize("bar", BARS)
def test_both_logins_refuse_the_right_secret_on_every_surface(victims: dict[str, Victim], bar: str) -> None:
    assert victims[bar].answer_to_the_right_secret() == {CODES[bar]}


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize(("row", "role"), CELLS, ids=[f"{row.operation_id}-{role}" for row, role in CELLS])
def test_strangers_and_machines_are_refused_on_every_route_but_those_that_are_let_be(
    client: Client, victims: dict[str, Victim], row: Operation, role: str, bar: str
) -> None:
    if row.operation_id not in LET_BE:
        login = by_card(victims[bar].person.number) if row.operation_id == "openSession" else {}
        assert victims[bar].asks(row, role, **login).code in REFUSALS
        return
    victim = Victim.of(client).barred(bar) if row.operation_id in NEW_SECRETS else victims[bar]
    body = completion(victim) if row.operation_id == "completePasswordReset" else {}
    before = victim.facts()

    assert victim.asks(row, role, **body).status == row.status

    brought = victim.facts()[len(before) :]
    if row.operation_id == "resetPin":
        assert brought == ["card.pin-reset"]
        old, new = (client.post("/v1/sessions", None, by_card(victim.person.number, pin)).code for pin in
                    (WRONG_PIN, NEW_PIN))  # fmt: skip
        assert (old, new) == ("bad-credentials", "card-stopped" if bar == "stopped" else "201")
        return
    assert set(brought) <= (OF_A_REPAYMENT if row.operation_id == "takeRepayment" else set())
    assert client.post("/v1/sessions", None, by_card(victim.person.number)).code == CODES[bar]


def completion(victim: Victim) -> dict[str, str]:
    victim.client.done(f"/v1/members/{victim.person.member_id}/password-reset-mails", "counter")
    return {"token": reset_token(victim.client, victim.person), "new_password": NEW_PASSWORD}


def test_what_is_let_be_is_a_route_that_somebody_at_large_may_ask_for() -> None:
    assert set(LET_BE) == {row.operation_id for row, _ in CELLS} & set(LET_BE)
    assert {row.operation_id for row, _ in CELLS} - set(LET_BE) == {"openSession", "issueCard"}


@pytest.mark.parametrize("known", [True, False], ids=["right secret", "wrong secret"])
def test_a_wrong_pin_is_answered_alike_for_a_card_in_use_a_stopped_a_suspended_and_no_card(
    client: Client, known: bool
) -> None:
    people = {name: with_card(client) for name in ("in use", "stopped", "suspended")}
    client.done(f"/v1/cards/{people['stopped'].card_id}/stops", "credit", {"reason": "fraud"})
    client.done(f"/v1/cards/{people['suspended'].card_id}/suspensions", "credit", {"reason": "unreachable"})
    numbers = {name: person.number for name, person in people.items()}
    if known:  # only who knows the secret learns what the card is
        told = {name: client.post("/v1/sessions", None, by_card(number)) for name, number in numbers.items()}
        outcomes = {name: reply.body.get("outcome", reply.body.get("code")) for name, reply in told.items()}
        assert outcomes == {"in use": "ok", "stopped": "card-stopped", "suspended": "ok-restricted"}
        return
    for _ in range(4):  # the third locks, or says so
        answers = set()
        for number in (*numbers.values(), f"6{numbers['in use'][:0:-1]}"):
            reply = client.post("/v1/sessions", None, by_card(number, WRONG_PIN))
            answers.add((reply.status, json.dumps({**reply.body, "instance": ""}), *sorted(reply.headers)))
        assert len(answers) == 1


# Staff, and time ------------------------------------------------------------------------------------------------------


def test_no_operation_in_any_role_opens_a_locked_card_but_a_new_pin(client: Client) -> None:
    victim = Victim.of(client)
    victim.barred("stopped").barred("locked")
    for row in (row for row in ROWS.values() if row.operation_id not in ("resetPin", "readMetrics")):
        for role in sorted(row.roles):
            reply = victim.asks(row, victim.sessions["card"] if role == "member" else role)
            assert reply.status < 500, (row.operation_id, role, reply.body)
    client.done(f"/v1/cards/{victim.person.card_id}/stops/{victim.ids['stop_id']}/lifting-requests", "credit",
                {"check_ref": "c"})  # fmt: skip
    lifted = f"/v1/cards/{victim.person.card_id}/stops/{victim.ids['stop_id']}/lifting-approvals"
    client.done(lifted, "credit:another")
    client.go_to(client.now().date() + timedelta(days=3_653))

    assert client.post("/v1/sessions", None, by_card(victim.person.number)).code == "card-locked"
    behind = victim.facts()[victim.facts().index("card.card-locked") :]
    assert "card.stop-lifted" in behind
    assert not {"card.pin-reset", "card.login-succeeded", "card.login-failed"} & set(behind)

    client.done(f"/v1/cards/{victim.person.card_id}/pin-resets", "counter", new_pin(client, NEW_PIN))
    stopped_for_loss = client.post("/v1/sessions", None, by_card(victim.person.number, NEW_PIN))
    assert stopped_for_loss.code == "card-stopped"  # the stops that the roles above set stand on their own


# What a stranger can bring about --------------------------------------------------------------------------------------

EVENTS_OF_A_CARD = {"card.login-failed": 3, "card.card-locked": 1}
EVENTS_OF_A_MEMBER = {"member.login-failed": 10, "member.web-login-locked": 1}


def strangers_do_what_they_can(client: Client, victim: Victim) -> None:
    """Every open route with its example, and guesses at PIN and password; 20 minutes pass."""
    for _ in range(20):
        for row in (row for row in ROWS.values() if row.public):
            guessed = {"birth_date": "1970-01-01"} if row.operation_id == "requestPasswordReset" else {}
            victim.asks(row, ANONYMOUS, **guessed)
        for body in (by_card(victim.person.number, WRONG_PIN), by_web(victim.person.web_id, WRONG_PASSWORD)):
            client.post("/v1/sessions", None, body)
            client.post("/v1/sessions", "atm", body)
        now = client.now() + timedelta(minutes=1)
        assert client.ask("PUT", "/v1/sandbox/clock", "operator", {"now": now.isoformat()}).status == 200


def test_what_strangers_bring_about_until_a_human_acts_is_4_events_of_a_card_and_11_of_a_web_login(
    client: Client,
) -> None:
    victim = Victim.of(client)

    def log() -> Counter[str]:
        return Counter(rows(client.dsn, "select topic from ledger_events"))

    before = log()
    strangers_do_what_they_can(client, victim)
    assert log() - before == Counter(EVENTS_OF_A_CARD | EVENTS_OF_A_MEMBER)

    locked = log()
    strangers_do_what_they_can(client, victim)
    assert log() == locked
