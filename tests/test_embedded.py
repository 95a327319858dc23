"""The embedded PostgreSQL: one server a folder, shared, stopped by the last, back after any death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ledger.faults import EnvironmentFault
from ledger.settings import Settings
from ledger.store import location
from ledger.store.embedded import EmbeddedPostgres

USER_OF_A_FOLDER = """
import sys
from pathlib import Path
from ledger.store.embedded import EmbeddedPostgres
with EmbeddedPostgres.at(Path(sys.argv[1])) as server:
    print(server.dsn, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder; a server that a test left running there is stopped in the end."""
    yield tmp_path / "data"
    left = server_pid(tmp_path / "data")
    if left is not None:
        os.kill(left, signal.SIGQUIT)


def server_pid(folder: Path) -> int | None:
    """The process that PostgreSQL's own lock file names, if it lives."""
    try:
        pid = int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return pid


def another_process(folder: Path) -> subprocess.Popen[str]:
    """A process that uses the folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER_OF_A_FOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    return process


def fetch(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_the_last_user_stops_the_server(folder: Path) -> None:
    with EmbeddedPostgres.at(folder) as first:
        with EmbeddedPostgres.at(folder):
            pass
        assert fetch(first.dsn, "select 1") == 1
    assert server_pid(folder) is None


def test_another_process_attaches_and_may_leave_last(folder: Path) -> None:
    with EmbeddedPostgres.at(folder):
        running = server_pid(folder)
        other = another_process(folder)
    assert server_pid(folder) == running
    other.communicate()
    assert server_pid(folder) is None


def test_data_outlives_the_server(folder: Path) -> None:
    with EmbeddedPostgres.at(folder) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("create table kept as select 7 as number")
    with EmbeddedPostgres.at(folder) as server:
        assert fetch(server.dsn, "select number from kept") == 7


def test_a_server_left_by_a_killed_process_serves_the_next_one_and_is_stopped_by_it(folder: Path) -> None:
    owner = another_process(folder)
    left = server_pid(folder)
    owner.kill()
    owner.communicate()
    with EmbeddedPostgres.at(folder) as server:
        assert server_pid(folder) == left
        assert fetch(server.dsn, "select 1") == 1
    assert server_pid(folder) is None


def test_after_the_server_itself_was_killed_a_start_recovers(folder: Path) -> None:
    with EmbeddedPostgres.at(folder) as server, psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("create table kept as select 7 as number")
        pid = server_pid(folder)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with EmbeddedPostgres.at(folder) as again:
            assert fetch(again.dsn, "select number from kept") == 7


def test_ctrl_c_ends_the_server_with_its_last_user(folder: Path) -> None:
    owner = another_process(folder)
    owner.send_signal(signal.SIGINT)
    owner.communicate()
    assert server_pid(folder) is None


def test_it_is_as_durable_as_production_and_listens_on_no_network(folder: Path) -> None:
    with EmbeddedPostgres.at(folder) as server:
        names = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums", "listen_addresses")
        found = {name: fetch(server.dsn, f"show {name}") for name in names}
    assert found == dict.fromkeys(names[:4], "on") | {"listen_addresses": ""}


def test_text_is_unicode_whatever_the_locale_of_the_machine(folder: Path) -> None:
    with EmbeddedPostgres.at(folder) as server:
        assert fetch(server.dsn, "select upper('é') || 'カ'") == "Éカ"


def test_only_the_owner_can_enter_the_data(folder: Path) -> None:
    with EmbeddedPostgres.at(folder):
        assert (folder / "postgres").stat().st_mode & 0o077 == 0
        assert folder.stat().st_mode & 0o077 == 0


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 30)
    with EmbeddedPostgres.at(long) as server:
        assert fetch(server.dsn, "select 1") == 1
    assert server_pid(long) is None


def test_a_folder_with_something_else_in_it_is_left_alone(folder: Path) -> None:
    (folder / "postgres").mkdir(parents=True)
    (folder / "postgres" / "letter.txt").write_text("mine")
    with pytest.raises(EnvironmentFault, match=r"not a data folder of PostgreSQL.*--data"):
        EmbeddedPostgres.at(folder).start()
    assert (folder / "postgres" / "letter.txt").read_text() == "mine"


def test_a_damaged_folder_is_refused_with_the_reason_of_postgresql(folder: Path) -> None:
    with EmbeddedPostgres.at(folder):
        pass
    (folder / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(EnvironmentFault, match=r"did not start \(.*pg_control.*server.log"):
        EmbeddedPostgres.at(folder).start()


def test_data_of_another_version_is_refused(folder: Path) -> None:
    (folder / "postgres").mkdir(parents=True)
    (folder / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EnvironmentFault, match="was made by PostgreSQL 16, and this is 18"):
        EmbeddedPostgres.at(folder).start()


def test_a_half_made_folder_is_made_anew(folder: Path) -> None:
    (folder / "postgres.new" / "base").mkdir(parents=True)
    with EmbeddedPostgres.at(folder) as server:
        assert fetch(server.dsn, "select 1") == 1


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot be used"):
        EmbeddedPostgres.at(tmp_path / "file" / "data").start()


def test_one_serve_at_a_time_and_the_refusal_names_the_other(tmp_path: Path) -> None:
    here = Settings.read(data=tmp_path, port=8123).model_copy(update={"database_url": None})
    with location.serving(here):
        second = location.serving(here)
        with pytest.raises(EnvironmentFault, match=f"process {os.getpid()}, port 8123"):
            second.__enter__()
    with location.serving(here):
        pass


def test_a_sandbox_and_a_real_ledger_lie_in_separate_folders(tmp_path: Path) -> None:
    real, sandbox = (Settings.read(data=tmp_path, sandbox=each).place for each in (False, True))
    assert (real, sandbox) == (tmp_path / "ledger", tmp_path / "sandbox")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has this to do")
def test_as_root_the_server_has_an_account_of_its_own_and_no_folder_above_is_opened_for_it(folder: Path) -> None:
    above = [(each, each.stat().st_mode) for each in folder.parent.parents]
    with EmbeddedPostgres.at(folder):
        pid = server_pid(folder)
        assert Path(f"/proc/{pid}").stat().st_uid == (folder / "postgres").stat().st_uid != 0
    assert [(each, each.stat().st_mode) for each in folder.parent.parents] == above
