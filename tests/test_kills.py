"""Kill -9 of the API, the projector and PostgreSQL, again and again under load: no act is lost, none is done twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from ledgers import assert_dense, borrowed, holder, opened, rows
from serving import START_SECONDS, Client, free_port, ready, started

from ledger.audit.drift import verify
from ledger.bench import checks
from ledger.projections.projector import READ_MODELS
from ledger.store import schema
from ledger.store.embedded import EmbeddedPostgres
from ledger.store.keys import Keyring

PAYERS = 4
PARTS = ("api", "projector", "postgres")
PASSING = {"database-unavailable", "busy", "idempotency-key-in-use"}
"""What a caller may be told while a part is away: each means that the same request may be sent again."""
PROGRESS = 8
"""Acts that are acknowledged between two kills, at least."""


@dataclass
class Payer:
    """Pays one yen at a time; a request that was not answered is sent again under its key until it is."""

    client: Client
    card_id: UUID
    done: threading.Event = field(default_factory=threading.Event)
    acknowledged: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        while not self.done.is_set():
            key = f"{self.card_id}-{len(self.acknowledged)}"
            while not self.paid(key):
                time.sleep(0.02)

    def paid(self, key: str) -> bool:
        path, body = f"/v1/cards/{self.card_id}/repayments", {"amount": 1, "method": "bank-transfer"}
        try:
            reply = self.client.post(path, "service", body, key=key)
        except (OSError, HTTPException):
            self.told["no answer"] += 1
            return False
        self.told[reply.code] += 1
        if reply.status == 201:
            self.acknowledged.append(reply.body["repayment_id"])
        return reply.status == 201


@dataclass
class House:
    """The three parts as processes of their own, each killed and started again."""

    folder: Path
    dsn: str
    client: Client
    stack: ExitStack
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, part: str) -> None:
        if part == "postgres":
            self.stack.enter_context(EmbeddedPostgres.at(self.folder / "database"))
            return
        command = ("project", "--sandbox") if part == "projector" else (
            "serve", "--sandbox", "--no-projector", "--port", str(self.client.port)
        )  # fmt: skip
        self.processes[part] = self.stack.enter_context(started(*command, dsn=self.dsn, keys=self.folder / "keys.json"))

    def kill(self, part: str) -> None:
        if part == "postgres":
            lock = self.folder / "database" / "postgres" / "postmaster.pid"
            os.kill(int(lock.read_text().splitlines()[0]), signal.SIGKILL)
        else:
            self.processes[part].kill()
            self.processes[part].wait()

    def shown(self) -> int:
        """The position that every read model has reached; a projector that met no database is started again.

        Whoever supervises processes does the same.
        """
        if self.processes["projector"].poll() is not None:
            self.start("projector")
        (position,) = rows(self.dsn, "select coalesce(min(position), 0) from projections")
        return int(position)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready(self.client):
            assert time.monotonic() < deadline, "the API does not come back"
            time.sleep(0.02)


@contextmanager
def housed(folder: Path) -> Iterator[House]:
    """All parts running on a new sandbox database, which is as durable as any."""
    Keyring.create(folder / "keys.json")
    with ExitStack() as stack:
        dsn = stack.enter_context(EmbeddedPostgres.at(folder / "database")).dsn
        schema.migrate(dsn, sandbox=True)
        house = House(folder, dsn, Client(free_port(), dsn), stack)
        house.start("api")
        house.start("projector")
        house.wait_until_ready()
        yield house


async def cards(house: House) -> list[UUID]:
    """Cards that owe so much that every payment is one of principal."""
    async with opened(house.dsn, Keyring.load(house.folder / "keys.json")) as ledger:
        made = [await holder(ledger, email=f"{number}@example.com") for number in range(PAYERS)]
        for card in made:
            await borrowed(ledger, card, 400_000)
        return [card.card_id for card in made]


def killed_under_load(house: House, payers: list[Payer], times: int) -> None:
    """Kill each part in turn, at a moment that depends on nothing, after there was progress since the last time."""
    moment = random.Random(times)  # noqa: S311
    for number in range(times):
        acts, position, deadline = acknowledged(payers), house.shown(), time.monotonic() + START_SECONDS
        while acknowledged(payers) < acts + PROGRESS or house.shown() <= position:
            assert time.monotonic() < deadline, "no act is acknowledged, or shown, any more"
            time.sleep(0.02)
        time.sleep(moment.uniform(0, 0.3))
        part = PARTS[number % len(PARTS)]
        house.kill(part)
        house.start(part)
        house.wait_until_ready()


def acknowledged(payers: list[Payer]) -> int:
    return sum(len(payer.acknowledged) for payer in payers)


def assert_nothing_lost_or_doubled(house: House, payers: list[Payer]) -> None:
    query = """
        select originator_id::text, convert_from(state, 'UTF8')::jsonb#>>'{data,repayment_id}' from ledger_events
        where topic = 'card.repayment-made' order by notification_id"""
    recorded: dict[str, list[str]] = {str(payer.card_id): [] for payer in payers}
    for card_id, repayment_id in rows(house.dsn, query):
        recorded[card_id].append(repayment_id)
    assert recorded == {str(payer.card_id): payer.acknowledged for payer in payers}
    assert_dense(house.dsn)


def assert_read_models_are_replays(house: House) -> None:
    (head,) = rows(house.dsn, "select max(notification_id) from ledger_events")
    deadline = time.monotonic() + START_SECONDS
    while house.shown() < head:
        assert time.monotonic() < deadline, "the projector does not catch up"
        time.sleep(0.05)

    async def findings() -> list[object]:
        async with await psycopg.AsyncConnection.connect(house.dsn, autocommit=True) as connection:
            return list((await verify(connection, READ_MODELS)).findings)

    assert asyncio.run(findings()) == []
    assert [check for check in checks.sums(house.dsn) if not check.right] == []


@pytest.mark.parametrize("times", [5, pytest.param(200, marks=pytest.mark.campaign)])
def test_no_acknowledged_act_is_lost_or_doubled_whatever_is_killed(tmp_path: Path, times: int) -> None:
    with housed(tmp_path) as house:
        payers = [Payer(house.client, card_id) for card_id in asyncio.run(cards(house))]
        house.client.token("service")
        threads = [threading.Thread(target=payer.run) for payer in payers]
        for thread in threads:
            thread.start()
        try:
            killed_under_load(house, payers, times)
        finally:
            for payer in payers:
                payer.done.set()
            for thread in threads:
                thread.join(timeout=60)

        told = sum((payer.told for payer in payers), Counter[str]())
        print(f"{times} kills, {acknowledged(payers)} acknowledged acts, told {dict(told)}")  # noqa: T201
        assert not any(thread.is_alive() for thread in threads)
        assert set(told) <= {"201", "no answer", *PASSING}
        assert told["no answer"] > 0, "a kill was felt"
        assert_nothing_lost_or_doubled(house, payers)
        assert_read_models_are_replays(house)
