"""The throttle by source: who fails too often from one place waits, whoever he says he is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from conftest import NewDatabase
from ledgers import KEYS, opened, rows
from people import PIN, WRONG_PIN, by_card, by_web, logged_in, with_card
from serving import Client, Reply, answering, served

from ledger.refusals import TooManyRequests
from ledger.store import schema
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


def throttled(dsn: str, story: Callable[[SourceThrottle], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened(dsn) as ledger:
            await story(SourceThrottle(ledger.pool, KEYS))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("failures", "minutes_ago", "refused"),
    [(9, 1, False), (10, 1, True), (10, 11, False), (39, 11, False), (40, 11, True), (40, 1441, False)],
)
def test_the_limits_are_ten_in_ten_minutes_and_forty_in_a_day(
    database_url: str, failures: int, minutes_ago: int, refused: bool
) -> None:
    async def story(throttle: SourceThrottle) -> None:
        for _ in range(failures):
            await throttle.count_failure("192.0.2.7")
        rows(database_url, "update login_sources set failed_at = failed_at - make_interval(mins => %s)", minutes_ago)
        await throttle.refuse_if_throttled("192.0.2.8")
        if refused:
            with pytest.raises(TooManyRequests) as wait:
                await throttle.refuse_if_throttled("192.0.2.7")
            assert wait.value.retry_after is not None
            assert 0 < wait.value.retry_after <= (600 if minutes_ago < 10 else 86_400)
        else:
            await throttle.refuse_if_throttled("192.0.2.7")

    throttled(database_url, story)
