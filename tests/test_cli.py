"""The command line: what it refuses, in which words, with which exit code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from ledger.cli import app
from ledger.settings import Settings


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process, with no setting but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CARDLEDGER_", "DATABASE_URL"))}
    return subprocess.run(
        [sys.executable, "-c", "from ledger.cli import main; main()", *words],
        env=clean | environment,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "words",
    [
        *("serve", "token auditor", "demo", "project", "health", "settings"),
        *("projections list", "projections rebuild NAME", "projections retry NAME", "tokens list", "tokens revoke ID"),
        *("db migrate", "db status", "keys new FILE", "close-day DATE", "close-card CARD_ID", "simulate"),
    ],
)
def test_the_commands_of_the_contract_are_there(words: str) -> None:
    assert CliRunner().invoke(app, [*words.split(), "--help"]).exit_code == 0


def test_two_databases_at_once_are_a_mistake(tmp_path: Path) -> None:
    done = run("db", "status", "--data", str(tmp_path), "--database-url", "postgresql:///x")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Both --data and --database-url are given. Give one of them.\n"


def test_an_option_beats_the_environment(tmp_path: Path) -> None:
    done = run("settings", "--json", "--data", str(tmp_path), DATABASE_URL="postgresql://elsewhere/x")
    values = {row["variable"]: row["value"] for row in json.loads(done.stdout)}
    assert (values["DATABASE_URL"], values["CARDLEDGER_DATA"]) == (None, str(tmp_path))


def test_a_password_in_a_url_is_never_printed() -> None:
    for url in ("postgresql://u:geheim@h/x", "host=h password=geheim", "postgresql://h/x?password=geheim", "geheim:"):
        done = run("settings", DATABASE_URL=url)
        assert done.returncode == 0
        assert "geheim" not in done.stdout + done.stderr


def test_a_setting_that_cannot_be_read_is_named_without_its_value() -> None:
    done = run("settings", CARDLEDGER_PORT="geheim")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("A setting cannot be read: CARDLEDGER_PORT.")
    assert "geheim" not in done.stderr


def test_a_taken_port_is_told_in_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--port", str(port), "--data", str(tmp_path))
    assert done.returncode == 2
    assert (
        done.stderr
        == f"Port {port} of 127.0.0.1 cannot be opened (Address already in use). Give another one with --port.\n"
    )


@pytest.mark.parametrize("port", ["99999999", "65536", "-1", "eight"])
def test_a_port_that_cannot_be_one_is_told_by_the_name_of_its_option(port: str) -> None:
    done = run("serve", f"--port={port}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Invalid value for '--port'" in done.stderr


def test_a_database_that_does_not_answer_is_told_in_a_sentence() -> None:
    done = run("db", "status", "--database-url", "postgresql://127.0.0.1:1/x")
    assert done.returncode == 2
    assert done.stderr.startswith("The database cannot be used: ")
    assert done.stderr.count("\n") == 1


def test_serve_changes_no_schema_that_is_not_its_own(empty_database_url: str) -> None:
    done = run("serve", "--port", "0", "--database-url", empty_database_url)
    assert done.returncode == 2
    assert done.stderr.endswith("Run `cardledger db migrate` first.\n")
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone() == (0,)


def test_migrating_is_for_db_migrate_and_can_be_repeated(empty_database_url: str) -> None:
    assert run("db", "status", "--database-url", empty_database_url).returncode == 1
    for _ in "12":
        assert run("db", "migrate", "--database-url", empty_database_url).returncode == 0
    assert run("db", "status", "--database-url", empty_database_url).returncode == 0


def test_health_of_nothing_is_a_finding() -> None:
    done = run("health", "--port", "1")
    assert (done.returncode, done.stdout) == (1, "not ready\n")


def test_a_token_is_alone_on_the_last_line_and_ends_when_it_is_revoked(database_url: str) -> None:
    issued = run("token", "auditor", "--subject", "auditor-1", "--ttl", "2h", "--database-url", database_url)
    secret = issued.stdout.splitlines()[-1]
    assert " " not in secret
    listed = run("tokens", "list", "--json", "--database-url", database_url).stdout
    (row,) = json.loads(listed)
    assert (row["role"], row["subject"], row["revoked_at"]) == ("auditor", "auditor-1", None)
    assert secret not in listed
    revoke = ("tokens", "revoke", row["token_id"], "--database-url", database_url)
    assert [run(*revoke).returncode for _ in "12"] == [0, 1]


def test_a_key_file_is_for_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    assert [run("keys", "new", str(tmp_path / "keys")).returncode for _ in "12"] == [0, 2]
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("ttl", ["8", "h", "0h", "-1h", "8w", "1.5h"])
def test_a_lifetime_is_a_number_and_a_unit(ttl: str) -> None:
    done = run("token", "atm", "--ttl", ttl)
    assert done.returncode == 2
    assert "such as 8h" in done.stderr


def test_settings_reach_the_processes_that_serve_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        # Set first, so that whatever is written into the environment is taken out again afterwards.
        monkeypatch.setenv(f"CARDLEDGER_{name.upper()}", "")
        monkeypatch.delenv(f"CARDLEDGER_{name.upper()}")
    monkeypatch.setenv("DATABASE_URL", "postgresql:///x")
    settings = Settings.read(data=tmp_path, sandbox=True, port=8123, projector=False, start="2020-01-01T09:00:00+09:00")
    settings.to_environment()
    assert Settings.read() == settings


def test_a_password_file_completes_the_url(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("made-up\n")
    settings = Settings.read(database_url="postgresql://u@h/x", database_password_file=tmp_path / "password")
    assert "password=made-up" in settings.dsn
    assert "made-up" not in repr(settings)
