"""As of an instant, a read answers what it answered at that instant."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from people import WRONG_PASSWORD, Person, by_card, by_web, logged_in, with_web_id
from serving import Client, served

READS = (
    "balance", "lockout", "transactions", "explanation?of=principal", "explanation?of=interest",
    "explanation?of=late_damages", "explanation?of=lockout",
)  # fmt: skip


def told(client: Client, person: Person, more: str = "") -> dict[str, Any]:
    """What every read of the card answers."""
    return {
        read: client.read(f"/v1/cards/{person.card_id}/{read}{'&' if '?' in read else '?'}{more}".rstrip("&?"))
        for read in READS
    }


def test_as_of_an_instant_between_two_facts_a_read_answers_what_it_answered_then(
    empty_database_url: str, tmp_path: Path
) -> None:
    with served(empty_database_url, tmp_path) as client:
        person = with_web_id(client, web_statements=False)
        card = f"/v1/cards/{person.card_id}"
        draw = {"amount": 300_000, "purpose": "transfer"}
        drawn = client.done(f"{card}/advances", logged_in(client, by_card(person.number)), draw)
        client.done(f"{card}/advances/{drawn['advance_id']}/confirmations", "service")
        for _ in range(5):
            client.post("/v1/sessions", None, by_web(person.web_id, WRONG_PASSWORD))
        answers = {}
        for day in (date(2020, 1, 20), date(2020, 2, 20)):
            client.go_to(day)
            answers[client.now().isoformat().replace("+", "%2B")] = told(client, person)
        client.done(f"{card}/repayments", "service", {"amount": 5_000, "method": "bank-transfer"})
        client.go_to(date(2020, 3, 3))

        again = {instant: told(client, person, f"as_of={instant}") for instant in answers}

    assert again == answers
    interest = [each["balance"]["interest"] for each in answers.values()]
    assert 0 < interest[0] < interest[1]


def test_as_of_an_instant_to_come_a_read_answers_what_it_answers_now(empty_database_url: str, tmp_path: Path) -> None:
    with served(empty_database_url, tmp_path) as client:
        person = with_web_id(client)

        assert told(client, person, "as_of=2100-01-01T00:00:00Z") == told(client, person)
