"""The throttle by source: who fails too often from one place waits, whoever he says he is."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from conftest import NewDatabase
from ledgers import KEYS, rows, with_ledgers
from people import PIN, WRONG_PIN, by_card, by_web, logged_in, with_card
from serving import Client, Reply, answering, served

from ledger.application import Ledger
from ledger.refusals import BadCredentials, Refusal, TooManyRequests
from ledger.store import schema
from ledger.store.housekeeping import sweep
from ledger.store.keys import Keyring
from ledger.store.throttle import FAILURES_IN_A_DAY, FAILURES_IN_TEN_MINUTES, SourceThrottle, source_of

_numbers = count(1)


@contextmanager
def real_server(dsn: str, folder: Path, **environment: str) -> Iterator[Client]:
    """A server of a real ledger, where the throttle is on."""
    schema.migrate(dsn, sandbox=False)
    Keyring.create(folder / "keys.json")
    with answering(dsn=dsn, keys=folder / "keys.json", CARDLEDGER_TEST_HASH_COST="false", **environment) as client:
        yield client


@pytest.fixture(scope="module")
def behind_one_proxy(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("proxy")
    with new_database("proxy") as dsn, real_server(dsn, folder, CARDLEDGER_PROXIES="1") as client:
        yield client


def fails(server: Client, **headers: str) -> Reply:
    """A login with a card number that is nobody's."""
    return server.post("/v1/sessions", None, by_card(f"7{next(_numbers):015}", WRONG_PIN), **headers)


def test_who_failed_ten_times_waits_whatever_he_knows(empty_database_url: str, tmp_path: Path) -> None:
    with real_server(empty_database_url, tmp_path) as server:
        person = with_card(server)
        for _ in range(3):  # neither a success nor what is malformed or mixed up by the client counts as a failure
            logged_in(server, by_card(person.number))
            assert server.post("/v1/sessions", None, by_card(person.number, "12345")).code == "input-format"
        failed = [fails(server, X_Forwarded_For=f"198.51.100.{n}").code for n in range(FAILURES_IN_TEN_MINUTES)]
        assert failed == ["bad-credentials"] * FAILURES_IN_TEN_MINUTES
        events = rows(empty_database_url, "select count(*) from ledger_events")
        tried = rows(empty_database_url, "select count(*) from unknown_numbers")

        refused = [
            server.post("/v1/sessions", None, body, X_Forwarded_For=f"203.0.113.{n}")
            for n, body in enumerate((by_card(person.number), by_card(person.number, WRONG_PIN), by_card("7" * 16, PIN),
                                      by_web("some.body")))
        ]  # fmt: skip

        assert {reply.code for reply in refused} == {"too-many-requests"}
        assert all(1 <= int(reply.headers["retry-after"]) <= 600 for reply in refused)
        assert rows(empty_database_url, "select count(*) from ledger_events") == events
        assert rows(empty_database_url, "select count(*) from unknown_numbers") == tried
        # A machine logs many members in from one place; it has a token that can be taken from it.
        assert logged_in(server, by_card(person.number), "atm")


def test_only_what_the_proxy_in_front_appended_is_believed(behind_one_proxy: Client) -> None:
    server = behind_one_proxy
    for number in range(FAILURES_IN_TEN_MINUTES):
        fails(server, X_Forwarded_For=f"198.51.100.{number}, 203.0.113.9")

    assert fails(server, X_Forwarded_For="192.0.2.1, 203.0.113.9").code == "too-many-requests"
    assert fails(server, X_Forwarded_For="203.0.113.9").code == "too-many-requests"
    assert fails(server, X_Forwarded_For="203.0.113.9, 203.0.113.10").code == "bad-credentials"


def test_an_ipv6_source_is_its_network(behind_one_proxy: Client) -> None:
    server = behind_one_proxy
    for number in range(FAILURES_IN_TEN_MINUTES):
        fails(server, X_Forwarded_For=f"2001:db8:0:7::{number:x}")

    assert fails(server, X_Forwarded_For="2001:db8:0:7:ffff::1").code == "too-many-requests"
    assert fails(server, X_Forwarded_For="2001:db8:0:8::1").code == "bad-credentials"


def test_what_is_no_address_is_one_source_and_no_defect(behind_one_proxy: Client) -> None:
    told = [
        fails(behind_one_proxy, X_Forwarded_For=text).code for text in ("unknown", "x" * 500, "' or 1=1", "", "::%a")
    ]

    assert set(told) == {"bad-credentials"}


def test_no_address_is_kept(behind_one_proxy: Client) -> None:
    kept = rows(behind_one_proxy.dsn, "select source_index from login_sources")

    assert len(kept) > 20
    assert {len(bytes(index)) for index in kept} == {32}


def test_a_sandbox_throttles_nobody(empty_database_url: str, tmp_path: Path) -> None:
    with served(empty_database_url, tmp_path) as server:
        told = {fails(server).code for _ in range(FAILURES_IN_A_DAY + 5)}

    assert told == {"bad-credentials"}


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("192.0.2.7:443", "unknown"),
        ("", "unknown"),
    ],
)
def test_a_source_is_what_one_party_holds(address: str, source: str) -> None:
    assert source_of(address) == source


def throttled(dsn: str, story: Callable[..., Awaitable[None]], processes: int = 1) -> None:
    """Run the story with throttles, each of a ledger of its own on the database."""

    async def throttles(*ledgers: Ledger) -> None:
        await story(*(SourceThrottle(ledger.pool, KEYS) for ledger in ledgers))

    with_ledgers(dsn, throttles, processes)


async def fail(throttle: SourceThrottle, address: str = "192.0.2.7", lasting: float = 0.0) -> str:
    """How a login that would fail ends at the throttle."""
    try:
        async with throttle.counting(address, BadCredentials):
            await asyncio.sleep(lasting)
            raise BadCredentials
    except Refusal as refusal:
        return refusal.code


@pytest.mark.parametrize(
    ("failures", "minutes_ago", "refused"),
    [(9, 1, False), (10, 1, True), (10, 11, False), (39, 11, False), (40, 11, True), (40, 1441, False)],
)
def test_the_limits_are_ten_in_ten_minutes_and_forty_in_a_day(
    database_url: str, failures: int, minutes_ago: int, refused: bool
) -> None:
    async def story(throttle: SourceThrottle) -> None:
        insert = "insert into login_sources select %s, clock_timestamp() - make_interval(mins => %s)"
        for _ in range(failures):
            rows(database_url, insert, KEYS.index("source", "192.0.2.7"), minutes_ago)
        async with throttle.counting("192.0.2.8", BadCredentials):
            pass
        if refused:
            with pytest.raises(TooManyRequests) as wait:
                async with throttle.counting("192.0.2.7", BadCredentials):
                    raise AssertionError("it was let in")
            assert wait.value.retry_after is not None
            assert 1 < wait.value.retry_after <= (600 if minutes_ago < 10 else 86_400)
        else:
            async with throttle.counting("192.0.2.7", BadCredentials):
                pass

    throttled(database_url, story)


def test_of_a_burst_from_one_place_ten_are_tested_in_however_many_processes(database_url: str) -> None:
    async def story(*throttles: SourceThrottle) -> None:
        answers = await asyncio.gather(*(fail(each, lasting=0.3) for each in throttles * 20))
        assert Counter(answers) == {"bad-credentials": FAILURES_IN_TEN_MINUTES, "too-many-requests": 50}
        assert await fail(throttles[0]) == "too-many-requests"

    throttled(database_url, story, processes=3)


def test_a_login_under_way_holds_a_place_until_it_is_known_not_to_have_failed(database_url: str) -> None:
    async def story(throttle: SourceThrottle) -> None:
        async with AsyncExitStack() as under_way:
            for _ in range(FAILURES_IN_TEN_MINUTES):
                await under_way.enter_async_context(throttle.counting("192.0.2.7", BadCredentials))
            with pytest.raises(TooManyRequests) as wait:
                async with throttle.counting("192.0.2.7", BadCredentials):
                    raise AssertionError("it was let in")
            assert wait.value.retry_after == 1
            assert await fail(throttle, "192.0.2.8") == "bad-credentials"
        assert rows(database_url, "select count(*) from login_sources") == [1]
        assert await fail(throttle) == "bad-credentials"

    throttled(database_url, story)


def test_a_login_that_a_dying_process_leaves_is_a_failure_for_a_day(database_url: str) -> None:
    async def story(throttle: SourceThrottle) -> None:
        begun = "select begin_login(%s, gen_random_uuid(), 10, 40)"
        for _ in range(FAILURES_IN_TEN_MINUTES):
            assert rows(database_url, begun, KEYS.index("source", "192.0.2.7")) == [None]
        assert await fail(throttle) == "too-many-requests"
        rows(database_url, "update login_sources set failed_at = failed_at - interval '11 minutes'")
        assert await fail(throttle) == "bad-credentials"
        rows(database_url, "update login_sources set failed_at = failed_at - interval '2 days'")
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await sweep(connection)
        assert rows(database_url, "select count(*) from login_sources") == [0]

    throttled(database_url, story)


def test_a_burst_over_http_passes_no_more_than_the_limit(empty_database_url: str, tmp_path: Path) -> None:
    with real_server(empty_database_url, tmp_path) as server, ThreadPoolExecutor(40) as threads:
        told = Counter(reply.code for reply in threads.map(lambda _: fails(server), range(40)))

    assert set(told) <= {"bad-credentials", "too-many-requests", "busy"}
    assert 1 <= told["bad-credentials"] <= FAILURES_IN_TEN_MINUTES
    assert rows(empty_database_url, "select count(*) from login_sources") == [told["bad-credentials"]]
