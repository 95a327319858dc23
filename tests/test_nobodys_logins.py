"""Tries at card numbers and Web-IDs that are nobody's: however many there are, they leave next to nothing.

What must stay true: the tables that are counted are those of the catalogue, so that a new one is counted too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
from ledgers import PASSWORD, PIN, opened, order, rows, told
from psycopg_pool import PoolTimeout
from test_logins import WEB_ID, try_password, with_web_id

from ledger.application import Ledger
from ledger.instruction import ANONYMOUS, Answer

TRIES, MANY_TRIES, BLOCK = 2_000, 100_000, 20
TABLES = """
select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables
where schemaname not in ('pg_catalog', 'information_schema')
"""


def sizes(dsn: str) -> dict[str, int]:
    """The rows of every table there is."""
    return {name: rows(dsn, f"select count(*) from {name}")[0] for name in rows(dsn, TABLES)}  # noqa: S608


async def answered(act: Callable[[], Awaitable[Answer]]) -> str:
    """How it was answered once there was room for it, and a connection: both are told 503 over HTTP."""
    while True:
        with suppress(PoolTimeout):
            if (answer := await told(act())) != "busy":
                return answer
        await asyncio.sleep(0.01)


def try_nobody(dsn: str, tries: int) -> None:
    """Half of the tries at card numbers, half at Web-IDs, each number and each name twice."""

    async def story() -> None:
        async with opened(dsn) as ledger:
            await with_web_id(ledger)
            before = sizes(dsn)
            for begin in range(0, tries // 4, BLOCK):
                assert await told_to_nobody(ledger, begin, begin + BLOCK) == {"bad-credentials"}
            grown = {name: size - before[name] for name, size in sizes(dsn).items() if size != before[name]}
            assert grown == {"public.unknown_numbers": tries // 4}
            assert await try_password(ledger, PASSWORD, WEB_ID) == "ok"

    asyncio.run(story())


async def told_to_nobody(ledger: Ledger, first: int, end: int) -> set[str]:
    """The answers to two tries at each of so many numbers and names."""
    block = [*range(first, end)] * 2
    numbers, names = [f"7{n:015}" for n in block], [f"nobody.{n:06}" for n in block]
    by_card = (answered(partial(ledger.log_in_by_card, order(ANONYMOUS), number, PIN)) for number in numbers)
    by_web = (answered(partial(ledger.log_in_by_web, order(ANONYMOUS), name, PASSWORD)) for name in names)
    return set(await asyncio.gather(*by_card, *by_web))


def test_tries_at_unknown_cards_and_web_ids_grow_no_table_but_the_bounded_one(database_url: str) -> None:
    try_nobody(database_url, TRIES)


@pytest.mark.campaign
def test_a_hundred_thousand_tries_at_unknown_identifiers_grow_no_table_but_the_bounded_one(database_url: str) -> None:
    try_nobody(database_url, MANY_TRIES)
