"""A long log in little time: the facts of some cards, made by real acts, copied to as many cards as are wanted.

What must stay true: a generated log is a valid one. Positions, versions and recorded times are as `record_acts` would
have left them, the facts of one act stand together, and every copy tells one story under ids of its own. Only the log
is filled; no vault and no look-up knows the copied cards.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from ledger.application import Ledger
from ledger.bench import cards
from ledger.bench.cards import COUNTER, PIN, SERVICE, BenchCard, order
from ledger.bench.servers import Database
from ledger.instruction import ANONYMOUS
from ledger.refusals import BadCredentials

TOGETHER = 200
"""Copies that take turns act by act, so that a card's events lie apart in the log, as they do in life."""
_FORM_BITS = 0xF000_C000_0000_0000_0000
"""The version and the variant of a UUID: bits that tell its form, and stay."""
_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_STORIES = """
select originator_id, originator_version, topic, state from ledger_events
where originator_id = any(%s) order by notification_id
"""
_HEAD = "select notification_id, recorded_at from ledger_events order by notification_id desc limit 1"
_COPY = """
copy ledger_events (originator_id, originator_version, topic, state, notification_id, recorded_at)
from stdin (format binary)
"""
_TYPES = ["uuid", "int8", "text", "bytea", "int8", "timestamptz"]


@dataclass(frozen=True, slots=True)
class _Told:
    """One event of a story: its stored bytes around the ids in them, each id by its number in the story."""

    stream: int
    version: int
    topic: str
    parts: bytes
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """What befell one card and its member, act by act; `ids` are all that the facts name."""

    ids: tuple[int, ...]
    acts: tuple[tuple[_Told, ...], ...]

    @classmethod
    def of(cls, rows: list[tuple[UUID, int, str, bytes]]) -> Story:
        """The story that stored rows tell, in their order."""
        numbers: dict[int, int] = {}
        acts: list[list[_Told]] = []
        command = b""
        for stream, version, topic, state in rows:
            found = [numbers.setdefault(UUID(each.decode()).int, len(numbers)) for each in _ID.findall(state)]
            told = _Told(
                numbers.setdefault(stream.int, len(numbers)),
                version,
                topic,
                _ID.sub(b"%b", state.replace(b"%", b"%%")),
                tuple(found),
            )
            doing = state.partition(b'"command_id":"')[2][:36]
            if doing != command:
                acts.append([])
                command = doing
            acts[-1].append(told)
        return cls(tuple(numbers), tuple(map(tuple, acts)))

    def copy(self) -> Iterator[Iterator[tuple[UUID, int, str, bytes]]]:
        """The rows of each act under new ids: every id is changed by one and the same random number."""
        change = uuid4().int & ~_FORM_BITS
        ids = [UUID(int=each ^ change) for each in self.ids]
        texts = [str(each).encode() for each in ids]
        for act in self.acts:
            yield (
                (ids[each.stream], each.version, each.topic, each.parts % tuple(texts[number] for number in each.ids))
                for each in act
            )


class Generator:
    """Tells the stories once, by real acts, and then copies them as often as the log shall be long."""

    def __init__(self, dsn: str, stories: list[Story], longest: UUID) -> None:
        self._dsn = dsn
        self._stories = stories
        self.longest = longest
        """The card with the longest stream; its facts are real ones, every one."""

    @classmethod
    def prepared(cls, base: Database, *, longest: int) -> Generator:
        """Make the stories, and a card with so many repayments."""
        members, long = asyncio.run(_told(base, longest))
        dsn = base.dsns["ours"]
        with psycopg.connect(dsn, autocommit=True) as connection:
            stories = [
                Story.of(connection.cursor(binary=True).execute(_STORIES, (list(pair),)).fetchall()) for pair in members
            ]
        return cls(dsn, stories, long)

    def fill(self, events: int) -> int:
        """Bring the log to at least so many events, and answer how many there are: every story is told to its end."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            head, at = self._standing(connection)
            with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                copy.set_types(_TYPES)
                while head < events:
                    for stream, version, topic, state in self._round(events - head):
                        head += 1
                        at += timedelta(microseconds=1)
                        copy.write_row((stream, version, topic, state, head, at))
            connection.execute("vacuum analyze ledger_events")
        return head

    @staticmethod
    def _standing(connection: psycopg.Connection[Any]) -> tuple[int, datetime]:
        row = connection.execute(_HEAD).fetchone()
        assert row is not None, "the stories were told by acts"
        return row[0], row[1]

    def _round(self, wanted: int) -> Iterator[tuple[UUID, int, str, bytes]]:
        """The rows of some copies that take turns, act by act, until each is told."""
        length = sum(len(act) for story in self._stories for act in story.acts)
        times = max(1, min(TOGETHER // len(self._stories), -(-wanted // length)))
        telling = [story.copy() for story in self._stories for _ in range(times)]
        while telling:
            still = []
            for copy in telling:
                act = next(copy, None)
                if act is not None:
                    yield from act
                    still.append(copy)
            telling = still


async def _told(base: Database, longest: int) -> tuple[list[tuple[UUID, UUID]], UUID]:
    """The members and cards of the stories, and the card that was paid back so often."""
    async with cards.opened(base) as ledger:
        long = await cards.card(ledger)
        await cards.repaid(ledger, long.card_id, longest)
        return [await _life(ledger, repayments) for repayments in (4, 12, 40)], long.card_id


async def _life(ledger: Ledger, repayments: int) -> tuple[UUID, UUID]:
    """A member whose card is lent on, guessed at, paid back, and paid back wrongly once."""
    card = await cards.card(ledger)
    entry = await ledger.directory.card(card.card_id)
    assert entry is not None
    for number in range(repayments):
        if number % 8 == 3:
            await _guessed(ledger, card)
        await ledger.repay(order(SERVICE), card.card_id, 5_000 + 100 * number, "bank-transfer", None)
    made = await ledger.repay(order(SERVICE), card.card_id, 1_000, "bank-transfer", None)
    await ledger.reverse_repayment(order(COUNTER), card.card_id, UUID(made.body["repayment_id"]))
    return entry.member_id, card.card_id


async def _guessed(ledger: Ledger, card: BenchCard) -> None:
    """A wrong PIN, and then the right one."""
    with suppress(BadCredentials):
        await ledger.log_in_by_card(order(ANONYMOUS), card.number, PIN[::-1])
    await ledger.log_in_by_card(order(ANONYMOUS), card.number, PIN)
