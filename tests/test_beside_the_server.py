"""Processes beside `serve`: whether it is well, and a projector of its own that loses its database."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import structlog
from ledgers import rows, terminate_backends, until
from serving import clean_environment, free_port, started
from structlog.testing import capture_logs

from ledger.demo.server import Server
from ledger.projections.projector import READ_MODELS, Projector
from ledger.settings import Settings
from ledger.store.location import served_port


def health(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", "from ledger.cli import main; main()", "health", *words],
        env=clean_environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_health_of_a_data_folder_asks_at_the_port_where_it_is_served(tmp_path: Path) -> None:
    folder = ("--sandbox", "--data", str(tmp_path))
    settings = Settings.read(data=tmp_path, sandbox=True, port=0).model_copy(update={"database_url": None})
    assert served_port(settings) is None
    with Server.started(settings) as server:
        port = server.url.rpartition(":")[2]
        assert served_port(settings) == int(port)
        assert health(*folder) == (0, "ready\n")
        assert health(*folder, "--port", str(free_port())) == (1, "not ready\n")
        assert health("--port", port) == (0, "ready\n")
    assert health(*folder) == (1, "not ready\n")


def test_a_projector_of_its_own_writes_json_and_comes_back_after_a_lost_connection(
    database_url: str, tmp_path: Path
) -> None:
    keys, output = tmp_path / "keys.json", tmp_path / "output.log"
    with started("project", dsn=database_url, keys=keys):
        following = "select count(*) from projections"
        asyncio.run(until(lambda: rows(database_url, following) == [len(READ_MODELS)]))
        terminate_backends(database_url)
        asyncio.run(until(lambda: "projector.connected-again" in output.read_text()))
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "projector.connection-lost"),
        ("info", "projector.connected-again"),
    ]


def test_a_database_that_stays_away_is_told_once() -> None:
    async def look() -> None:
        projector = Projector(f"postgresql://127.0.0.1:{free_port()}/nowhere")
        following = asyncio.create_task(projector.run())
        await asyncio.sleep(2.2)  # several tries
        projector.stop()
        await following

    structlog.reset_defaults()  # an application of an earlier test may have asked for less
    with capture_logs() as lines:
        asyncio.run(look())
    assert [line["event"] for line in lines] == ["projector.connection-lost"]
