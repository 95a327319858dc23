"""The projector: what it shows is what the log says, whatever happens to it on the way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ledgers import (
    ANONYMOUS,
    ATM,
    BANK,
    PIN,
    WRONG_PIN,
    Holder,
    all_told,
    assert_dense,
    borrowed,
    caller_of,
    holder,
    order,
    project,
    rows,
    session,
    terminate_backends,
    told,
    until,
    with_ledgers,
)

from ledger.aggregates.card import Card
from ledger.application import Ledger
from ledger.instruction import Caller
from ledger.projections import status
from ledger.projections.balances import restored
from ledger.projections.projector import READ_MODELS, Projector
from ledger.projections.read_model import Kept, ReadModel, Write
from ledger.projections.rebuild import rebuild
from ledger.store.pages import Connection, Recorded

CREDIT = Caller(subject="credit", role="credit", channel="counter")
NAMES = sorted(model.name for model in READ_MODELS)


@asynccontextmanager
async def following(dsn: str, *projectors: Projector) -> AsyncIterator[None]:
    """The projectors run meanwhile."""
    chosen = projectors or (Projector(dsn),)
    tasks = [asyncio.create_task(projector.run()) for projector in chosen]
    try:
        yield
    finally:
        for projector in chosen:
            projector.stop()
        await asyncio.gather(*tasks)


def positions(dsn: str) -> dict[str, int]:
    return dict(rows(dsn, "select name, position from projections"))


def head(dsn: str) -> int:
    last: int = rows(dsn, "select coalesce(max(notification_id), 0) from ledger_events")[0]
    return last


def shown(dsn: str, *names: str) -> bool:
    """Whether the read models show the whole log."""
    at = positions(dsn)
    return all(at.get(name) == head(dsn) for name in names or NAMES)


def statuses(dsn: str) -> dict[str, status.ProjectionStatus]:
    with psycopg.connect(dsn) as connection:
        return {each.name: each for each in status.listing(connection)}


def retry(dsn: str, name: str) -> bool:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return status.retry(connection, name)


def assert_rows_are_replays(ledger: Ledger, dsn: str) -> None:
    """Each card as its row keeps it is the card as its stream tells it."""
    kept = [restored(*row) for row in rows(dsn, "select card_id, member_id, version, state from balances")]
    streams = rows(dsn, "select originator_id from ledger_events where topic = 'card.card-issued'")
    assert {card.id for card in kept} == set(streams)
    for card in kept:
        replayed = ledger.repository.get(card.id)
        assert isinstance(replayed, Card)
        assert (card.version, card.member_id) == (replayed.version, replayed.member_id)
        assert (card.number_last4, card.issued_at) == (replayed.number_last4, replayed.issued_at)
        assert card.access == replayed.access
        assert card.account == replayed.account


async def assert_as_rebuilt(dsn: str) -> None:
    """A rebuild finds every read model as it would make it."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        for model in READ_MODELS:
            done = await rebuild(connection, model)
            assert (done.as_before, done.position) == (True, head(dsn)), model.name


# Equality over histories ----------------------------------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("draw"), st.integers(1, 30)),
    st.tuples(st.just("confirm"), st.integers(0, 40)),
    st.tuples(st.just("fail"), st.just(0)),
    st.tuples(st.just("reverse-advance"), st.integers(0, 3)),
    st.tuples(st.just("repay"), st.integers(1, 40)),
    st.tuples(st.just("reverse-repayment"), st.integers(0, 3)),
    st.tuples(st.just("wrong-pin"), st.integers(1, 3)),
    st.tuples(st.just("reset-pin"), st.just(0)),
    st.tuples(st.sampled_from(["stop", "lift", "suspend", "resume"]), st.just(0)),
    st.tuples(st.just("days"), st.integers(1, 50)),
    st.tuples(st.just("project"), st.just(0)),
)


class Life:
    """A card that lives through drawn steps; what is refused is left out."""

    def __init__(self, ledger: Ledger, dsn: str, card: Holder) -> None:
        self.ledger, self.dsn, self.card = ledger, dsn, card
        self.made: dict[str, list[UUID]] = {"advance": [], "repayment": [], "stop": [], "suspension": []}

    def last(self, kind: str, back: int = 0) -> UUID:
        made = self.made[kind]
        return made[-1 - back % len(made)] if made else UUID(int=0)

    async def do(self, act: Any, kind: str = "") -> None:
        answers: list[Any] = await asyncio.gather(act, return_exceptions=True)
        if hasattr(answers[0], "body") and kind:
            self.made[kind].append(UUID(answers[0].body[f"{kind}_id"]))

    async def live(self, step: str, size: int) -> None:  # noqa: PLR0912
        ledger, card_id = self.ledger, self.card.card_id
        now = await ledger.sandbox.now()
        on = now.date() - timedelta(days=size % 20)
        match step:
            case "draw":
                with contextlib.suppress(Exception):
                    caller = await caller_of(ledger, await session(ledger, self.card))
                    await self.do(ledger.draw_advance(order(caller), card_id, size * 10_000, "transfer"), "advance")
            case "confirm":
                await self.do(ledger.confirm_advance(order(BANK), card_id, self.last("advance"), on))
            case "fail":
                await self.do(ledger.fail_advance(order(BANK), card_id, self.last("advance")))
            case "reverse-advance":
                await self.do(ledger.reverse_advance(order(BANK), card_id, self.last("advance", size)))
            case "repay":
                paid = ledger.repay(order(BANK), card_id, size * 999, "bank-transfer", on if size % 3 else None)
                await self.do(paid, "repayment")
            case "reverse-repayment":
                await self.do(ledger.reverse_repayment(order(BANK), card_id, self.last("repayment", size)))
            case "wrong-pin":
                for _ in range(size):
                    await told(ledger.log_in_by_card(order(ATM), self.card.number, WRONG_PIN))
            case "reset-pin":
                await self.do(ledger.reset_pin(order(), card_id, PIN, "passport", now))
            case "stop":
                await self.do(ledger.stop(order(), card_id, "lost"), "stop")
            case "lift":
                await self.do(ledger.request_lifting(order(), card_id, self.last("stop"), "check-1"))
                await self.do(ledger.approve_lifting(order(CREDIT), card_id, self.last("stop")))
            case "suspend":
                await self.do(ledger.suspend(order(CREDIT), card_id, "own-wish"), "suspension")
            case "resume":
                await self.do(ledger.resume(order(CREDIT), card_id, self.last("suspension"), "check-2"))
            case "days":
                await ledger.sandbox.move_clock(now + timedelta(days=size))
            case "project":
                await project(self.dsn)


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.generate),
)
@given(st.lists(STEP, min_size=8, max_size=25))
def test_rows_that_followed_are_rows_rebuilt_and_cards_replayed(
    database_url: str, steps: list[tuple[str, int]]
) -> None:
    """One database for all examples: each adds a card, and every card ever made is compared again."""

    async def story(ledger: Ledger) -> None:
        life = Life(ledger, database_url, await holder(ledger, email=f"{uuid4()}@example.com"))
        await life.live("draw", 10)
        await life.live("confirm", 0)
        for step, size in steps:
            await life.live(step, size)
        await project(database_url)
        assert_rows_are_replays(ledger, database_url)
        await assert_as_rebuilt(database_url)
        assert_rows_are_replays(ledger, database_url)

    with_ledgers(database_url, story)


# Poison ---------------------------------------------------------------------------------------------------------------


class Choking(ReadModel):
    """A read model that cannot take one kind of event until it is mended."""

    name = "transactions"

    def __init__(self, topic: str) -> None:
        self.topic, self.mended = topic, False

    async def write(self, connection: Connection, events: Sequence[Recorded], table: str, kept: Kept) -> Write | None:
        if not self.mended and any(recorded.event.fact.topic == self.topic for recorded in events):
            raise ZeroDivisionError
        return await self._real.write(connection, events, table, kept)

    async def apply(self, connection: Connection, events: Sequence[Recorded], table: str) -> None:
        for recorded in events:
            await self._real.apply(connection, [recorded], table)
            if recorded.event.fact.topic == self.topic and not self.mended:
                raise ZeroDivisionError

    @property
    def _real(self) -> ReadModel:
        return next(model for model in READ_MODELS if model.name == self.name)


def test_a_poison_event_stops_its_read_model_alone_until_it_is_mended(database_url: str) -> None:
    choking = Choking("card.advance-confirmed")
    models = [choking if model.name == choking.name else model for model in READ_MODELS]

    async def story(ledger: Ledger) -> None:
        async with following(database_url, Projector(database_url, models)):
            card = await holder(ledger)
            await borrowed(ledger, card, 100_000)
            await ledger.repay(order(BANK), card.card_id, 5_000, "bank-transfer", None)
            others = [name for name in NAMES if name != choking.name]
            await until(lambda: shown(database_url, *others))
            await until(lambda: statuses(database_url)[choking.name].state == "failed")
            (poison,) = rows(database_url, "select notification_id from ledger_events where topic = %s", choking.topic)
            at = statuses(database_url)[choking.name]
            failure = (at.failed_position, at.failed_type, at.failed_error)
            assert failure == (poison, choking.topic, "ZeroDivisionError")
            assert at.position == poison - 1
            assert rows(database_url, "select count(*) from transactions") == [0]
            assert all(statuses(database_url)[name].state == "following" for name in others)

            assert retry(database_url, choking.name)  # not mended yet: it stops at the same event again
            await until(lambda: statuses(database_url)[choking.name].state == "failed")
            assert statuses(database_url)[choking.name].position == poison - 1

            choking.mended = True
            assert retry(database_url, choking.name)
            await until(lambda: shown(database_url))
            assert not retry(database_url, choking.name)
        assert rows(database_url, "select kind from transactions order by position") == ["advance", "repayment"]
        await assert_as_rebuilt(database_url)

    with_ledgers(database_url, story)


def test_an_event_that_cannot_be_read_stops_every_read_model_before_it_and_nothing_is_skipped(
    database_url: str,
) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        await borrowed(ledger, card, 100_000)
        rows(
            database_url,
            "insert into ledger_events values (%s, 1, 'member.member-enrolled', '{}', %s)",
            uuid4(),
            head(database_url) + 1,
        )
        poison = head(database_url)
        await ledger.repay(order(BANK), card.card_id, 5_000, "bank-transfer", None)
        async with following(database_url):
            await until(lambda: [each.state for each in statuses(database_url).values()] == ["failed"] * len(NAMES))
            assert set(positions(database_url).values()) == {poison - 1}
            assert {each.failed_position for each in statuses(database_url).values()} == {poison}
            assert rows(database_url, "select kind from transactions") == ["advance"]

    with_ledgers(database_url, story)


# Waking and losing ----------------------------------------------------------------------------------------------------


def test_a_wake_up_that_was_lost_is_made_good_by_the_poll(database_url: str) -> None:
    class Deaf(Projector):
        async def _listen(self) -> None:
            await asyncio.Event().wait()

    async def story(ledger: Ledger) -> None:
        async with following(database_url, Deaf(database_url)):
            await until(lambda: len(positions(database_url)) == len(NAMES))
            await asyncio.sleep(0.2)  # it found nothing to do and waits
            await holder(ledger)
            await until(lambda: shown(database_url), seconds=5)

    with_ledgers(database_url, story)


def test_a_projector_that_loses_its_connections_under_load_goes_on_and_misses_nothing(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        await borrowed(ledger, card, 300_000)
        async with following(database_url):

            async def client(name: int) -> None:
                for n in range(30):
                    key = f"{name}-{n}"
                    repay = (order(BANK, key=key), card.card_id, 201, "bank-transfer", None)
                    while await told(ledger.repay(*repay)) == "database-unavailable":
                        await asyncio.sleep(0.02)

            running = asyncio.gather(*(client(name) for name in range(6)))
            for _ in range(5):
                await asyncio.sleep(0.1)
                await asyncio.to_thread(terminate_backends, database_url)
            await running
            await until(lambda: shown(database_url))
        assert {each.state for each in statuses(database_url).values()} == {"following"}
        assert rows(database_url, "select count(*) from transactions where kind = 'repayment'") == [180]
        assert_rows_are_replays(ledger, database_url)
        await assert_as_rebuilt(database_url)
        assert_dense(database_url)

    with_ledgers(database_url, story)


def leaders(dsn: str) -> int:
    """Sessions that hold the one lock of the leading projector."""
    count: int = rows(dsn, "select count(*) from pg_locks where locktype = 'advisory' and granted")[0]
    return count


def test_of_two_projectors_one_leads_and_the_other_takes_over(database_url: str) -> None:
    first, second = Projector(database_url), Projector(database_url)

    async def story(ledger: Ledger) -> None:
        async with following(database_url, first):
            await until(lambda: leaders(database_url) == 1)
            async with following(database_url, second):
                cards = [await holder(ledger, email=f"{n}@example.com") for n in range(3)]
                await until(lambda: shown(database_url))
                assert leaders(database_url) == 1
                first.stop()
                for card in cards:
                    await borrowed(ledger, card, 50_000)
                await until(lambda: shown(database_url) and leaders(database_url) == 1)
        # A server process gives its lock up a moment after its client has gone.
        await until(lambda: leaders(database_url) == 0)
        assert rows(database_url, "select count(*) from transactions") == [3]
        assert_rows_are_replays(ledger, database_url)
        await assert_as_rebuilt(database_url)

    with_ledgers(database_url, story)


def test_two_projectors_that_both_believe_they_lead_apply_nothing_twice(database_url: str) -> None:
    """The rows of `projections` are locked for each page: even without the leader's lock a page is applied once."""

    async def story(ledger: Ledger) -> None:
        cards = [await holder(ledger, email=f"{n}@example.com") for n in range(4)]
        for card in cards:
            await borrowed(ledger, card, 50_000)

        async def writes() -> None:
            for n in range(60):
                await ledger.repay(order(BANK), cards[n % 4].card_id, 200 + n, "bank-transfer", None)

        await project(database_url)
        await asyncio.gather(writes(), *(project(database_url) for _ in range(6)))
        await project(database_url)
        assert rows(database_url, "select count(*) from transactions") == [4 + 60]
        assert_rows_are_replays(ledger, database_url)
        await assert_as_rebuilt(database_url)

    with_ledgers(database_url, story)


def test_a_page_that_was_read_before_somebody_else_moved_the_position_leaves_nothing(database_url: str) -> None:
    class Overtaken(ReadModel):
        """Another projector takes the page while this one is about to write it."""

        name = "journal"

        def __init__(self) -> None:
            self.overtaken = 0

        async def write(
            self, connection: Connection, events: Sequence[Recorded], table: str, kept: Kept
        ) -> Write | None:
            real: ReadModel = next(model for model in READ_MODELS if model.name == self.name)
            if not self.overtaken:
                self.overtaken = events[-1].position
                await project(database_url)
            return await real.write(connection, events, table, kept)

    async def story(ledger: Ledger) -> None:
        await borrowed(ledger, await holder(ledger), 50_000)
        late = Overtaken()
        await project(database_url, Projector(database_url, [late]))
        assert late.overtaken == head(database_url)
        await assert_as_rebuilt(database_url)

    with_ledgers(database_url, story)


PROJECTOR_PROCESS = """
import asyncio, sys
from ledger.projections.projector import run
asyncio.run(run(sys.argv[1]))
"""


def test_a_projector_that_is_killed_leaves_rows_and_position_of_one_page(database_url: str) -> None:
    """Killed again and again in the middle of its work: at every moment the rows are those of the position."""

    async def story(ledger: Ledger) -> None:
        cards = [await holder(ledger, email=f"{n}@example.com") for n in range(5)]
        for card in cards:
            await borrowed(ledger, card, 200_000)
        writing = True

        async def writes() -> None:
            n = 0
            while writing:
                n += 1
                repay = [(order(BANK), card.card_id, 200 + n % 7, "bank-transfer", None) for card in cards]
                await all_told(ledger.repay(*each) for each in repay)

        task = asyncio.create_task(writes())
        for kill in range(5):
            before = positions(database_url).get("balances", 0)
            process = subprocess.Popen([sys.executable, "-c", PROJECTOR_PROCESS, database_url])
            try:
                await until(lambda before=before: positions(database_url).get("balances", 0) > before)  # type: ignore[misc]
                await asyncio.sleep(0.03 * kill)
            finally:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            await until(lambda: leaders(database_url) == 0)
            moved = dict(rows(database_url, "select name, position from projections"))
            money = "topic in ('card.advance-confirmed', 'card.repayment-made')"
            (told_of,) = rows(
                database_url,
                f"select count(*) from ledger_events where notification_id <= %s and {money}",  # noqa: S608
                moved["transactions"],
            )
            assert rows(database_url, "select count(*) from transactions") == [told_of]
            versions = """
                select count(*) from balances b where version <> (
                    select max(originator_version) from ledger_events
                    where originator_id = b.card_id and notification_id <= %s)"""
            assert rows(database_url, versions, moved["balances"]) == [0]
        writing = False
        await task
        await project(database_url)
        assert_rows_are_replays(ledger, database_url)
        await assert_as_rebuilt(database_url)

    with_ledgers(database_url, story)


def test_no_act_needs_a_read_model(database_url: str) -> None:
    """With every read model gone the whole story is decided as ever."""

    async def story(ledger: Ledger) -> list[str]:
        rows(database_url, "drop table balances, transactions, lockouts, journal")
        card = await holder(ledger)
        await borrowed(ledger, card, 100_000)
        return [
            await told(ledger.repay(order(BANK), card.card_id, 5_000, "bank-transfer", None)),
            *[await told(ledger.log_in_by_card(order(ANONYMOUS), card.number, WRONG_PIN)) for _ in range(3)],
            await told(ledger.log_in_by_card(order(ANONYMOUS), card.number, PIN)),
        ]

    assert with_ledgers(database_url, story) == [
        "ok",
        "bad-credentials",
        "bad-credentials",
        "card-locked",
        "card-locked",
    ]
