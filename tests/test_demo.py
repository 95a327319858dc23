"""`cardledger demo` as somebody runs it: without a terminal, at one, twice, interrupted, and where it cannot start."""

from __future__ import annotations

import errno
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from serving import clean_environment

from ledger.demo.client import Client
from ledger.demo.story import FULL_WIDTH_PIN, PASSWORD, PIN, SECOND_PIN, THIRD_PIN, WRONG_PINS
from ledger.store.embedded import EmbeddedPostgres

DEMO = (sys.executable, "-c", "from ledger.cli import main; main()", "demo")
CHEAP = {"CARDLEDGER_TEST_HASH_COST": "true"}
LAST_WORDS = "goes on from where its clock stands."
COLOUR = "\x1b["


def environment(**more: str) -> dict[str, str]:
    clean = {name: value for name, value in clean_environment().items() if name != "NO_COLOR"}
    return clean | CHEAP | {"TERM": "xterm"} | more


def without_terminal(data: Path, port: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, "--port", str(port), "--data", str(data)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


@dataclass
class Terminal:
    """A person at a terminal with the demo in its foreground."""

    process: subprocess.Popen[bytes]
    keyboard: int
    text: str = ""
    read: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.read = threading.Thread(target=self._read_on)
        self.read.start()

    def _read_on(self) -> None:
        while True:
            try:
                piece = os.read(self.keyboard, 4096)
            except OSError as error:
                if error.errno != errno.EIO:  # the last one who wrote here is gone
                    raise
                return
            self.text += piece.decode(errors="replace")

    def sees(self, words: str) -> None:
        until(lambda: words in self.text)

    def types_ctrl_c(self) -> None:
        os.write(self.keyboard, b"\x03")

    def ends(self) -> int:
        """The exit code, when all that was started has left the terminal."""
        code = self.process.wait(60)
        self.read.join(10)
        return code


@pytest.fixture
def at_a_terminal() -> Iterator[Callable[[Path], Terminal]]:
    """Start the demo at a terminal of its own; what is left of it is ended."""
    opened: list[tuple[Terminal, int]] = []

    def start(data: Path, **more: str) -> Terminal:
        keyboard, screen = pty.openpty()
        process = subprocess.Popen(
            [*DEMO, "--port", "0", "--data", str(data)],
            env=environment(**more),
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
            preexec_fn=lambda: take_terminal(screen),  # noqa: PLW1509 - it makes one call to the kernel
        )
        os.close(screen)
        opened.append((Terminal(process, keyboard), keyboard))
        return opened[-1][0]

    yield start
    for terminal, keyboard in opened:
        if terminal.process.poll() is None:
            terminal.process.terminate()
            terminal.ends()
        os.close(keyboard)


def take_terminal(screen: int) -> None:
    """Make it the terminal of this session, whose Ctrl-C is a signal to the foreground."""
    import fcntl

    fcntl.ioctl(screen, termios.TIOCSCTTY, 0)


def url_in(text: str) -> str:
    found = re.search(r"export LEDGER=(http://127\.0\.0\.1:[0-9]+)", text)
    assert found is not None, text
    return found[1]


def nothing_runs(data: Path, url: str | None = None) -> bool:
    """Whether neither a server of the folder is left, nor its PostgreSQL."""
    if url is not None:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0:
                return False
    return not (data / "sandbox" / "postgres" / "postmaster.pid").exists() and not processes_of(data)


def processes_of(data: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if str(data) in line]


def until(reached: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so; fail after `seconds`."""
    waiting = threading.Event()
    for _ in range(int(seconds * 20)):
        if reached():
            return
        waiting.wait(0.05)
    pytest.fail("it does not become so")


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """Two runs on one folder, without a terminal."""
    data = tmp_path_factory.mktemp("demo")
    return data, [without_terminal(data) for _ in "12"]


def test_without_a_terminal_it_tells_the_story_to_its_end_and_ends_by_itself(
    twice: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    data, (first, _) = twice

    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.rstrip().endswith(LAST_WORDS)
    assert "so the service stops now" in first.stdout
    for role in (
        "COUNTER",
        "CONTRACT_MACHINE",
        "ATM",
        "APP",
        "SERVICE",
        "CALL_CENTRE",
        "CREDIT",
        "AUDITOR",
        "OPERATOR",
    ):
        assert len(re.findall(rf"export {role}=st_\S+", first.stdout)) == 1
    assert COLOUR not in first.stdout
    assert nothing_runs(data, url_in(first.stdout))


def test_no_pin_and_no_password_is_printed(twice: tuple[Path, list[subprocess.CompletedProcess[str]]]) -> None:
    printed = twice[1][0].stdout

    assert not [pin for pin in (PIN, SECOND_PIN, THIRD_PIN, *WRONG_PINS, FULL_WIDTH_PIN) if f'"{pin}"' in printed]
    assert PASSWORD not in printed
    assert not re.search(r"(?<![0-9])[0-9]{16}(?![0-9])", printed)


def test_a_second_run_enrols_another_member_in_the_same_ledger(
    twice: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    data, runs = twice

    assert runs[1].returncode == 0, runs[1].stderr
    with EmbeddedPostgres.at(data / "sandbox") as server, psycopg.connect(server.dsn) as connection:
        enrolled = connection.execute(
            "select originator_id::text from ledger_events where topic = 'member.member-enrolled'"
            " order by notification_id"
        ).fetchall()
        (backward,) = connection.execute(
            "select count(*) from (select recorded_at < lag(recorded_at) over (order by notification_id) as back"
            " from ledger_events) as each where back"
        ).fetchone() or ("none",)
    named = [re.findall("export MEMBER=([0-9a-f-]+)", run.stdout) for run in runs]
    assert [[member] for (member,) in enrolled] == named
    assert backward == 0


def test_at_a_terminal_the_service_stays_until_ctrl_c_which_leaves_nothing_running(
    tmp_path: Path, at_a_terminal: Callable[[Path], Terminal]
) -> None:
    terminal = at_a_terminal(tmp_path)
    terminal.sees(LAST_WORDS)
    url = url_in(terminal.text)
    token = re.findall(r"export AUDITOR=(st_\S+)", terminal.text)[0]
    card = re.findall(r"CARD=([0-9a-f-]{36})", terminal.text)[0]

    balance = Client(url, {"auditor": token}).ask("auditor", "GET", f"/v1/cards/{card}/balance")
    assert (balance.status, balance.body["principal"]) == (200, 106_702)
    assert "Ctrl-C stops the service" in terminal.text
    assert COLOUR in terminal.text

    terminal.types_ctrl_c()
    assert terminal.ends() == 0
    assert nothing_runs(tmp_path, url)
    assert "Traceback" not in terminal.text


def test_ctrl_c_in_the_middle_leaves_nothing_running(tmp_path: Path, at_a_terminal: Callable[[Path], Terminal]) -> None:
    terminal = at_a_terminal(tmp_path)
    terminal.sees("POST /v1/members")

    terminal.types_ctrl_c()
    terminal.types_ctrl_c()

    assert terminal.ends() == 128 + signal.SIGINT
    assert nothing_runs(tmp_path)
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_being_ended_or_losing_the_terminal_leaves_nothing_running(
    tmp_path: Path, at_a_terminal: Callable[[Path], Terminal], number: signal.Signals
) -> None:
    terminal = at_a_terminal(tmp_path)
    terminal.sees("POST /v1/members")

    terminal.process.send_signal(number)

    assert terminal.ends() == 128 + number
    assert nothing_runs(tmp_path)


def test_a_taken_port_is_told_with_the_way_to_another_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = without_terminal(tmp_path, taken.getsockname()[1])

    assert done.returncode == 2
    assert done.stderr.startswith("Port ")
    assert done.stderr.endswith("Give another one with --port. With make: make demo PORT=8123.\n")
    assert nothing_runs(tmp_path)


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = without_terminal(tmp_path / "file")

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.endswith("Give another folder with --data.\n")
