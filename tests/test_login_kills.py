"""Servers and their PostgreSQL are killed by kill -9 while PINs are being guessed: no answer was given for nothing.

What must stay true: the processes are real ones on a durable database, and nothing here asks them to be careful.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import pytest
from ledgers import PIN, WRONG_PIN, assert_dense, rows
from people import Person, by_card, with_card
from serving import START_SECONDS, Client, free_port, ready, started

from ledger.store import schema
from ledger.store.embedded import EmbeddedPostgres
from ledger.store.keys import Keyring

GUESSERS, CARDS = 6, 12
KILLS, MANY_KILLS = 2, 100
LONGEST_WAIT = 0.5
"""Seconds of guessing before a kill: the guesses at so many cards take about as long."""
ATTEMPTS = """
select originator_id::text, string_agg(case topic when 'card.login-failed' then 'f' when 'card.login-succeeded' then 's'
    when 'card.card-locked' then 'L' end, '' order by originator_version)
from ledger_events where originator_id::text = any(%s) group by originator_id
"""

chance = random.Random(200)  # noqa: S311


@dataclass
class Guessing:
    """Many who guess the PINs of some cards at one time, now and then rightly, and what they were told."""

    client: Client
    people: list[Person]
    told: list[tuple[str, str]] = field(default_factory=list)
    unheard: int = 0

    def try_one(self, person: Person, pin: str) -> str:
        """The answer; `unheard` where the server died before it gave one."""
        try:
            answer = self.client.post("/v1/sessions", None, by_card(person.number, pin)).code
        except (OSError, HTTPException):
            return "unheard"
        self.told.append((person.card_id, answer))
        return answer

    def guess_until(self, dead: threading.Event, seed: int) -> None:
        own_chance = random.Random(seed)  # noqa: S311
        while not dead.is_set():
            pin = PIN if own_chance.random() < 0.15 else WRONG_PIN
            if self.try_one(own_chance.choice(self.people), pin) == "unheard":
                self.unheard += 1
                dead.wait(0.01)

    @property
    def cut_off(self) -> int:
        """The guesses that were under way when something died, or found it dead."""
        return self.unheard + sum(answer == "database-unavailable" for _, answer in self.told)

    def recorded(self) -> dict[str, str]:
        """The attempts in the log by card: `f`ailed, `s`ucceeded, `L`ocked."""
        wanted = [person.card_id for person in self.people]
        return {card_id: letters or "" for card_id, letters in rows(self.client.dsn, ATTEMPTS, wanted)}

    def check(self) -> None:
        """What was told is in the log, and the log keeps the limit."""
        for card_id, attempts in self.recorded().items():
            assert self.told.count((card_id, "bad-credentials")) <= attempts.count("f"), (card_id, attempts)
            assert self.told.count((card_id, "201")) <= attempts.count("s"), (card_id, attempts)
            *before, last = attempts.split("s")
            assert all(len(row) < 3 for row in before), attempts  # a third one in a row locks, for good
            assert last in ("", "f", "ff", "fffL"), attempts

    def go_on_until_locked(self) -> None:
        for person in self.people:
            while self.try_one(person, WRONG_PIN) != "card-locked":
                pass
        assert all(attempts.endswith("fffL") for attempts in self.recorded().values())


@contextmanager
def guessing(all_of_it: Guessing) -> Iterator[None]:
    """Guesses while the block lasts, and until each guesser has come back from his last one."""
    dead = threading.Event()
    threads = [
        threading.Thread(target=all_of_it.guess_until, args=(dead, chance.randrange(10**9))) for _ in range(GUESSERS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        dead.set()
        for thread in threads:
            thread.join(timeout=60)
            assert not thread.is_alive()


@dataclass
class Installation:
    """A database on its own server, and the process that serves it; each of them can be killed and started again."""

    folder: Path
    postgres: EmbeddedPostgres
    stack: ExitStack
    client: Client
    process: subprocess.Popen[bytes] = field(init=False)

    def kill_the_server(self) -> None:
        self.process.kill()
        self.process.wait()

    def serve(self) -> None:
        words = ("serve", "--sandbox", "--port", str(self.client.port))
        dsn, keys = self.postgres.dsn, self.folder / "keys.json"
        self.process = self.stack.enter_context(started(*words, dsn=dsn, keys=keys))
        until(lambda: ready(self.client))

    def kill_postgres(self) -> None:
        """Its first process; the others of it end when they notice, in whatever they are doing."""
        pid = (self.folder / "database" / "postgres" / "postmaster.pid").read_text().splitlines()[0]
        os.kill(int(pid), signal.SIGKILL)

    def start_postgres_again(self) -> None:
        self.stack.enter_context(EmbeddedPostgres.at(self.folder / "database"))
        until(lambda: ready(self.client))


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not reached():
        assert time.monotonic() < deadline, "it does not become so"
        time.sleep(0.02)


@contextmanager
def installed(folder: Path) -> Iterator[Installation]:
    with ExitStack() as stack:
        postgres = stack.enter_context(EmbeddedPostgres.at(folder / "database"))
        schema.migrate(postgres.dsn, sandbox=True)
        Keyring.create(folder / "keys.json")
        installation = Installation(folder, postgres, stack, Client(free_port(), postgres.dsn))
        installation.serve()
        yield installation


KillAndStart = tuple[Callable[[Installation], None], Callable[[Installation], None]]
VICTIMS: dict[str, KillAndStart] = {
    "the server": (Installation.kill_the_server, Installation.serve),
    "PostgreSQL": (Installation.kill_postgres, Installation.start_postgres_again),
}


def kill_while_guessing(folder: Path, victim: str, kills: int) -> None:
    with installed(folder) as installation:
        for _ in range(kills):
            kill_once(installation, *VICTIMS[victim])
        assert_dense(installation.client.dsn)


def kill_once(
    installation: Installation, kill: Callable[[Installation], None], start: Callable[[Installation], None]
) -> None:
    attack = Guessing(installation.client, [with_card(installation.client) for _ in range(CARDS)])
    with guessing(attack):
        time.sleep(chance.uniform(0.02, LONGEST_WAIT))
        kill(installation)
        until(lambda: attack.cut_off > 0)
    start(installation)
    attack.check()
    attack.go_on_until_locked()
    attack.check()


@pytest.mark.parametrize("victim", VICTIMS)
def test_no_guess_is_won_by_a_kill_in_mid_attempt(tmp_path: Path, victim: str) -> None:
    kill_while_guessing(tmp_path, victim, KILLS)


@pytest.mark.campaign
@pytest.mark.parametrize("victim", VICTIMS)
def test_no_guess_is_won_by_many_kills_in_mid_attempt(tmp_path: Path, victim: str) -> None:
    kill_while_guessing(tmp_path, victim, MANY_KILLS)
