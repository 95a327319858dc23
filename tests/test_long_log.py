"""A long log: made in bulk it is a valid one, and no reader reads much more of it than it shows."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from conftest import NewDatabase
from ledgers import assert_dense, rows
from plans import WHOLE, Plans, Scan
from psycopg_pool import AsyncConnectionPool

from ledger.audit.drift import verify
from ledger.bench import checks, long_log, reads
from ledger.bench.generator import Generator
from ledger.bench.reads import Places
from ledger.bench.servers import Database
from ledger.projections.projector import READ_MODELS
from ledger.store import schema
from ledger.store.keys import Keyring

EVENTS = 20_000
LONGEST = 4_000
BOUND = 600
"""Rows that a page of 100 may touch: so few of one card PostgreSQL may read together and sort; the longest has more."""
SMALL = {"projections", "log_head"}
"""Tables of some few rows, which PostgreSQL does best to read whole."""


@dataclass(frozen=True)
class Filled:
    dsn: str
    longest: UUID
    head: int


@pytest.fixture(scope="module")
def filled(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """A generated log with its read models."""
    keys = tmp_path_factory.mktemp("long") / "keys.json"
    Keyring.create(keys)
    with new_database("long") as dsn:
        schema.migrate(dsn)
        generator = Generator.prepared(Database(0, {"ours": dsn}, keys), longest=LONGEST)
        head = generator.fill(EVENTS)
        asyncio.run(long_log.build(dsn))
        yield Filled(dsn, generator.longest, head)


def test_a_generated_log_is_a_valid_one_and_no_auditor_finds_anything(filled: Filled) -> None:
    async def findings() -> list[object]:
        async with await psycopg.AsyncConnection.connect(filled.dsn, autocommit=True) as connection:
            return list((await verify(connection, READ_MODELS)).findings)

    assert filled.head >= EVENTS
    assert_dense(filled.dsn)
    assert asyncio.run(findings()) == []
    assert [check for check in checks.sums(filled.dsn) if not check.right] == []


def test_a_generated_log_has_many_cards_and_one_long_one(filled: Filled) -> None:
    lengths = rows(filled.dsn, "select count(*) from ledger_events where topic like 'card.%%' group by originator_id")

    assert len(lengths) > 300
    assert max(lengths) > LONGEST
    assert rows(filled.dsn, "select count(*) from balances") == [len(lengths)]


def test_copies_of_a_card_take_turns_in_the_log(filled: Filled) -> None:
    """Events of one card lie apart, as they do in life: a reader of one card must not be lucky."""
    apart = rows(
        filled.dsn,
        "select count(*) from (select notification_id - lag(notification_id) over (partition by originator_id"
        " order by originator_version) as gap from ledger_events where originator_id <> %s) e where gap > 20",
        filled.longest,
    )

    assert apart[0] > EVENTS // 4


def scans_of_every_read(filled: Filled) -> dict[str, list[Scan]]:
    """What each read of the bench scanned, each asked several times."""

    async def run() -> dict[str, list[Scan]]:
        plans = Plans()
        kept = {"autocommit": True, "cursor_factory": plans.cursors()}
        async with AsyncConnectionPool(filled.dsn, min_size=1, max_size=1, open=False, kwargs=kept) as pool:
            async with pool.connection() as connection:
                wanted = reads.reads(pool, await Places.found(connection, filled.longest))
            scans = {}
            for name, read in wanted.items():
                plans.scans.clear()
                for _ in range(9):
                    await read()
                scans[name] = list(plans.scans)
            return scans

    return asyncio.run(run())


def test_no_read_scans_a_table_or_touches_many_rows_more_than_it_shows(filled: Filled) -> None:
    scans = scans_of_every_read(filled)

    assert all(scans.values()), "every read was explained"
    greedy = {
        name: scan
        for name, found in scans.items()
        for scan in found
        if scan.table not in SMALL and (scan.kind in WHOLE or scan.rows > BOUND)
    }
    assert greedy == {}


def test_a_read_that_scans_is_found(filled: Filled) -> None:
    """The measure itself: without the index, a page of transactions is such a read."""

    async def run() -> list[Scan]:
        plans = Plans()
        async with await psycopg.AsyncConnection.connect(
            filled.dsn, autocommit=True, cursor_factory=plans.cursors()
        ) as connection:
            await connection.execute("select from transactions where transaction_id = gen_random_uuid()")
        return plans.scans

    (scan,) = asyncio.run(run())
    assert scan.kind == "Seq Scan"
    assert scan.rows > BOUND


def test_the_command_makes_a_log_reads_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from ledger.cli import main; main()", "bench", "--log", "2000", "--json"]
    done = subprocess.run(
        [*command, "--folder", tmp_path], check=False, capture_output=True, text=True, timeout=300, env=os.environ
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [check for check in told["checks"] if check["wrong"]] == []
    assert told["stages"][-1]["events"] >= 2000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.campaign
def test_a_log_of_a_million_events_is_read_as_a_short_one(tmp_path: Path) -> None:
    """`cardledger bench --log 10000000` is the same with ten times as many."""
    found = long_log.run(tmp_path, 1_000_000)

    assert found.right, found.as_markdown()
