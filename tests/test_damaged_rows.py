"""A row of a vault that was changed behind the program: nobody is let in, and the operator is told which row it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import NewDatabase
from ledgers import rows
from people import PASSWORD, PIN, Person, by_card, by_web, logged_in, with_card, with_web_id
from serving import Client, served

CHANGES = {
    "a bit of it": "update credentials set verifier = set_byte(verifier, 20, 255 - get_byte(verifier, 20))",
    "all of it": "update credentials set verifier = ''",
    "its generation": "update credentials set generation = generation + 1",
    "its key": "update credentials set key_id = 'k9'",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@pytest.fixture(scope="module")
def server(new_database: NewDatabase, folder: Path) -> Iterator[Client]:
    with new_database("damaged") as dsn, served(dsn, folder) as client:
        yield client


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_verifier_lets_nobody_in_and_the_log_names_its_owner(
    server: Client, folder: Path, change: str
) -> None:
    person, another = with_web_id(server), with_card(server)
    rows(server.dsn, f"{CHANGES[change]} where owner in (%s, %s)", person.card, person.member)
    before = rows(server.dsn, "select max(notification_id) from ledger_events")

    told = [server.post("/v1/sessions", None, body) for body in (by_card(person.number), by_web(person.web_id))]

    assert {(reply.status, reply.code, reply.body["remedy"]["code"]) for reply in told} == {
        (500, "system-error", "call-centre")
    }
    assert rows(server.dsn, "select max(notification_id) from ledger_events") == before
    assert logged_in(server, by_card(another.number))
    assert [fault["which"] for fault in faults(folder, person)] == [
        {"verifier": "pin", "owner": person.card_id},
        {"verifier": "password", "owner": person.member_id},
    ]
    output = (folder / "output.log").read_text()
    assert not [secret for secret in (person.number, f'"{PIN}"', PASSWORD, person.web_id) if secret in output]


def faults(folder: Path, person: Person) -> list[dict[str, dict[str, str]]]:
    """The log lines of damaged verifiers of the person's."""
    lines = [json.loads(line) for line in (folder / "output.log").read_text().splitlines() if line.startswith("{")]
    damaged = [line for line in lines if line["event"] == "fault" and line["kind"] == "VerifierDamaged"]
    return [line for line in damaged if line["which"]["owner"] in (person.card_id, person.member_id)]
