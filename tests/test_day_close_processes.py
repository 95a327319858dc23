"""The closing of days by real processes: the command, the server that does it by itself, and one that is killed."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from closing_days import DUE, START, borrower, close, closed, found, go_to, opened
from ledgers import KEYS, enrolled, rows, until
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from serving import answering, clean_environment, started

from ledger.store import schema


def test_serve_closes_days_by_itself_where_it_is_told_to(database_url: str, key_file: Path) -> None:
    async def story() -> None:
        async with opened(database_url) as (ledger, _):
            await borrower(ledger)
            await go_to(ledger, DUE + timedelta(days=1))

    asyncio.run(story())
    settings = {"CARDLEDGER_CLOSE_DAYS_AFTER_MINUTES": "60", "CARDLEDGER_TEST_HASH_COST": "false"}
    with answering(dsn=database_url, keys=key_file, **settings):
        asyncio.run(until(lambda: bool(closed(database_url)) and closed(database_url)[-1]["day"] == "2023-02-06"))


# Killed ---------------------------------------------------------------------------------------------------------------

CARDS = 450
"""More than two of the portions in which cards are asked, so that a kill can fall between them."""


@pytest.fixture
def many_due(database_url: str) -> str:
    """A database with many instalments due on DUE, on the day after it, with all days before it closed."""

    async def story() -> None:
        async with opened(database_url) as (ledger, day_close):
            for begin in range(0, CARDS, 50):
                await asyncio.gather(*(borrower(ledger, 10_000 + n) for n in range(begin, min(begin + 50, CARDS))))
            await close(ledger, day_close, DUE - timedelta(days=1))
            await go_to(ledger, DUE + timedelta(days=1))

    asyncio.run(story())
    return database_url


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The file of the keys that `ledgers` uses."""
    file = tmp_path / "keys.json"
    keys = {name: base64.b64encode(key).decode() for name, key in KEYS.masters}
    file.write_text(json.dumps({"current": KEYS.current, "keys": keys}))
    file.chmod(0o600)
    return file


@pytest.fixture
def copied(many_due: str) -> Iterator[str]:
    """A second database that holds the same."""
    name = str(conninfo_to_dict(many_due)["dbname"])
    with psycopg.connect(make_conninfo(many_due, dbname="template1"), autocommit=True) as connection:
        connection.execute(f"create database {name}_copy template {name} strategy file_copy".encode())
        try:
            yield make_conninfo(many_due, dbname=f"{name}_copy")
        finally:
            connection.execute(f"drop database {name}_copy with (force)".encode())


def streams(dsn: str) -> list[Any]:
    """Every fact of every stream, without who asked for it and when."""
    query = """
        select originator_id, originator_version, topic, convert_from(state, 'UTF8')::jsonb->'data'
        from ledger_events order by originator_id, originator_version"""
    return rows(dsn, query)


def asked(dsn: str) -> int:
    """How many cards the close of DUE has been through."""
    return int(rows(dsn, "select count(*) from ledger_events where topic = 'card.instalment-missed'")[0])


def close_day(dsn: str, keys: Path, day: date) -> tuple[int, str]:
    """The command, to its end: its exit code and what it said."""
    return said(command("close-day", day.isoformat()), dsn, keys)


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from ledger.cli import main; main()", *words]


def said(words: list[str], dsn: str, keys: Path, **environment: str) -> tuple[int, str]:
    settings = clean_environment() | {"DATABASE_URL": dsn, "CARDLEDGER_KEY_FILE": str(keys)} | environment
    done = subprocess.run(words, env=settings, check=False, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_a_close_that_was_killed_again_and_again_ends_in_the_same_facts(
    many_due: str, copied: str, key_file: Path
) -> None:
    """Once after its first commit, then at moments nobody chose, until one of them comes too late."""
    code, words = close_day(copied, key_file, DUE)
    assert (code, asked(copied)) == (0, CARDS), words
    kill_in_the_middle(many_due, key_file)
    assert closed(many_due)[-1]["day"] == "2023-02-05"
    while closed(many_due)[-1]["day"] != DUE.isoformat():
        kill_at_any_moment(many_due, key_file)
    assert closed(many_due)[-1]["found"] == found(cards=CARDS, instalments_missed=CARDS, suspensions=CARDS)
    assert streams(many_due) == streams(copied)


def kill_in_the_middle(dsn: str, keys: Path) -> None:
    """Kill a close after its first commit of cards; the last cards have not been asked then."""
    with started("close-day", DUE.isoformat(), dsn=dsn, keys=keys) as child:
        while asked(dsn) == 0:
            assert child.poll() is None
            time.sleep(0.001)
        child.kill()
        child.wait()
    assert 0 < asked(dsn) < CARDS


def kill_at_any_moment(dsn: str, keys: Path) -> None:
    """Let a close come further, then kill it within a few commits' time, if it has not ended by then."""
    known = asked(dsn)
    with started("close-day", DUE.isoformat(), dsn=dsn, keys=keys) as child:
        while asked(dsn) == known and child.poll() is None:
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.3))  # noqa: S311 - a moment, not a secret
        child.kill()
        child.wait()


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_says_why_a_day_cannot_be_closed(database_url: str, key_file: Path) -> None:
    async def story() -> None:
        async with opened(database_url) as (ledger, _):
            await enrolled(ledger)
            await go_to(ledger, START + timedelta(days=2))

    asyncio.run(story())
    day = START
    assert close_day(database_url, key_file, day + timedelta(days=2))[1].startswith("The day is not over yet")
    assert close_day(database_url, key_file, day + timedelta(days=1))[1].startswith("An earlier day is still open")
    assert close_day(database_url, key_file, day) == (0, "2023-01-10 is closed, at position 4\n")
    assert close_day(database_url, key_file, day)[0] == 1
    assert said(command("close-day", "2023-1-1"), database_url, key_file)[0] == 2


def test_a_terms_file_with_a_fault_is_refused_before_anything_is_done(
    database_url: str, key_file: Path, tmp_path: Path
) -> None:
    terms = tmp_path / "terms.toml"
    terms.write_text("[[version]]\neffective_from = 1990-01-01\nno_such_key = 1\n")
    refused = (2, "terms.toml, line 3: unknown key no_such_key. Correct the file of terms.\n")
    for words in (command("serve", "--port", "0"), command("close-day", "2023-01-10")):
        assert said(words, database_url, key_file, CARDLEDGER_TERMS=str(terms)) == refused


def test_the_clock_of_a_sandbox_closes_no_day(empty_database_url: str, key_file: Path) -> None:
    schema.migrate(empty_database_url, sandbox=True)
    code, words = said(
        command("serve", "--sandbox", "--port", "0"),
        empty_database_url,
        key_file,
        CARDLEDGER_CLOSE_DAYS_AFTER_MINUTES="60",
    )
    assert (code, words.partition(".")[0]) == (2, "The clock of a sandbox closes no day")
