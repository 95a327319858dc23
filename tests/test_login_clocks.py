"""Two servers on one database whose own clocks are months apart: logins go by the business clock, the database's.

What must stay true: the clock of a server is moved for its whole process, before anything of the program runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

import pytest
from conftest import NewDatabase
from ledgers import rows, topics
from people import (
    NEW_PIN,
    PASSWORD,
    PIN,
    WRONG_PASSWORD,
    WRONG_PIN,
    by_card,
    by_web,
    logged_in,
    new_pin,
    with_card,
    with_web_id,
)
from serving import Client, answering

from ledger.store import schema
from ledger.store.keys import Keyring

MOVED = """
import datetime, time_machine
time_machine.travel(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days={days}), tick=True).start()
"""
DAYS = 40
"""More than the window of thirty, and more than any session, wait or token lives."""


@dataclass(frozen=True)
class Servers:
    ahead: Client
    behind: Client
    log: Path

    @property
    def both(self) -> tuple[Client, Client]:
        return self.ahead, self.behind

    def later(self, **by: float) -> None:
        target = self.ahead.now() + timedelta(**by)
        assert self.ahead.ask("PUT", "/v1/sandbox/clock", "operator", {"now": target.isoformat()}).status == 200

    def by_turns(self, number: str, pins: list[str]) -> list[str]:
        tries = zip(cycle(self.both), pins, strict=False)
        return [client.post("/v1/sessions", None, by_card(number, pin)).code for client, pin in tries]


@contextmanager
def with_its_clock_moved(dsn: str, folder: Path, days: int) -> Iterator[Client]:
    place = folder / f"moved{days}"
    place.mkdir()
    (place / "sitecustomize.py").write_text(MOVED.format(days=days))
    with answering("--sandbox", dsn=dsn, keys=folder / "keys.json", PYTHONPATH=str(place)) as client:
        yield client


@pytest.fixture(scope="module")
def servers(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("clocks")
    with new_database("clocks") as dsn:
        schema.migrate(dsn, sandbox=True)
        Keyring.create(folder / "keys.json")
        with (
            with_its_clock_moved(dsn, folder, DAYS) as ahead,
            with_its_clock_moved(dsn, folder, -DAYS) as behind,
        ):
            yield Servers(ahead, behind, folder / "output.log")


def test_the_own_clocks_of_the_servers_are_apart_and_their_business_clock_is_one(servers: Servers) -> None:
    lines = [json.loads(line) for line in servers.log.read_text().splitlines() if line.startswith("{")]
    apart = {
        round((datetime.fromisoformat(line["timestamp"]) - datetime.now(UTC)) / timedelta(days=1)) for line in lines
    }
    times = [client.now() for client in (*servers.both, servers.ahead)]

    assert apart == {DAYS, -DAYS}
    assert times == sorted(times)


def test_three_wrong_pins_by_turns_lock_the_card_at_the_business_time(servers: Servers) -> None:
    person = with_card(servers.ahead)
    began = servers.behind.now()

    assert servers.by_turns(person.number, [WRONG_PIN] * 5) == ["bad-credentials"] * 2 + ["card-locked"] * 3

    ended = servers.ahead.now()
    query = "select state, recorded_at from ledger_events where originator_id = %s order by originator_version"
    (_, issued), *facts = rows(servers.ahead.dsn, query, person.card)
    assert topics(servers.ahead.dsn, person.card)[1:] == ["card.login-failed"] * 3 + ["card.card-locked"]
    times = [datetime.fromisoformat(json.loads(bytes(state))["at"]) for state, _ in facts]
    assert began <= times[0]
    assert times == sorted(times)
    assert times[-1] <= ended
    assert [issued, *(at for _, at in facts)] == sorted([issued, *(at for _, at in facts)])


def test_ten_wrong_pins_are_ten_in_thirty_days_whichever_server_counts_them(servers: Servers) -> None:
    person = with_card(servers.behind)

    answers = servers.by_turns(person.number, [WRONG_PIN, WRONG_PIN, PIN] * 4 + [WRONG_PIN] * 2)

    assert answers == ["bad-credentials", "bad-credentials", "201"] * 4 + ["bad-credentials", "card-locked"]


def test_what_happened_before_the_window_of_the_business_clock_has_passed_on_both(servers: Servers) -> None:
    person = with_card(servers.behind)
    servers.by_turns(person.number, [WRONG_PIN, WRONG_PIN, PIN] * 4)
    servers.later(days=30)

    answers = servers.by_turns(person.number, [WRONG_PIN, WRONG_PIN, PIN] * 2)

    assert answers == ["bad-credentials", "bad-credentials", "201"] * 2


def test_no_server_that_is_ahead_lifts_a_lock_and_none_that_is_behind_misses_it(servers: Servers) -> None:
    person = with_card(servers.ahead)
    servers.by_turns(person.number, [WRONG_PIN] * 3)
    for _ in range(2):
        assert servers.by_turns(person.number, [PIN] * 2) == ["card-locked"] * 2
        servers.later(days=4000)

    servers.behind.done(f"/v1/cards/{person.card_id}/pin-resets", "counter", new_pin(servers.ahead, NEW_PIN))
    assert servers.by_turns(person.number, [NEW_PIN] * 2) == ["201"] * 2


def test_sessions_and_waits_are_as_long_on_both(servers: Servers) -> None:
    person = with_web_id(servers.ahead)
    tokens = [logged_in(client, by_card(person.number)) for client in servers.both]
    assert {client.get("/v1/sessions", token).status for client in servers.both for token in tokens} == {200}
    servers.later(minutes=15)
    assert {client.get("/v1/sessions", token).code for client in servers.both for token in tokens} == {"session-ended"}

    def tries(password: str) -> list[str]:
        return [each.post("/v1/sessions", None, by_web(person.web_id, password)).code for each in servers.both]

    assert [*tries(WRONG_PASSWORD), *tries(WRONG_PASSWORD), tries(WRONG_PASSWORD)[0]] == ["bad-credentials"] * 5
    assert tries(PASSWORD) == ["login-wait"] * 2
    servers.later(seconds=30)
    assert tries(PASSWORD) == ["201"] * 2
