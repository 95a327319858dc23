"""What goes wrong around the service: each told in one sentence with what to do, and nothing lost."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from ledgers import PIN, PROFILE
from serving import START_SECONDS, Client, Reply, clean_environment, free_port, ready, served, started

from ledger.demo.client import NOBODY
from ledger.demo.client import Client as DemoClient
from ledger.demo.server import Server
from ledger.settings import Settings
from ledger.store.embedded import EmbeddedPostgres

COMMANDS = (
    "token auditor", "tokens list", f"tokens revoke {UUID(int=1)}", "project", "projections list",
    "projections retry balances", "db status", "db migrate", "close-day 2020-01-01", "replay", "audit verify",
    f"explain {UUID(int=1)} --of principal", "journal export --format hledger",
)  # fmt: skip
"""Every command that opens data, but `serve` and what serves for a while."""


def refused(*words: str, **environment: str) -> str:
    """What `serve` says when it does not start."""
    return unfit("serve", "--port", "0", *words, **environment)


def unfit(*words: str, **environment: str) -> str:
    """What a command says when it cannot begin: exit code 2, and one line that is no trace."""
    done = subprocess.run(
        [sys.executable, "-c", "from ledger.cli import main; main()", *words],
        env=clean_environment() | environment,
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line


@contextmanager
def folder_served(data: Path) -> Iterator[str]:
    """The URL of a server of the sandbox in a data folder."""
    settings = Settings.read(data=data, sandbox=True, port=0).model_copy(update={"database_url": None})
    with Server.started(settings) as server:
        yield server.url


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was served once."""
    data = tmp_path_factory.mktemp("served")
    with folder_served(data):
        pass
    return data


@pytest.fixture
def data(sandbox: Path, tmp_path: Path) -> Path:
    """A copy of it that may be damaged."""
    subprocess.run(["cp", "-a", sandbox / "sandbox", tmp_path], check=True)
    return tmp_path


def test_a_database_that_is_down_at_the_start_is_told(tmp_path: Path) -> None:
    said = refused("--database-url", "postgresql://127.0.0.1:1/nowhere", CARDLEDGER_KEY_FILE=str(tmp_path / "keys"))
    assert said.startswith("The database cannot be used: ")
    assert said.endswith(". Start it, or correct DATABASE_URL.")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_at_once_that_the_database_is_down(command: str) -> None:
    said = unfit(*command.split(), "--database-url", "postgresql://127.0.0.1:1/nowhere")
    assert said.startswith("The database cannot be used: ")
    assert "Connection refused" in said


def test_no_command_works_on_a_schema_newer_than_the_program(data: Path) -> None:
    with EmbeddedPostgres.at(data / "sandbox") as server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("insert into schema_migrations (version, name) values (9999, 'to come')")

        said = [unfit(*command.split(), "--sandbox", "--data", str(data)) for command in COMMANDS]

    assert all("has schema 9999" in line for line in said), said


@pytest.mark.parametrize("url", ["Rose7-tulip", "postgresql://u:Rose7-tulip@[h/x", "postgresql://h/x?nope=Rose7-tulip"])
def test_a_database_url_that_cannot_be_read_is_told_without_repeating_it(url: str, tmp_path: Path) -> None:
    said = refused("--database-url", url, CARDLEDGER_KEY_FILE=str(tmp_path / "keys"))
    assert "Rose7" not in said
    assert said.endswith(" postgresql://USER@HOST:PORT/DATABASE.")


def test_a_schema_newer_than_the_program_is_left_alone(data: Path) -> None:
    with EmbeddedPostgres.at(data / "sandbox") as server, psycopg.connect(server.dsn) as connection:
        connection.execute("insert into schema_migrations (version, name) values (9999, 'to come')")
        before = tables(connection)

    said = refused("--sandbox", "--data", str(data))

    assert "has schema 9999" in said
    assert "Install the newer program" in said
    with EmbeddedPostgres.at(data / "sandbox") as server, psycopg.connect(server.dsn) as connection:
        assert tables(connection) == before


def tables(connection: psycopg.Connection[Any]) -> list[Any]:
    return connection.execute("select relname, relnatts from pg_class order by 1").fetchall()


def test_a_second_serve_on_the_same_data_names_the_first_which_goes_on(data: Path) -> None:
    with folder_served(data) as url:
        said = refused("--sandbox", "--data", str(data))

        assert "is served already (process " in said
        assert f", port {url.rpartition(':')[2]})" in said
        assert said.endswith("Stop that one, or give another folder with --data.")
        assert DemoClient(url, {}).ask(NOBODY, "GET", "/readyz").status == 200


DAMAGES = {
    "the key file is gone": (lambda place: (place / "keys.json").unlink(), "keys.json is missing. Restore it"),
    "the key file is no key file": (
        lambda place: (place / "keys.json").write_text("garbage"),
        "keys.json is not a key file. Restore it",
    ),
    "the key file is open to others": (
        lambda place: (place / "keys.json").chmod(0o644),
        "may read the key file",
    ),
    "the database is of no version": (
        lambda place: (place / "postgres" / "PG_VERSION").write_text("?"),
        "Give another folder with --data",
    ),
    "the database is half gone": (
        lambda place: (place / "postgres" / "global" / "pg_control").unlink(),
        "Give another folder with --data",
    ),
    "something else lies where the database should": (
        lambda place: (shutil.rmtree(place / "postgres"), (place / "postgres").write_text("mine")),
        "Give another folder with --data",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_told_and_not_repaired(data: Path, damage: str) -> None:
    harm, remedy = DAMAGES[damage]
    harm(data / "sandbox")
    before = contents(data)

    assert remedy in refused("--sandbox", "--data", str(data))
    assert contents(data) == before


def contents(data: Path) -> dict[str, bytes]:
    """The files that a start may not change: the keys, and what makes the database what it is."""
    kept = [data / "sandbox" / "keys.json", data / "sandbox" / "postgres" / "PG_VERSION", data / "sandbox" / "postgres"]
    return {str(path): path.read_bytes() for path in kept if path.is_file()}


def test_keys_of_another_database_are_noticed_before_anything_is_served(data: Path, sandbox: Path) -> None:
    with folder_served(data):
        pass
    (data / "sandbox" / "keys.json").unlink()
    made = subprocess.run(
        [sys.executable, "-c", "from ledger.cli import main; main()", "keys", "new", str(data / "sandbox/keys.json")],
        check=False,
    )
    assert made.returncode == 0

    assert "is not the one that this database was written with" in refused("--sandbox", "--data", str(data))


def test_no_worker_outlives_the_process_that_supervises_it(empty_database_url: str, tmp_path: Path) -> None:
    with served(empty_database_url, tmp_path):
        pass
    port, words = free_port(), ("serve", "--sandbox", "--processes", "2", "--port")
    with started(*words, str(port), dsn=empty_database_url, keys=tmp_path / "keys.json") as supervisor:
        client = Client(port, empty_database_url)
        wait_until(lambda: ready(client))
        supervisor.kill()
        supervisor.wait()

        wait_until(lambda: not ready(client) and can_be_served(port))


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def can_be_served(port: int) -> bool:
    """Whether nobody holds the port any more."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@dataclass
class Payer:
    """Somebody who pays one yen after another, whatever comes back."""

    client: Client
    card_id: str
    replies: list[Reply] = field(default_factory=list)
    unheard: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def pay(self) -> Reply:
        reply = self.client.post(
            f"/v1/cards/{self.card_id}/repayments", "service", {"amount": 1, "method": "bank-transfer"}
        )
        self.replies.append(reply)
        return reply

    def pay_on(self) -> None:
        while not self.done.is_set():
            self.pay()

    @property
    def acknowledged(self) -> set[str]:
        return {reply.body["repayment_id"] for reply in self.replies if reply.status == 201}


@contextmanager
def paying(payer: Payer) -> Iterator[None]:
    """Payments one after another while the block lasts."""
    thread = threading.Thread(target=payer.pay_on)
    thread.start()
    try:
        yield
    finally:
        payer.done.set()
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_a_database_that_goes_away_is_a_503_and_when_it_is_back_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    with EmbeddedPostgres.at(tmp_path / "database") as server, served(server.dsn, tmp_path) as client:
        payer = Payer(client, a_card(client))
        assert payer.pay().status == 201
        with paying(payer):
            until(lambda: len(payer.replies) > 20)
            stop(tmp_path / "database")
            until(lambda: client.ask("GET", "/readyz").status == 503)
            told = payer.replies[-1] if payer.replies[-1].status == 503 else payer.pay()
            assert client.ask("GET", "/livez").status == 200
            with EmbeddedPostgres.at(tmp_path / "database"):
                until(lambda: client.ask("GET", "/readyz").status == 200)
                back = len(payer.replies)
                until(lambda: any(reply.status == 201 for reply in payer.replies[back:]))

        assert (told.status, told.code) == (503, "database-unavailable")
        assert told.headers["content-type"] == "application/problem+json"
        assert int(told.headers["retry-after"]) >= 1
        assert {reply.code for reply in payer.replies} <= {"201", "database-unavailable"}
        recorded = [
            event["data"]["repayment_id"]
            for event in events(client, payer.card_id)
            if event["type"] == "cardledger.card.repayment-made.v1"
        ]
        assert len(recorded) == len(set(recorded))
        assert payer.acknowledged <= set(recorded)


def a_card(client: Client) -> str:
    member = client.done("/v1/members", "counter", PROFILE)["member_id"]
    terms = {"pin": PIN, "credit_limit": 500_000, "annual_rate_bps": 1780, "due_day": 5}
    return str(client.done(f"/v1/members/{member}/cards", "counter", terms)["card_id"])


def events(client: Client, card_id: str) -> list[Any]:
    """The whole stream of the card, page by page."""
    found, after = [], 0
    while page := client.read(f"/v1/cards/{card_id}/events?limit=200&after={after}")["data"]:
        found += page
        after = int(page[-1]["id"])
    return found


def stop(folder: Path) -> None:
    """Stop the PostgreSQL under everybody, as an operator's `pg_ctl stop -m fast` does."""
    pid = int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, 2)
    until(lambda: not (folder / "postgres" / "postmaster.pid").exists())


def until(reached: Any, seconds: float = 30) -> None:
    """Wait until something is so; fail after `seconds`."""
    waiting = threading.Event()
    for _ in range(int(seconds * 20)):
        if reached():
            return
        waiting.wait(0.05)
    pytest.fail("it does not become so")
