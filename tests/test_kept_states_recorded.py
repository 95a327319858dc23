"""Kept states in the database: written with the events they follow or not at all, used by the code that wrote them, and
needed by nobody."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from ledgers import (
    BANK,
    Holder,
    all_told,
    assert_dense,
    borrowed,
    holder,
    order,
    rows,
    told,
    until,
    with_ledgers,
)
from serving import clean_environment

from ledger.aggregates.card import Card
from ledger.application import Ledger
from ledger.audit.drift import verify
from ledger.audit.fold import Finding
from ledger.lane.folds import ENTRIES_HELD, KEEP_EVERY
from ledger.store.kept import fold_code
from ledger.store.log import EVENTS_AT_MOST


def wrong(dsn: str) -> tuple[int, list[Finding]]:
    """How many kept states the audit compared, and what it found."""

    async def run() -> tuple[int, list[Finding]]:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            done = await verify(connection, [])
            return done.kept_states, done.findings

    return asyncio.run(run())


def right(dsn: str) -> int:
    compared, findings = wrong(dsn)
    assert findings == []
    return compared


def versions(dsn: str) -> list[tuple[int, int]]:
    """The version that each card was kept at, and the one it is at."""
    return rows(
        dsn,
        "select k.version, max(e.originator_version) from kept_states k"
        " join ledger_events e on e.originator_id = k.stream group by k.stream, k.version",
    )


async def repaid(ledger: Ledger, card: Holder, times: int) -> list[str]:
    return await all_told(ledger.repay(order(BANK), card.card_id, 1, "bank-transfer", None) for _ in range(times))


def long_card(dsn: str, repayments: int = KEEP_EVERY + 10) -> Holder:
    async def story(ledger: Ledger) -> Holder:
        card = await holder(ledger)
        await borrowed(ledger, card, 300_000)
        assert set(await repaid(ledger, card, repayments)) == {"ok"}
        return card

    return with_ledgers(dsn, story)


def rebuilt(dsn: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from ledger.cli import main; main()", "projections", "rebuild", "kept_states"],
        env=clean_environment() | {"DATABASE_URL": dsn},
        check=False,
        capture_output=True,
        text=True,
    )


def goes_on(dsn: str, card: Holder) -> dict[str, Any]:
    """The answer to one repayment more, by a ledger that has nothing in memory."""

    async def story(ledger: Ledger) -> dict[str, Any]:
        return (await ledger.repay(order(BANK), card.card_id, 1000, "bank-transfer", None)).body

    return with_ledgers(dsn, story)


def length(dsn: str, card: Holder) -> int:
    return int(rows(dsn, "select count(*) from ledger_events where originator_id = %s", card.card_id)[0])


def test_a_card_in_memory_holds_few_of_its_entries_however_often_it_is_paid(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[int]:
        card = await holder(ledger)
        await borrowed(ledger, card, 300_000)
        held = []
        for _ in range(2 * ENTRIES_HELD):
            await repaid(ledger, card, 1)
            kept = ledger.lane._folds.get(card.card_id)
            assert isinstance(kept, Card)
            held.append(len(kept.written.entries))
        return held

    held = with_ledgers(database_url, story)
    assert max(held) == ENTRIES_HELD
    assert held[-1] < ENTRIES_HELD


def test_a_card_is_kept_once_for_each_stretch_of_its_stream_and_is_what_the_stream_says(database_url: str) -> None:
    card = long_card(database_url, KEEP_EVERY // 2)
    assert versions(database_url) == []

    with_ledgers(database_url, lambda ledger: repaid(ledger, card, 2 * KEEP_EVERY))

    [(kept_at, present)] = versions(database_url)
    assert 0 <= present - kept_at < KEEP_EVERY
    assert right(database_url) == 1


def test_the_next_act_on_a_cold_card_is_decided_from_the_kept_state_and_the_events_after_it(database_url: str) -> None:
    """A mark in the kept state that no event explains shows that it was used; only a test may do this to a card."""
    card = long_card(database_url)
    state = msgspec.json.decode(rows(database_url, "select state from kept_states")[0])
    state["folded"]["account"]["standing"]["due"]["day"] = "2099-01-05"
    rows(database_url, "update kept_states set state = %s", msgspec.json.encode(state))

    assert goes_on(database_url, card)["next_due"] == "2099-01-05"


def test_a_state_that_other_code_kept_is_not_used_and_kept_anew(database_url: str) -> None:
    card = long_card(database_url)
    before = goes_on(database_url, card)["principal_after"]
    rows(database_url, "update kept_states set fold_code = 'before', state = 'a form of before', version = version - 1")

    assert goes_on(database_url, card)["principal_after"] == before - 1000
    assert rows(database_url, "select fold_code from kept_states") == [fold_code()]
    [(kept_at, present)] = versions(database_url)
    assert kept_at == present
    assert right(database_url) == 1


@pytest.mark.parametrize(
    "harm",
    [
        "delete from kept_states",
        "update kept_states set state = '{}'",
        "update kept_states set state = 'no JSON'",
        "update kept_states set version = version + 1000",
    ],
)
def test_without_a_readable_state_the_card_is_folded_from_its_first_event(database_url: str, harm: str) -> None:
    card = long_card(database_url)
    before = goes_on(database_url, card)["principal_after"]
    rows(database_url, harm)

    assert goes_on(database_url, card)["principal_after"] == before - 1000
    assert right(database_url) == 1


def test_an_old_repayment_can_be_reversed_on_a_card_that_goes_on_from_its_kept_state(database_url: str) -> None:
    card = long_card(database_url)
    first = _first_repayment(database_url)

    async def story(ledger: Ledger) -> list[str]:
        reversing = [told(ledger.reverse_repayment(order(BANK), card.card_id, first)) for _ in range(2)]
        beside = [told(ledger.repay(order(BANK), card.card_id, 1, "bank-transfer", None)) for _ in range(4)]
        return list(await asyncio.gather(beside[0], *reversing, *beside[1:]))

    answers = with_ledgers(database_url, story)

    assert sorted(answers) == ["already-reversed", "ok", "ok", "ok", "ok", "ok"]
    assert_dense(database_url)
    assert right(database_url) == 1


def test_a_fact_behind_the_cut_that_came_after_the_state_has_the_card_folded_from_its_first_event(
    database_url: str,
) -> None:
    card = long_card(database_url)
    first = _first_repayment(database_url)
    [before] = rows(database_url, "select row_to_json(k)::text from kept_states k")

    async def story(ledger: Ledger) -> int:
        await ledger.reverse_repayment(order(BANK), card.card_id, first)
        return int((await ledger.repay(order(BANK), card.card_id, 1000, "bank-transfer", None)).body["principal_after"])

    principal = with_ledgers(database_url, story)
    rows(database_url, "delete from kept_states")
    rows(database_url, "insert into kept_states select * from json_populate_record(null::kept_states, %s)", before)

    assert goes_on(database_url, card)["principal_after"] == principal - 1000
    assert right(database_url) == 1


def _first_repayment(dsn: str) -> UUID:
    query = """
        select convert_from(state, 'UTF8')::jsonb->'data'->>'repayment_id' from ledger_events
        where topic = 'card.repayment-made' order by notification_id limit 1"""
    return UUID(rows(dsn, query)[0])


def test_an_act_on_another_card_does_not_wait_for_a_long_one_to_be_folded(database_url: str) -> None:
    long_one = long_card(database_url, 3 * EVENTS_AT_MOST)
    rows(database_url, "delete from kept_states")
    finished: list[str] = []

    async def repay(ledger: Ledger, card: Holder, name: str) -> None:
        await ledger.repay(order(BANK), card.card_id, 1, "bank-transfer", None)
        finished.append(name)

    async def story(ledger: Ledger) -> None:
        short_one = await holder(ledger, email="short@example.com")
        waiting = asyncio.create_task(repay(ledger, long_one, "long"))
        await asyncio.sleep(0)
        await repay(ledger, short_one, "short")
        await waiting

    with_ledgers(database_url, story)

    assert finished == ["short", "long"]


def test_two_processes_on_one_long_card_stay_exact_and_keep_it_right(database_url: str) -> None:
    card = long_card(database_url, KEEP_EVERY - 20)

    async def story(one: Ledger, other: Ledger) -> list[str]:
        return [
            answer
            for _ in range(10)
            for answers in await asyncio.gather(*(repaid(ledger, card, 25) for ledger in (one, other)))
            for answer in answers
        ]

    assert set(with_ledgers(database_url, story, 2)) == {"ok"}
    assert_dense(database_url)
    assert right(database_url) == 1
    repayments = rows(database_url, "select count(*) from ledger_events where topic = 'card.repayment-made'")
    assert repayments == [KEEP_EVERY - 20 + 500]


def test_a_state_is_kept_by_no_act_that_clashed(database_url: str) -> None:
    """The act that would keep it is decided, and then another process is first."""
    card = long_card(database_url, KEEP_EVERY // 2)
    missing = KEEP_EVERY - length(database_url, card)

    async def story(one: Ledger, other: Ledger) -> None:
        await repaid(one, card, missing - 1)
        await repaid(other, card, 1)
        assert versions(database_url) == [(KEEP_EVERY, KEEP_EVERY)]
        rows(database_url, "delete from kept_states")
        async with await psycopg.AsyncConnection.connect(database_url) as holding:
            await holding.execute("select from log_head for update")
            both = [asyncio.create_task(repaid(ledger, card, 1)) for ledger in (one, other)]
            waiting = "select count(*) from pg_locks where not granted and locktype in ('transactionid', 'tuple')"
            await until(lambda: rows(database_url, waiting) == [2])
        assert await asyncio.gather(*both) == [["ok"], ["ok"]]

    with_ledgers(database_url, story, 2)

    [(kept_at, present)] = versions(database_url)
    assert present == KEEP_EVERY + 2
    assert kept_at in (present - 1, present)
    assert right(database_url) == 1


def test_the_audit_names_the_field_of_a_kept_state_that_is_wrong_and_a_rebuild_is_to_delete_it(
    database_url: str,
) -> None:
    card = long_card(database_url)
    state = msgspec.json.decode(rows(database_url, "select state from kept_states")[0])
    principal = state["folded"]["account"]["standing"]["principal"]
    state["folded"]["account"]["standing"]["principal"] = principal + 1
    rows(database_url, "update kept_states set state = %s", msgspec.json.encode(state))

    compared, [finding] = wrong(database_url)

    assert compared == 1
    assert (finding.what, finding.subject) == ("kept-state", card.card_id)
    assert finding.field == "state.folded.account.standing.principal"
    assert (finding.stored, finding.replayed) == (principal + 1, principal)
    at_version = "select notification_id from ledger_events e, kept_states k where originator_id = stream"
    assert [finding.position] == rows(database_url, f"{at_version} and originator_version = version")

    deleted = rebuilt(database_url)
    assert (deleted.returncode, deleted.stderr) == (0, "")
    assert deleted.stdout.startswith("kept_states: 1 rows deleted")
    assert right(database_url) == 0


@pytest.mark.parametrize(
    "harm", ["update kept_states set state = '{}'", "update kept_states set version = version + 1000"]
)
def test_the_audit_names_a_kept_state_that_no_card_ever_had(database_url: str, harm: str) -> None:
    card = long_card(database_url)
    rows(database_url, harm)

    compared, [finding] = wrong(database_url)

    assert (compared, finding.what, finding.subject) == (1, "kept-state", card.card_id)


WORKER = """
import asyncio, sys
from ledgers import BANK, opened, order
from uuid import UUID

async def run(dsn, card_id):
    async with opened(dsn) as ledger:
        async def repay():
            while True:
                await ledger.repay(order(BANK), card_id, 1, "bank-transfer", None)
                print("paid", flush=True)
        await asyncio.gather(*(repay() for _ in range(8)))

asyncio.run(run(sys.argv[1], UUID(sys.argv[2])))
"""


def test_a_process_killed_at_any_moment_leaves_no_state_that_is_not_the_log_s(database_url: str) -> None:
    card = long_card(database_url, 20)
    paid = 20
    for more in (3, 88, 241):
        paid += _killed(database_url, card, KEEP_EVERY + more)
        assert right(database_url) == 1
    assert_dense(database_url)
    repayments = rows(database_url, "select count(*) from ledger_events where topic = 'card.repayment-made'")[0]
    assert paid <= repayments <= paid + 3 * 8  # what was under way when it was killed


def _killed(dsn: str, card: Holder, after: int) -> int:
    """Let a process of its own repay until it was answered so many times, and kill it; how often it was answered."""
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(here), str(here.parent)))}
    command = [sys.executable, "-c", WORKER, dsn, str(card.card_id)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        for _ in range(after):
            assert process.stdout.readline() == "paid\n"
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().count("paid\n")
    return after + rest
