"""The soak runs and judges rightly: an error, a drift or a memory that grows is told, and a short trial tells none."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

from ledger.bench import load
from ledger.bench.checks import Check
from ledger.bench.soaked import Growth, Soaked, Taken

MINUTES = [float(minute) for minute in range(15)]


def growth(mib_a_minute: float, size: float = 120.0) -> Growth:
    """Of a quarter of an hour with a sample each minute."""
    return Growth.of([minute * 60 for minute in MINUTES], [size + mib_a_minute * minute for minute in MINUTES])


def soaked(errors: int = 0, wrong: int = 0, mib_a_minute: float = 0.0) -> Soaked:
    taken = [
        Taken(minute * 60, 1000, {"503": errors}, 1.0, 2.0, 3.0, 120.0 + mib_a_minute * minute, 50.0)
        for minute in MINUTES
    ]
    return Soaked({"cpus": 2}, 2000.0, 0.7, taken, [Check("sums", wrong)])


def test_a_short_soak_runs_to_its_end_without_an_error_or_a_drift(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from ledger.cli import main; main()", "bench", "--soak", "0.17", "--json"]
    done = subprocess.run(
        [*command, "--folder", tmp_path], check=False, capture_output=True, text=True, timeout=300, env=os.environ
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told["samples"]) >= 3
    assert {number for sample in told["samples"] for number in sample["bad"].values()} <= {0}
    assert all(sample["good"] > 0 and sample["server"] > 0 and sample["database"] > 0 for sample in told["samples"])
    assert told["flat"] == {"server": None, "database": None}, "ten seconds tell nothing of memory"
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_memory_that_stays_is_flat_and_one_that_grows_is_not() -> None:
    assert growth(0.0).flat is True
    assert growth(0.2).flat is True, "some hundred kilobytes are the noise of an allocator"
    assert growth(1.0).flat is False
    assert growth(-1.0).flat is True


def test_what_warms_up_in_the_first_third_is_no_leak() -> None:
    sizes = [80.0 + 10.0 * min(minute, 4) for minute in MINUTES]

    assert Growth.of([minute * 60 for minute in MINUTES], sizes).flat is True


def test_a_soak_is_right_without_errors_drift_and_leaks_alone() -> None:
    assert soaked().right
    assert not soaked(errors=1).right
    assert not soaked(wrong=1).right
    assert not soaked(mib_a_minute=2.0).right


def answering_slowly(listener: socket.socket) -> None:
    """A server of one connection that needs 20 ms for each answer."""
    link, _ = listener.accept()
    with link:
        while link.recv(4096):
            time.sleep(0.02)
            link.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


def test_at_a_rate_a_request_that_had_to_wait_counts_from_when_it_was_due() -> None:
    """Else a server that stands still would slow its load down and look quick."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answering_slowly, args=(listener,))
        server.start()
        kind = {"method": "GET", "paths": ["/"], "headers": {}, "keyed": False}
        order = {"port": listener.getsockname()[1], "kinds": [kind], "turns": [0], "connections": 1}
        connections = load.connect(order, (b"%d" % number for number in count()))
        told = load.drive_at(500, connections, 0.04)
        connections[0].socket.close()
        server.join()

    assert told.statuses == {200: 20, load.CUT_OFF: 0}
    assert told.milliseconds == sorted(told.milliseconds), "each waited longer than the one before it"
    assert told.milliseconds[-1] > 10 * told.milliseconds[0]


def hanging_up(link: socket.socket) -> None:
    """A server that takes a request and goes away."""
    link.recv(4096)
    link.close()


def test_what_is_due_and_never_sent_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    server = threading.Thread(target=hanging_up, args=(theirs,))
    server.start()
    with ours:
        told = load.drive_at(100, [load.Connection(ours, iter([b"x"] * 5))], 0.05)
    server.join()

    assert told.statuses == {load.CUT_OFF: 5}
