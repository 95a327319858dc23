"""What the library does wrong, and the path beside it: a test for each defect that no other file has one for.

The table of all of them, with the hazards of the lane, is docs/decisions/0012-what-can-go-wrong-on-the-path.md.
"""

from __future__ import annotations

import asyncio
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from uuid import uuid4

import pytest
from eventsourcing.persistence import StoredEvent
from ledgers import BANK, borrowed, holder, opened, project, rows, terminate_backends, until, with_ledgers
from psycopg_pool import PoolTimeout
from serving import Client, free_port, ready, started

from ledger.application import Ledger
from ledger.projections.freshness import Freshness
from ledger.projections.projector import READ_MODELS, Projector
from ledger.store import schema
from ledger.store.keys import Keyring

ROOT = Path(__file__).parents[1]
USED = {
    "eventsourcing.application", "eventsourcing.domain", "eventsourcing.persistence", "eventsourcing.postgres",
}  # fmt: skip
"""No runner, no subscription, no consistency boundary: nothing here rests on what they lose or do not support."""
FUNCTIONS = "select proname from pg_proc where pronamespace = 'public'::regnamespace order by 1"


def test_every_hazard_on_record_has_the_test_that_is_named() -> None:
    table = (ROOT / "docs" / "decisions" / "0012-what-can-go-wrong-on-the-path.md").read_text()
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", table)
    missing = [
        (file, test)
        for file, test in named
        if not re.search(rf"^ *(?:async )?def {test}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)
    ]

    assert len(named) > 25
    assert missing == []


def test_of_the_library_only_the_parts_that_are_relied_on_are_imported() -> None:
    sources = [path for part in ("ledger", "api") for path in (ROOT / part).rglob("*.py") if "bench" not in path.parts]
    imported = {
        found
        for path in sources
        if path != ROOT / "api" / "yardsticks.py"
        for found in re.findall(r"^\s*(?:from|import) (eventsourcing[\w.]*)", path.read_text(), re.MULTILINE)
    }

    assert imported == USED


def test_the_switch_for_the_librarys_own_functions_changes_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take no lock, drop what comes with the events, and one application's write into the table of another."""
    monkeypatch.setenv("POSTGRES_ENABLE_DB_FUNCTIONS", "y")
    before = rows(database_url, FUNCTIONS)

    async def story(ledger: Ledger) -> None:
        event = StoredEvent(uuid4(), 1, "member.enrolled", b"{}")
        assert await asyncio.to_thread(ledger.recorder.insert_events, [event]) == [1]

    with_ledgers(database_url, story)
    assert rows(database_url, FUNCTIONS) == before
    assert rows(database_url, "select count(*) from recorded_batches") == [1], "it went through record_acts"


def test_aggregates_of_the_library_are_not_cached(database_url: str) -> None:
    """Its cache can live-lock, and copies an aggregate while it changes; the lane keeps its own."""

    async def story(ledger: Ledger) -> object:
        return ledger.repository.cache

    assert with_ledgers(database_url, story) is None


def test_processes_that_start_at_one_time_make_the_schema_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(6) as starting:
        list(starting.map(schema.migrate, [empty_database_url] * 6))

    applied = rows(empty_database_url, "select version from schema_migrations order by 1")
    assert applied == sorted(set(applied))
    assert applied[-1] == schema.status(empty_database_url).wanted
    assert rows(empty_database_url, "select count(*) from log_head") == [1]


def test_an_exhausted_pool_is_told_after_one_wait_and_not_hidden_behind_repetitions(database_url: str) -> None:
    async def story(ledger: Ledger) -> dict[str, int]:
        ledger.pool.timeout = 0.05
        taken = [await ledger.pool.getconn() for _ in range(ledger.pool.max_size)]
        before = ledger.pool.get_stats()
        with pytest.raises(PoolTimeout):
            await ledger.directory.card(uuid4())
        after = ledger.pool.get_stats()
        for connection in taken:
            await ledger.pool.putconn(connection)
        return {name: after.get(name, 0) - before.get(name, 0) for name in ("requests_num", "requests_errors")}

    assert with_ledgers(database_url, story) == {"requests_num": 1, "requests_errors": 1}


def test_a_reader_that_waits_hears_again_after_its_connection_was_lost(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        freshness = Freshness(database_url, ledger.pool, ledger.lane.acknowledged)
        await freshness.start()
        try:
            await project(database_url)
            assert await freshness.reached("balances", card.card_id, None, 5)
            terminate_backends(database_url)
            await until(lambda: len(listening(database_url)) == 1)
            await borrowed(ledger, card, 30_000)
            await project(database_url)
            assert await freshness.reached("balances", card.card_id, None, 5)
        finally:
            await freshness.stop()

    with_ledgers(database_url, story)


def listening(dsn: str) -> list[int]:
    """Server processes whose last statement was to listen for what the projector tells, or what followed it."""
    return rows(
        dsn,
        "select pid from pg_stat_activity where datname = current_database() and state = 'idle'"
        " and query in ('listen ledger_projected', 'LISTEN ledger_projected')",
    )


def test_a_follower_that_starts_late_takes_what_others_recorded_before(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> None:
        for ledger in (one, other):
            await holder(ledger, email=f"{uuid4()}@example.com")
        projector = Projector(database_url)
        following = asyncio.create_task(projector.run())
        (head,) = rows(database_url, "select max(notification_id) from ledger_events")
        await until(lambda: rows(database_url, "select position from projections") == [head] * len(READ_MODELS))
        projector.stop()
        await following

    with_ledgers(database_url, story, 2)


def test_a_process_that_is_asked_to_end_answers_what_it_has_taken(empty_database_url: str, tmp_path: Path) -> None:
    schema.migrate(empty_database_url, sandbox=True)
    Keyring.create(tmp_path / "keys.json")
    client = Client(free_port(), empty_database_url)

    async def a_card() -> str:
        async with opened(empty_database_url, Keyring.load(tmp_path / "keys.json")) as ledger:
            card = await holder(ledger)
            await borrowed(ledger, card, 100_000)
            return str(card.card_id)

    path, told = f"/v1/cards/{asyncio.run(a_card())}/repayments", list[str]()
    words = ("serve", "--sandbox", "--port", str(client.port))
    with started(*words, dsn=empty_database_url, keys=tmp_path / "keys.json") as child:
        asyncio.run(until(lambda: ready(client), 60))
        client.token(BANK.role)
        paying = [threading.Thread(target=pay_until_it_ends, args=(client, path, told)) for _ in range(8)]
        for each in paying:
            each.start()
        asyncio.run(until(lambda: len(told) > 40))
        child.send_signal(signal.SIGTERM)
        for each in paying:
            each.join(timeout=60)
        assert child.wait(timeout=60) == 128 + signal.SIGTERM

    recorded = "select convert_from(state, 'UTF8')::jsonb#>>'{data,repayment_id}' from ledger_events where topic = %s"
    assert sorted(told) == sorted(rows(empty_database_url, recorded, "card.repayment-made")), "nobody went unanswered"


def pay_until_it_ends(client: Client, path: str, told: list[str]) -> None:
    """Pay until nobody answers or it is said that the process ends; keeps the id of each answered repayment."""
    while True:
        try:
            reply = client.post(path, BANK.role, {"amount": 1, "method": "bank-transfer"})
        except (OSError, HTTPException):
            return
        if reply.status != 201:
            assert reply.code in {"shutting-down", "busy"}, reply.body
            return
        told.append(str(reply.body["repayment_id"]))
