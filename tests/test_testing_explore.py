"""`cardledger explore` against real servers: one that keeps the rules, and one that lets a fourth PIN be tried."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Client, clean_environment, served

from ledger.terms import SHIPPED
from ledger.testing.over_http import ROLES

TOKENS = {role: "credit:second" if role == "second-credit" else role for role in ROLES}


def explore(url: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from ledger.cli import main; main()", "explore", "--url", url, *words],
        env=clean_environment() | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )


def tokens_of(client: Client) -> list[str]:
    return [word for role, name in TOKENS.items() for word in ("--token", f"{role}={client.token(name)}")]


@pytest.fixture
def lenient(empty_database_url: str, tmp_path: Path) -> Iterator[Client]:
    """A sandbox whose terms allow four wrong PINs in a row."""
    terms = tmp_path / "terms.toml"
    terms.write_text(SHIPPED.read_text("utf-8").replace("pin_max_failures = 3", "pin_max_failures = 4"), "utf-8")
    with served(empty_database_url, tmp_path, CARDLEDGER_TERMS=str(terms)) as client:
        yield client


def test_a_server_that_keeps_the_rules_is_explored_without_a_finding(empty_database_url: str, tmp_path: Path) -> None:
    with served(empty_database_url, tmp_path) as client:
        done = explore(f"http://127.0.0.1:{client.port}", *tokens_of(client), "--examples", "5", "--seed", "7")
    assert (done.returncode, done.stderr.split()) == (0, ["stories", "lives"]), done.stdout + done.stderr
    assert "seed 7" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_exploration_that_is_ended_ends_without_a_word(empty_database_url: str, tmp_path: Path, number: int) -> None:
    with served(empty_database_url, tmp_path) as client:
        words = ("explore", "--url", f"http://127.0.0.1:{client.port}", *tokens_of(client), "--seed", "7")
        exploring = subprocess.Popen(
            [sys.executable, "-c", "from ledger.cli import main; main()", *words],
            env=clean_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert exploring.stderr is not None
        assert [exploring.stderr.readline().strip() for _ in "12"] == ["stories", "lives"]
        time.sleep(1)
        exploring.send_signal(number)
        _, said = exploring.communicate(timeout=60)
    assert (exploring.returncode, said) == (130, "")


def test_a_server_that_breaks_a_rule_is_found_with_a_script_that_shows_it_again(
    lenient: Client, tmp_path: Path
) -> None:
    url, script = f"http://127.0.0.1:{lenient.port}", tmp_path / "found.sh"
    done = explore(url, *tokens_of(lenient), "--examples", "0", "--script", str(script))
    assert done.returncode == 1
    assert "expected bad-credentials (tries_left 2), answered bad-credentials (tries_left 3)" in done.stdout
    assert "  1. try pin (wrong, atm)" in done.stdout
    assert "  2. " not in done.stdout
    names = {role.upper().replace("-", "_"): lenient.token(name) for role, name in TOKENS.items()}
    shown = subprocess.run(
        ["bash", script], env=clean_environment() | names, check=True, capture_output=True, text=True
    )
    assert '"tries_left":3' in shown.stdout
    assert not any(token in script.read_text("utf-8") for token in names.values())


def test_the_policy_expected_can_be_another(lenient: Client) -> None:
    done = explore(
        f"http://127.0.0.1:{lenient.port}", *tokens_of(lenient), "--examples", "0", "--expect", "pin_max_failures=4"
    )
    assert done.returncode == 0, done.stdout


def test_what_is_no_sandbox_is_told_in_a_sentence() -> None:
    tokens = {f"CARDLEDGER_TOKEN_{role.upper().replace('-', '_')}": "st_none" for role in ROLES}
    done = explore("http://127.0.0.1:1", **tokens)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "http://127.0.0.1:1 does not answer (Connection refused). Give --url.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Tokens are missing: counter, contract-machine"),
        (("--token", "counter"), "NAME=VALUE is needed"),
        (("--token", "clerk=x"), "no such role: clerk"),
        (("--expect", "tries=4"), "no such number: tries"),
        (("--data", "nowhere"), "There is no sandbox in nowhere."),
    ],
)
def test_what_is_missing_or_wrong_is_named(words: tuple[str, ...], said: str) -> None:
    done = explore("http://127.0.0.1:1", *words)
    assert done.returncode == 2
    assert said in done.stderr
