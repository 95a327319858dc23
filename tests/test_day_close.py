"""The closing of days: in order, each once, over every card that is due, and whole even if it was killed."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from ledgers import BANK, KEYS, Holder, borrowed, enrolled, holder, order, rows, told, topics
from ledgers import opened as opened_ledger
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from serving import clean_environment, started

from ledger.aggregates.closed_days import CALENDAR_ID
from ledger.application import Ledger
from ledger.application.day_close import DayClose
from ledger.application.scheduler import Scheduler
from ledger.calendar import JST
from ledger.instruction import Caller
from ledger.projections import due as due_module
from ledger.projections.due import DueCards
from ledger.projections.freshness import Freshness
from ledger.projections.projector import Projector
from ledger.store import schema
from ledger.store.closings import Closings, causation_of

OPERATOR = Caller(subject="night-shift", role="operator", channel="operator")
START = date(2023, 1, 10)
DUE = date(2023, 2, 6)  # the nominal 5th is a Sunday
LAST_FREE_DAY = date(2023, 2, 9)


@asynccontextmanager
async def opened(dsn: str, *, projector: bool = True) -> AsyncIterator[tuple[Ledger, DayClose]]:
    """A ledger whose first day is START, with what closes its days."""
    async with opened_ledger(dsn) as ledger:
        if not rows(dsn, "select 1 from ledger_events limit 1"):
            await ledger.sandbox.move_clock(datetime.combine(START, clock_time(9), JST))
        following = Projector(dsn)
        running = asyncio.create_task(following.run()) if projector else None
        freshness = Freshness(dsn, ledger.pool, ledger.lane.acknowledged)
        await freshness.start()
        try:
            closings = Closings(ledger.pool)
            yield ledger, DayClose(ledger.lane, ledger.terms, closings, DueCards(ledger.pool, freshness))
        finally:
            following.stop()
            if running is not None:
                await running
            await freshness.stop()


async def go_to(ledger: Ledger, day: date, hour: int = 9) -> None:
    target = datetime.combine(day, clock_time(hour), JST)
    if target > await ledger.sandbox.now():
        await ledger.sandbox.move_clock(target)


async def borrower(ledger: Ledger, amount: int = 100_000, **profile: Any) -> Holder:
    """A member who drew an advance today."""
    card = await holder(ledger, **{"web_statements": False, **profile})
    await borrowed(ledger, card, amount)
    return card


async def close(ledger: Ledger, day_close: DayClose, through: date) -> int:
    """Close the days up to one, early on the day after it."""
    await go_to(ledger, through + timedelta(days=1), 0)
    return (await day_close.close_days(order(OPERATOR), through)).position


def facts(dsn: str, stream: UUID, topic: str) -> list[dict[str, Any]]:
    query = (
        "select convert_from(state, 'UTF8')::jsonb->'data' from ledger_events"
        " where originator_id = %s and topic = %s order by originator_version"
    )
    return rows(dsn, query, stream, topic)


def closed(dsn: str) -> list[dict[str, Any]]:
    return facts(dsn, CALENDAR_ID, "calendar.day-closed")


# Which days -----------------------------------------------------------------------------------------------------------


def test_days_are_closed_in_their_order_each_once_and_only_when_they_are_over(database_url: str) -> None:
    async def story() -> None:
        async with opened(database_url) as (ledger, day_close):
            assert await told(day_close.close_day(order(OPERATOR), START - timedelta(days=1))) == "day-not-open"
            await enrolled(ledger)
            assert await told(day_close.close_day(order(OPERATOR), START)) == "day-not-over"
            await go_to(ledger, START + timedelta(days=2), 0)
            after = START + timedelta(days=1)
            assert await told(day_close.close_day(order(OPERATOR), START - timedelta(days=1))) == "day-not-open"
            assert await told(day_close.close_day(order(OPERATOR), after)) == "day-out-of-order"
            assert await told(day_close.close_day(order(OPERATOR), START)) == "ok"
            assert await told(day_close.close_day(order(OPERATOR), START)) == "day-not-open"
            assert await told(day_close.close_day(order(OPERATOR), after)) == "ok"
            assert await told(day_close.close_day(order(OPERATOR), after + timedelta(days=1))) == "day-not-over"

    asyncio.run(story())
    assert [each["day"] for each in closed(database_url)] == ["2023-01-10", "2023-01-11"]


def test_every_open_day_is_closed_and_a_day_that_is_closed_is_left_alone(database_url: str) -> None:
    async def story() -> None:
        async with opened(database_url) as (ledger, day_close):
            await go_to(ledger, date(2023, 1, 20))
            empty = await day_close.close_days(order(OPERATOR), date(2023, 1, 19))
            assert (empty.position, empty.body) == (0, {"closed_through": None})  # no first event: no day is open
            await enrolled(ledger)
            await go_to(ledger, date(2024, 1, 1), 0)
            first = await day_close.close_days(order(OPERATOR, "night"), date(2023, 12, 31))
            again = await day_close.close_days(order(OPERATOR), date(2023, 12, 31))
            replayed = await day_close.close_days(order(OPERATOR, "night"), date(2023, 12, 31))
            assert first.body == again.body == replayed.body == {"closed_through": "2023-12-31"}
            assert first.position == again.position == replayed.position
            assert replayed.replayed
            assert await told(day_close.close_days(order(OPERATOR, "night", b"g" * 32), START)) == (
                "idempotency-key-reused"
            )

    asyncio.run(story())
    days = [date.fromisoformat(each["day"]) for each in closed(database_url)]
    assert days == [date(2023, 1, 20) + timedelta(days=n) for n in range(346)]


# What closing a day finds ---------------------------------------------------------------------------------------------


def test_an_instalment_is_missed_at_the_close_of_its_shifted_due_date(database_url: str) -> None:
    async def story() -> Holder:
        async with opened(database_url) as (ledger, day_close):
            card = await borrower(ledger)
            await close(ledger, day_close, DUE - timedelta(days=1))
            assert "card.instalment-missed" not in topics(database_url, card.card_id)
            await close(ledger, day_close, DUE)
            return card

    card = asyncio.run(story())
    assert topics(database_url, card.card_id)[-3:] == [
        "card.instalment-missed",
        "card.due-date-set",
        "card.borrowing-suspended",
    ]
    (missed,) = facts(database_url, card.card_id, "card.instalment-missed")
    assert (missed["due"], missed["minimum"], missed["paid"]) == ("2023-02-06", 4000, 0)
    (suspended,) = facts(database_url, card.card_id, "card.borrowing-suspended")
    assert (suspended["reason"], suspended["by_rule"]) == ("late", True)


def test_an_instalment_that_was_paid_is_not_missed(database_url: str) -> None:
    async def story() -> Holder:
        async with opened(database_url) as (ledger, day_close):
            card = await borrower(ledger)
            await go_to(ledger, DUE, 23)
            await ledger.repay(order(BANK), card.card_id, 4000, "bank-transfer", None)
            await close(ledger, day_close, DUE)
            return card

    card = asyncio.run(story())
    assert "card.instalment-missed" not in topics(database_url, card.card_id)


def test_lateness_ends_with_the_cure_and_several_missed_instalments_stop_the_card(database_url: str) -> None:
    async def story() -> Holder:
        async with opened(database_url) as (ledger, day_close):
            card = await borrower(ledger)
            for _ in range(2):
                await close(ledger, day_close, await due_of(ledger, card))
                await ledger.repay(order(BANK), card.card_id, 4000, "bank-transfer", None)
            assert "card.card-stopped" not in topics(database_url, card.card_id)
            await close(ledger, day_close, await due_of(ledger, card))
            return card

    card = asyncio.run(story())
    told_of = topics(database_url, card.card_id)
    assert told_of.count("card.borrowing-suspended") == 3
    assert told_of.count("card.borrowing-resumed") == 2
    (stop,) = facts(database_url, card.card_id, "card.card-stopped")
    assert (stop["reason"], stop["by_rule"]) == ("repeated-lateness", True)
    assert closed(database_url)[-1]["found"] == found(cards=1, instalments_missed=1, suspensions=1, stops=1)


async def due_of(ledger: Ledger, card: Holder) -> date:
    folded = ledger.repository.get(card.card_id)
    due = folded.account.standing.due  # type: ignore[attr-defined]
    assert due is not None
    day: date = due.day
    return day


def found(**counts: int) -> dict[str, int]:
    names = ("cards", "instalments_missed", "suspensions", "stops", "interest_free_ended", "interest_posted")
    return {**dict.fromkeys((*names, "late_damages_posted"), 0), **counts}


def test_the_last_free_day_ends_the_interest_free_period_and_the_month_end_books_its_income(database_url: str) -> None:
    async def story() -> Holder:
        async with opened(database_url) as (ledger, day_close):
            card = await borrower(ledger, web_statements=True)
            await ledger.repay(order(BANK), card.card_id, 4000, "bank-transfer", None)
            await close(ledger, day_close, date(2023, 2, 28))
            return card

    card = asyncio.run(story())
    (ended,) = facts(database_url, card.card_id, "card.interest-free-ended")
    assert ended == {"last_day": LAST_FREE_DAY.isoformat(), "reason": "expired"}
    (posted,) = facts(database_url, card.card_id, "card.interest-posted")
    interest = 96_000 * 1780 * 19 // (10_000 * 365)  # 10 to 28 February
    assert (posted["through"], posted["interest"], posted["late_damages"]) == ("2023-02-28", interest, 0)
    by_day = {each["day"]: each for each in closed(database_url)}
    assert by_day["2023-02-09"]["found"] == found(cards=1, interest_free_ended=1)
    assert by_day["2023-02-28"]["found"] == found(cards=1, interest_posted=interest)
    assert by_day["2023-02-27"]["found"] == found()


def test_an_act_of_money_judges_by_itself_and_the_close_finds_it_done(database_url: str) -> None:
    async def story() -> Holder:
        async with opened(database_url) as (ledger, day_close):
            card = await borrower(ledger)
            await go_to(ledger, DUE + timedelta(days=1))
            await ledger.repay(order(BANK), card.card_id, 1000, "bank-transfer", None)
            await day_close.close_days(order(OPERATOR), DUE)
            return card

    card = asyncio.run(story())
    assert topics(database_url, card.card_id).count("card.instalment-missed") == 1
    assert closed(database_url)[-1]["found"] == found()


def test_counts_and_totals_can_be_counted_again_from_the_log(database_url: str) -> None:
    async def story() -> list[Holder]:
        async with opened(database_url) as (ledger, day_close):
            cards = [await borrower(ledger, 10_000 * n) for n in (1, 2, 3)]
            await holder(ledger)  # owes nothing
            await close(ledger, day_close, DUE)
            return cards

    asyncio.run(story())
    told_of = closed(database_url)[-1]
    assert told_of["found"] == found(cards=3, instalments_missed=3, suspensions=3)
    by_causation = """
        select count(*) from ledger_events where topic = 'card.instalment-missed'
        and convert_from(state, 'UTF8')::jsonb->'cause'->>'causation_id' = %s"""
    assert rows(database_url, by_causation, causation_of(DUE)) == [3]
    position = told_of["books"]["position"]
    at_close = "select notification_id from ledger_events where topic = 'calendar.day-closed' order by 1 desc limit 1"
    assert rows(database_url, at_close) == [position + 1]
    assert told_of["books"] == {"position": position, "cards": 4, "principal": 60_000}


# Whatever happens meanwhile -------------------------------------------------------------------------------------------


def test_while_the_read_model_is_behind_no_day_is_closed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_module, "WAIT_SECONDS", 0.05)

    async def story() -> None:
        async with opened(database_url, projector=False) as (ledger, day_close):
            await borrower(ledger)
            await go_to(ledger, DUE + timedelta(days=1))
            assert await told(day_close.close_days(order(OPERATOR), DUE)) == "projection-behind"

    asyncio.run(story())
    assert closed(database_url) == []


def test_two_who_close_the_same_days_leave_what_one_leaves(database_url: str) -> None:
    async def story() -> None:
        async with opened(database_url) as (ledger, day_close):
            for _ in range(5):
                await borrower(ledger)
            await go_to(ledger, date(2023, 4, 1))
            async with opened(database_url, projector=False) as (_, other):
                both = (day_close.close_days(order(OPERATOR), date(2023, 3, 31)) for day_close in (day_close, other))
                assert [answer.body for answer in await asyncio.gather(*both)] == [{"closed_through": "2023-03-31"}] * 2

    asyncio.run(story())
    days = [each["day"] for each in closed(database_url)]
    assert days == sorted(set(days))
    assert {each["day"]: each["found"]["instalments_missed"] for each in closed(database_url)}["2023-02-06"] == 5


def test_the_scheduler_closes_what_has_been_over_for_so_long_and_one_process_does_it(database_url: str) -> None:
    async def story() -> None:
        async with opened(database_url) as (ledger, day_close):
            await borrower(ledger)
            scheduler = Scheduler(day_close, ledger.pool, timedelta(hours=3))
            await go_to(ledger, DUE + timedelta(days=1), 2)
            await scheduler.look()
            assert closed(database_url)[-1]["day"] == "2023-02-05"
            await go_to(ledger, DUE + timedelta(days=1), 4)
            async with ledger.pool.connection() as other_process:
                await other_process.execute("select pg_advisory_lock(7010112203)")
                await scheduler.look()
                assert closed(database_url)[-1]["day"] == "2023-02-05"
                await other_process.execute("select pg_advisory_unlock(7010112203)")
            await scheduler.look()

    asyncio.run(story())
    assert closed(database_url)[-1]["day"] == "2023-02-06"
    query = "select distinct convert_from(state, 'UTF8')::jsonb->'cause'->>'actor' from ledger_events where topic = %s"
    assert rows(database_url, query, "calendar.day-closed") == ["scheduler"]


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


def test_a_close_that_was_killed_is_taken_up_again_and_ends_in_the_same_facts(
    many_due: str, copied: str, key_file: Path
) -> None:
    code, words = close_day(copied, key_file, DUE)
    assert (code, asked(copied)) == (0, CARDS), words
    kill_in_the_middle(many_due, key_file)
    assert closed(many_due)[-1]["day"] == "2023-02-05"
    code, words = close_day(many_due, key_file, DUE)
    assert code == 0, words
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
