"""The metrics: each that is documented is there, and moves when that happens which it tells of."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import psycopg
import pytest
from conftest import NewDatabase
from ledgers import BANK, KEYS, borrowed, enrolled, holder, opened, order, project, rows, with_ledgers
from people import by_card, logged_in, with_card
from prometheus_client.parser import text_string_to_metric_families
from serving import Client, served

from api.meters import LedgerMeters, registered
from ledger.application import Ledger
from ledger.meters import Histogram, LaneMeters, ProjectorMeters
from ledger.refusals import BadCredentials, Busy, TooManyRequests
from ledger.store.hashing import HashRoom
from ledger.store.throttle import FAILURES_IN_TEN_MINUTES, SourceThrottle

OPERATING = Path(__file__).parents[1] / "docs" / "operating.md"
DOCUMENTED = re.compile(r"^\| `(cardledger_\w+)(?:\{[\w, ]+\})?` \|", re.MULTILINE)
OF_REQUESTS = {"operation", "status"}
LABELS = {*OF_REQUESTS, "clash", "room", "wait", "read_model", "le"}
"""Every label there may be; their values are names from the code."""


@pytest.fixture(scope="module")
def server(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with new_database("meters") as dsn, served(dsn, tmp_path_factory.mktemp("meters")) as client:
        yield client


def scraped(client: Client) -> dict[str, float]:
    """Every sample by its name; those that differ by a label are added up."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text(client)):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def text(client: Client) -> str:
    connection = HTTPConnection("127.0.0.1", client.port, timeout=30)
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {client.token('operator')}"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_every_metric_is_documented_and_every_documented_one_is_there(server: Client) -> None:
    with_card(server)
    told = text(server)
    there = set(re.findall(r"^# TYPE (cardledger_\w+) ", told, re.MULTILINE))
    there = {name for name in there if not name.endswith("_created")}
    documented = set(DOCUMENTED.findall(OPERATING.read_text()))

    assert documented == there | {"cardledger_throttle_refusals_total"}, "a sandbox throttles nobody"


def test_every_metric_has_a_help_and_only_labels_that_are_bounded(server: Client) -> None:
    families = [each for each in text_string_to_metric_families(text(server)) if each.name.startswith("cardledger")]

    assert [family.name for family in families if not family.documentation] == []
    assert {label for family in families for sample in family.samples for label in sample.labels} <= LABELS


def test_what_an_act_and_a_login_do_is_seen(server: Client) -> None:
    before = scraped(server)
    person = with_card(server)
    logged_in(server, by_card(person.number))
    server.read(f"/v1/cards/{person.card_id}/balance")
    after = scraped(server)

    moved = {name for name, value in after.items() if value > before.get(name, 0.0)}
    assert moved >= {
        "cardledger_lane_batch_acts_count",
        "cardledger_lane_batch_acts_sum",
        "cardledger_lane_commit_seconds_count",
        "cardledger_lane_commit_seconds_sum",
        "cardledger_lane_wait_seconds_count",
        "cardledger_hash_wait_seconds_count",
        "cardledger_pool_requests_total",
        "cardledger_projector_page_events_sum",
        "cardledger_projector_page_seconds_count",
        "cardledger_projection_position",
        "cardledger_http_requests_total",
        "cardledger_http_request_seconds_count",
    }
    assert after["cardledger_database_up"] == 1


async def told_by(ledger: Ledger, throttle: SourceThrottle | None = None) -> dict[str, float]:
    """What the ledger's meters tell now, by sample and label."""
    meters = LedgerMeters(ledger, ProjectorMeters(), throttle)
    await meters.ask()
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in registered(meters).collect()
        for sample in family.samples
    }


def test_a_caller_who_finds_no_room_is_counted_by_the_room(database_url: str) -> None:
    async def story() -> dict[str, float]:
        async with opened(database_url, queue_max=0) as ledger:
            with pytest.raises(Busy):
                await enrolled(ledger)
            ledger.room = HashRoom(ledger.room.vault, wait_seconds_max=-1)
            with pytest.raises(Busy):
                await ledger.room.run(lambda: None)
            return await told_by(ledger)

    told = asyncio.run(story())
    assert (told["cardledger_busy_total lane"], told["cardledger_busy_total hashing"]) == (1, 1)


def test_two_processes_on_one_card_are_seen_to_clash(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> dict[str, float]:
        card = await holder(one)
        await borrowed(one, card, 30_000)
        async with asyncio.timeout(20):
            while not one.lane.meters.clashes["stale"]:
                await asyncio.gather(
                    *(each.repay(order(BANK), card.card_id, 1, "bank-transfer", None) for each in (one, other) * 10)
                )
        return await told_by(one)

    assert with_ledgers(database_url, story, 2)["cardledger_lane_clashes_total stale"] >= 1


def test_a_read_model_that_lags_and_one_that_has_stopped_are_seen(database_url: str) -> None:
    async def story(ledger: Ledger) -> dict[str, float]:
        await holder(ledger)
        await project(database_url)
        shown = rows(database_url, "select max(notification_id) from ledger_events")[0]
        await holder(ledger)
        rows(database_url, "update projections set state = 'failed' where name = 'journal'")
        told = await told_by(ledger)
        assert told["cardledger_projection_position balances"] == shown
        return told

    told = with_ledgers(database_url, story)
    behind = rows(
        database_url, "select (select max(notification_id) from ledger_events) - min(position) from projections"
    )
    assert told["cardledger_projection_lag_events balances"] == behind[0] > 0
    assert told["cardledger_projection_lag_seconds balances"] >= 0
    assert (told["cardledger_projection_stopped journal"], told["cardledger_projection_stopped balances"]) == (1, 0)


def test_who_waits_for_a_connection_is_seen(database_url: str) -> None:
    async def story(ledger: Ledger) -> tuple[dict[str, float], dict[str, float]]:
        before = await told_by(ledger)
        taken = [await ledger.pool.getconn() for _ in range(ledger.pool.max_size)]
        waiting = asyncio.create_task(ledger.pool.getconn())
        await asyncio.sleep(0.05)
        for connection in taken:
            await ledger.pool.putconn(connection)
        await ledger.pool.putconn(await waiting)
        return before, await told_by(ledger)

    before, told = with_ledgers(database_url, story)
    assert told["cardledger_pool_waits_total"] > before["cardledger_pool_waits_total"]
    assert told["cardledger_pool_wait_seconds_total"] > before["cardledger_pool_wait_seconds_total"]


def test_a_refusal_of_a_place_is_seen(database_url: str) -> None:
    async def story(ledger: Ledger) -> dict[str, float]:
        throttle = SourceThrottle(ledger.pool, KEYS)
        for _ in range(FAILURES_IN_TEN_MINUTES + 1):
            with contextlib.suppress(BadCredentials, TooManyRequests):
                async with throttle.counting("192.0.2.7", BadCredentials):
                    raise BadCredentials
        return await told_by(ledger, throttle)

    assert with_ledgers(database_url, story)["cardledger_throttle_refusals_total"] == 1


def test_metrics_are_told_while_the_database_is_away(database_url: str) -> None:
    async def story(ledger: Ledger) -> tuple[dict[str, float], dict[str, float]]:
        before = await told_by(ledger)
        await ledger.pool.close()
        return before, await told_by(ledger)

    before, told = with_ledgers(database_url, story)
    assert (before["cardledger_database_up"], told["cardledger_database_up"]) == (1, 0)
    assert told["cardledger_lane_waiting_acts"] == 0


def test_a_histogram_counts_each_value_in_the_first_bound_that_holds_it() -> None:
    histogram = Histogram((1, 10))
    for value in (0, 1, 2, 10, 11):
        histogram.add(value)

    assert histogram.counts == [2, 2, 1]
    assert histogram.total == 24


def test_a_record_call_that_fails_is_no_commit() -> None:
    async def fails() -> None:
        raise psycopg.OperationalError

    meters = LaneMeters()
    with pytest.raises(psycopg.OperationalError):
        asyncio.run(meters.recording(3, fails()))
    assert (sum(meters.commit_seconds.counts), sum(meters.batch_acts.counts)) == (0, 0)
