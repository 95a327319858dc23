"""Secrets and personal facts: after a member's whole life over a real server, none of them is found anywhere.

What must stay true: the search itself is shown to find what is planted, in every form and in every place.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
import structlog
from conftest import NewDatabase
from ledgers import opened, order
from people import by_card, by_web, logged_in, new_pin, with_card
from serving import Client, Reply, served

from ledger.lane import Act, Desk
from ledger.logs import configure
from ledger.projections import projector

CANARIES = {
    "PIN": "7351",
    "second PIN": "8416",
    "third PIN": "6194",
    "wrong PIN": "9527",
    "password": "kanaria-password-one",
    "second password": "kanaria-password-two",
    "third password": "kanaria-password-three",
    "wrong password": "kanaria-password-wrong",
    "Web-ID": "kanaria.web-id",
    "name": "金糸雀花子",
    "kana": "カナリアハナコ",
    "birth date": "1971-03-19",
    "e-mail": "kanaria@birds.example.com",
    "second e-mail": "kanaria.two@birds.example.com",
    "phone": "09083716254",
    "address": "東京都鳥籠区一丁目",
    "workplace": "株式会社止まり木",
    "income": "4831957",
    "proved income": "4917283",
    "other loans": "173911",
    "account": "7462915",
    "holder": "カナリアノコウザ",
    "reason": "鳥籠の中の理由",
}


@dataclass
class Search:
    """What must not be found, under its name; tokens and card numbers join as they are made."""

    secrets: dict[str, str] = field(default_factory=lambda: dict(CANARIES))

    def found_in(self, text: str) -> set[str]:
        """The names of what the text holds, plain, escaped, quoted for a URL, in hexadecimal or in base 64."""
        return {name for name, secret in self.secrets.items() if any(form in text for form in _forms(secret))} | {
            name for name, secret in self.secrets.items() if len(secret) == 4 and _alone(secret).search(text)
        }

    def found_in_rows(self, dsn: str) -> set[str]:
        """What any row of any table holds, in its text and in its bytes."""
        found: set[str] = set()
        with psycopg.connect(dsn, autocommit=True) as connection:
            tables = connection.execute(
                "select quote_ident(table_name) from information_schema.tables where table_schema = 'public'"
            ).fetchall()
            for (table,) in tables:
                for row in connection.execute(f"select * from {table}".encode()):  # noqa: S608
                    for value in row:
                        text = bytes(value).decode("latin-1") if isinstance(value, (bytes, memoryview)) else str(value)
                        found |= self.found_in(text)
                        if isinstance(value, (bytes, memoryview)):
                            found |= self.found_in(bytes(value).decode("utf-8", "replace"))
        return found


def _forms(secret: str) -> Iterator[str]:
    """The spellings of a longer secret; four digits are looked for by themselves, or they would be found anywhere."""
    if len(secret) == 4:
        return
    yield secret
    yield json.dumps(secret)[1:-1]
    yield quote(secret)
    yield secret.encode().hex()
    yield base64.b64encode(secret.encode()).decode().rstrip("=")


def _alone(digits: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![0-9A-Za-z.:+-]){digits}(?![0-9A-Za-z.:-])")


@dataclass
class Life:
    """The run: its search, and everything that the server answered with a problem."""

    client: Client
    search: Search
    problems: list[str] = field(default_factory=list)
    metrics: str = ""

    def refused(self, reply: Reply, code: str) -> None:
        assert reply.code == code, reply.body
        self.problems.append(json.dumps([reply.body, dict(reply.headers)]))


def profile() -> dict[str, Any]:
    told = CANARIES
    return {
        "name": told["name"],
        "kana": told["kana"],
        "birth_date": told["birth date"],
        "email": told["e-mail"],
        "phone": told["phone"],
        "address": told["address"],
        "workplace": "会社",
        "annual_income": int(told["income"]),
        "web_statements": False,
        "payout_account": {
            "bank_code": "0001",
            "branch_code": "001",
            "kind": "ordinary",
            "number": told["account"],
            "holder_kana": told["holder"],
        },
    }


def live(life: Life) -> None:
    """Enrol, get a card, log in both ways, borrow, repay, change everything that can be changed, and fail at it."""
    client, told = life.client, CANARIES
    secrets = life.search.secrets
    member_id = client.done("/v1/members", "counter", profile())["member_id"]
    member = f"/v1/members/{member_id}"
    person = with_card(client, member_id, told["PIN"])
    card = f"/v1/cards/{person.card_id}"
    secrets["card number"] = person.number
    given = {"web_id": told["Web-ID"], "password": told["password"]}
    assert client.ask("PUT", f"{member}/web-credentials", "counter", given).status == 200
    tokens = [
        logged_in(client, by_card(person.number, told["PIN"])),
        logged_in(client, by_web(told["Web-ID"], told["password"])),
    ]
    drawn = client.done(f"{card}/advances", tokens[0], {"amount": 30_000, "purpose": "transfer"}, key="draw")
    client.done(f"{card}/advances/{drawn['advance_id']}/confirmations", "service")
    client.done(f"{card}/repayments", "atm", {"amount": 5_000, "method": "atm"})
    changes = {"email": told["second e-mail"], "workplace": told["workplace"]}
    assert client.ask("PATCH", f"{member}/profile", tokens[0], changes).status == 200
    client.done(
        f"{member}/income-proofs", "counter", {"annual_income": int(told["proved income"]), "issued_on": "2019-12-01"}
    )
    client.done(
        f"{member}/credit-reports", "service", {"others_balance": int(told["other loans"]), "reported_on": "2019-12-20"}
    )
    asked = client.done(f"{member}/limit-change-requests", tokens[0], {"requested_limit": 400_000})
    decision = {"approve": False, "reason": told["reason"]}
    client.done(f"{member}/limit-change-requests/{asked['request_id']}/decisions", "credit", decision)
    birth = {"email": told["second e-mail"], "birth_date": told["birth date"]}
    client.done("/v1/password-resets", None, birth)
    secrets["reset token"] = client.read("/v1/sandbox/outbox", "operator")["data"][0]["token"]
    redemption = {"token": secrets["reset token"], "new_password": told["second password"]}
    assert client.post("/v1/password-resets/completions", None, redemption).status == 204
    tokens.append(logged_in(client, by_web(told["Web-ID"], told["second password"])))
    changed = {**given, "password": told["third password"], "present_password": told["second password"]}
    assert client.ask("PUT", f"{member}/web-credentials", tokens[-1], changed).status == 200
    client.done(f"{card}/pin-resets", "counter", new_pin(client, told["second PIN"]))
    fail(life, card, member, person.number)
    client.done(f"{card}/pin-resets", "contract-machine", new_pin(client, told["third PIN"]))
    tokens.append(logged_in(client, by_card(person.number, told["third PIN"]), "atm"))
    secrets.update({f"session {number}": token for number, token in enumerate(tokens)})
    secrets.update({f"token of {role}": token for role, token in client.tokens.items()})
    life.metrics = metrics(client)


def fail(life: Life, card: str, member: str, number: str) -> None:
    """Every way of being refused with a secret in hand."""
    client, told = life.client, CANARIES
    life.refused(client.post("/v1/sessions", None, {**by_card(number), "pin": int(told["PIN"])}), "input-format")
    life.refused(
        client.post("/v1/sessions", None, {**by_card(number, told["PIN"]), told["password"]: 1}), "input-format"
    )
    life.refused(client.post("/v1/sessions", None, by_card(number[:15], told["second PIN"])), "input-format")
    life.refused(client.post("/v1/sessions", None, by_web(told["Web-ID"], told["wrong password"])), "bad-credentials")
    life.refused(client.post("/v1/sessions", None, {**by_web(told["Web-ID"]), "pin": told["PIN"]}), "bad-credentials")
    life.refused(client.post(f"{card}/pin-resets", "counter", new_pin(client, told["second PIN"])), "pin-refused")
    late = {
        **new_pin(client, told["PIN"]),
        "identity_document": {"kind": "passport", "verified_at": "2019-01-01T00:00:00Z"},
    }
    life.refused(client.post(f"{card}/pin-resets", "counter", late), "document-refused")
    life.refused(client.post("/v1/members", "counter", {**profile(), told["name"]: told["reason"]}), "input-format")
    life.refused(client.post("/v1/members", "counter", {**profile(), "phone": told["e-mail"]}), "input-format")
    spent = {"token": life.search.secrets["reset token"], "new_password": told["third password"]}
    life.refused(client.post("/v1/password-resets/completions", None, spent), "reset-token-spent")
    life.refused(client.ask("GET", f"{member}?name={quote(told['name'])}", "counter"), "input-format")
    life.refused(client.ask("GET", f"/v1/{quote(told['Web-ID'])}", "counter"), "not-found")
    life.refused(
        client.ask("GET", member, "counter", None, Idempotency_Key=told["password"], Prefer=told["Web-ID"]), "200"
    )
    life.refused(client.ask("GET", f"{card}/transactions?cursor={told['password']}", "counter"), "cursor-invalid")
    for pin in ("wrong PIN", "wrong PIN"):
        life.refused(client.post("/v1/sessions", None, by_card(number, told[pin])), "bad-credentials")
    life.refused(client.post("/v1/sessions", "atm", by_card(number, told["wrong PIN"])), "card-locked")
    life.refused(client.post("/v1/sessions", None, by_card(number, told["second PIN"])), "card-locked")


def metrics(client: Client) -> str:
    connection = HTTPConnection("127.0.0.1", client.port)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {client.token('operator')}"})
    text = connection.getresponse().read().decode()
    connection.close()
    assert "cardledger_http_requests" in text
    return text


@pytest.fixture(scope="module")
def lived(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Life, str]]:
    """The life, and what its server wrote on standard output and error at its most talkative."""
    folder = tmp_path_factory.mktemp("secrets")
    with new_database("secrets") as dsn:
        with served(dsn, folder, CARDLEDGER_LOG_LEVEL="debug") as client:
            life = Life(client, Search())
            live(life)
        yield life, (folder / "output.log").read_text()


def test_no_row_of_any_table_holds_a_secret_or_a_personal_fact(lived: tuple[Life, str]) -> None:
    life, _ = lived

    assert life.search.found_in_rows(life.client.dsn) == set()


def test_no_line_of_the_log_holds_one(lived: tuple[Life, str]) -> None:
    life, log = lived

    assert log.count('"event":"request"') > 40
    assert life.search.found_in(log) == set()


def test_no_problem_and_no_metric_holds_one(lived: tuple[Life, str]) -> None:
    life, _ = lived
    # What a GET that succeeds tells is the point of the GET; it is here for its headers.
    problems = [text for text in life.problems if '"code"' in text]

    assert len(problems) > 15
    assert life.search.found_in("\n".join(problems)) == set()
    assert life.search.found_in(life.metrics) == set()


@pytest.mark.parametrize("name", CANARIES)
def test_the_search_finds_what_stands_in_a_log(lived: tuple[Life, str], name: str) -> None:
    life, log = lived
    secret = CANARIES[name]
    for planted in (secret, json.dumps({"x": secret}), f"name={secret}&x", f"'{secret}'"):
        assert life.search.found_in(f"{log}\n{planted}\n") == {name}


@pytest.mark.parametrize("as_bytes", [True, False], ids=["in bytes", "in text"])
def test_the_search_finds_what_stands_in_a_table(lived: tuple[Life, str], as_bytes: bool) -> None:
    life, _ = lived
    leak = json.dumps(CANARIES, ensure_ascii=False)
    with psycopg.connect(life.client.dsn, autocommit=True) as connection:
        connection.execute(
            "insert into idempotency (subject, key, fingerprint, position, body, recorded_at)"
            " values ('planted', %s, ''::bytea, 1, %s, now())",
            ("key" if as_bytes else leak[:1000], leak.encode() if as_bytes else b""),
        )
        try:
            assert life.search.found_in_rows(life.client.dsn) == set(CANARIES)
        finally:
            connection.execute("delete from idempotency where subject = 'planted'")


@pytest.mark.parametrize("spell", [str, json.dumps, quote, lambda text: text.encode().hex(),
                                   lambda text: base64.b64encode(text.encode()).decode()])  # fmt: skip
def test_the_search_knows_the_other_spellings(spell: Any) -> None:
    search = Search({"name": "金糸雀花子", "password": "KANARIA-PASSWORD"})

    assert search.found_in(f"…{spell('金糸雀花子')}…{spell('kanaria-password'.upper())}…") == {"name", "password"}


@pytest.mark.parametrize("configured", [False, True], ids=["as a library", "as a server"])
def test_a_defect_in_a_decision_is_logged_without_what_was_being_decided(
    database_url: str, capfd: pytest.CaptureFixture[str], configured: bool
) -> None:
    if configured:
        configure("debug")

    async def story() -> None:
        async with opened(database_url) as ledger:

            def decide(_: Desk) -> dict[str, Any]:
                pin, password = CANARIES["PIN"], CANARIES["password"]
                raise ValueError(f"{pin} and {password} do not go together")

            with pytest.raises(ValueError, match="go together"):
                await ledger.lane.execute(Act(order(), (uuid4(),), decide))

    try:
        asyncio.run(story())
    finally:
        structlog.reset_defaults()
    out, err = capfd.readouterr()
    assert "lane.defect" in out + err
    assert Search().found_in(out + err) == set()


def test_a_poison_event_is_logged_without_what_it_held(database_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    class Poisoned:
        name = "balances"

        async def apply(self, *_: object) -> None:
            secret = CANARIES["name"]
            raise ValueError(secret)

    async def story() -> None:
        async with opened(database_url) as ledger:
            await ledger.enrol_member(order(), profile())
        following = projector.Projector(database_url)
        following._read_models = {"balances": Poisoned()}  # type: ignore[assignment, dict-item]  # noqa: SLF001
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute("insert into projections (name) values ('balances')")
            await following.step(connection)

    asyncio.run(story())
    out, err = capfd.readouterr()
    assert "projector.poison" in out + err
    assert Search().found_in(out + err) == set()
    assert Search().found_in_rows(database_url) == set()
