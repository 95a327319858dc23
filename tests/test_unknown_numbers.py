"""Numbers that are nobody's: how many are kept, by however many processes they are tried, and for how long."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from itertools import count, islice
from multiprocessing import get_context

import psycopg
import pytest
from ledgers import rows, with_ledgers
from psycopg_pool import AsyncConnectionPool

from ledger.application import Ledger
from ledger.store.housekeeping import sweep
from ledger.store.unknown_numbers import PARTS, ROOM, ROWS_MAX, UnknownNumbers

PROCESSES = 4
KEPT = "select count(*) from unknown_numbers"
AGE = "update unknown_numbers set since = since - %s * interval '1 minute'"


def indexes(part: int, first: int, number: int) -> list[bytes]:
    """Indexes of so many numbers whose place is this part of the table."""
    return [bytes([part]) + hashlib.sha256(str(each).encode()).digest()[1:] for each in islice(count(first), number)]


def counted(dsn: str, tries: list[bytes], room: int = ROOM) -> list[int]:
    """What a process that counts these tries is answered, eight at a time."""

    async def run() -> list[int]:
        async with AsyncConnectionPool(dsn, min_size=4, max_size=4, kwargs={"autocommit": True}) as pool:
            numbers = UnknownNumbers(pool, room)
            answers: list[int] = []
            for begin in range(0, len(tries), 8):
                answers += await asyncio.gather(*map(numbers.count, tries[begin : begin + 8]))
            return answers

    return asyncio.run(run())


def of_numbers(dsn: str, story: Callable[[UnknownNumbers], Awaitable[None]]) -> None:
    async def run(ledger: Ledger) -> None:
        await story(ledger.unknown_numbers)

    with_ledgers(dsn, run)


def test_the_parts_together_are_the_bound_that_is_told() -> None:
    assert PARTS * ROOM == ROWS_MAX
    assert ROWS_MAX >= 100_000


@pytest.mark.parametrize("room", [1, 2])
def test_no_part_keeps_more_than_it_has_room_for_whoever_tries_at_one_time(database_url: str, room: int) -> None:
    """In every part there is one moment at which it is full: all processes are there at about that moment."""
    numbers = [[indexes(part, each * 10, 2) for part in range(PARTS)] for each in range(PROCESSES)]
    tries = [[index for pair in each for index in pair] for each in numbers]
    with get_context("spawn").Pool(PROCESSES) as pool:
        answers = pool.starmap(counted, [(database_url, each, room) for each in tries])
    assert {answer for each in answers for answer in each} == {1}
    kept = "select get_byte(number_index, 0), count(*) from unknown_numbers group by 1 order by 1"
    assert rows(database_url, kept) == [(part, room) for part in range(PARTS)]


def test_no_failure_of_a_number_is_lost_whoever_tries_at_one_time(database_url: str) -> None:
    tried = [index for part in (0, 255) for index in indexes(part, 0, 100)]
    with get_context("spawn").Pool(PROCESSES) as pool:
        answers = pool.starmap(counted, [(database_url, tried)] * PROCESSES)
    for place in range(len(tried)):
        assert sorted(each[place] for each in answers) == [1, 2, 3, 4]


def test_a_number_without_room_stays_at_its_first_failure_and_the_kept_ones_go_on(database_url: str) -> None:
    async def story(numbers: UnknownNumbers) -> None:
        kept, late = indexes(7, 0, ROOM), indexes(7, 5_000, 1)[0]
        for index in kept:
            assert await numbers.count(index) == 1
        assert [await numbers.count(late) for _ in range(3)] == [1, 1, 1]
        assert await numbers.failures(late) == 0
        assert [await numbers.count(kept[0]) for _ in range(2)] == [2, 3]
        assert await numbers.count(indexes(8, 0, 1)[0]) == 1

    of_numbers(database_url, story)
    assert rows(database_url, KEPT) == [ROOM + 1]


def test_a_number_is_forgotten_after_an_hour_without_anybody_sweeping(database_url: str) -> None:
    async def story(numbers: UnknownNumbers) -> None:
        tried, other = indexes(7, 0, 2)
        assert [await numbers.count(tried) for _ in range(3)] == [1, 2, 3]
        rows(database_url, AGE, 59)
        assert await numbers.count(other) == 1
        assert await numbers.failures(tried) == 3
        rows(database_url, AGE, 2)
        assert await numbers.failures(tried) == 0
        assert [await numbers.count(tried), await numbers.count(other)] == [1, 2]
        assert await numbers.failures(tried) == 1

    of_numbers(database_url, story)


def test_a_full_part_makes_room_by_forgetting_what_is_over_an_hour_old(database_url: str) -> None:
    async def story(numbers: UnknownNumbers) -> None:
        for index in indexes(7, 0, ROOM - 10):
            await numbers.count(index)
        rows(database_url, AGE, 61)
        for index in indexes(7, 5_000, 11):
            assert await numbers.count(index) == 1
        assert rows(database_url, KEPT) == [11]

    of_numbers(database_url, story)


def test_the_sweep_forgets_and_waits_for_nobody_who_counts(database_url: str) -> None:
    counted(database_url, indexes(7, 0, 4))
    rows(database_url, AGE, 61)

    async def story() -> None:
        async with (
            await psycopg.AsyncConnection.connect(database_url) as counting,
            await psycopg.AsyncConnection.connect(database_url, autocommit=True) as sweeping,
        ):
            await counting.execute("select count_unknown_number(%s, %s)", (indexes(7, 0, 1)[0], ROOM))
            await sweeping.execute("set lock_timeout = '1s'")
            await sweep(sweeping)

    asyncio.run(story())
    assert rows(database_url, "select failures from unknown_numbers") == [1]


def test_a_try_reads_no_whole_table(database_url: str) -> None:
    """As PostgreSQL itself counted it, in a table that has never been analysed and one that has."""
    for part, statement in ((1, "select 1"), (2, "analyze unknown_numbers")):
        rows(database_url, statement)
        counted(database_url, indexes(part, 0, ROOM + 20) + indexes(part, 0, 5))

    async def read(numbers: UnknownNumbers) -> None:
        assert await numbers.failures(indexes(1, 0, 1)[0]) == 2

    of_numbers(database_url, read)

    async def scans() -> tuple[int, int]:
        async with asyncio.timeout(20):
            while True:  # what a connection did is told when it has ended
                query = "select seq_scan, idx_scan from pg_stat_user_tables where relname = 'unknown_numbers'"
                (found,) = rows(database_url, query)
                if found[1] >= 2 * (ROOM + 25):
                    return int(found[0]), int(found[1])
                await asyncio.sleep(0.05)

    assert asyncio.run(scans())[0] == 0
