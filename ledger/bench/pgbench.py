"""The floor: pgbench inserting rows of the shape and size of our own events.

What must stay true: its figures are taken while its clients are connected and busy, so that connecting is in none.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psycopg
from psycopg import sql

from ledger.bench.servers import Database
from ledger.faults import EnvironmentFault
from ledger.store.programs import Programs

LEAD_SECONDS = 0.4
_TABLE = """
create table {name} (
    originator_id uuid not null, originator_version bigint not null, topic text, state bytea,
    notification_id bigserial unique, primary key (originator_id, originator_version))
"""
_INSERT = (
    "insert into {name} (originator_id, originator_version, topic, state)"
    " values (gen_random_uuid(), 1, 'card.repayment-made', '\\x{state}');\n"
)
_LIBRARY = """\\startpipeline
begin;
lock table {name} in exclusive mode;
notify {name};
{insert}commit;
\\endpipeline
"""


class Floor:
    """A table and a script for pgbench."""

    def __init__(self, base: Database, folder: Path, name: str, *, state: bytes, library: bool = False) -> None:
        self._base, self._dsn, self._name = base, base.dsns["floor"], name
        self._folder = folder
        insert = _INSERT.format(name=name, state=state.hex())
        (folder / f"{name}.sql").write_text(_LIBRARY.format(name=name, insert=insert) if library else insert)
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(_TABLE.format(name=name).encode())

    def slice(self, clients: int, seconds: float) -> tuple[int, float, float]:
        """Rows inserted, the seconds it took, and the database's CPU seconds."""
        failed: list[str] = []
        runner = threading.Thread(target=self._run, args=(clients, seconds + 2 * LEAD_SECONDS, failed))
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            runner.start()
            time.sleep(LEAD_SECONDS)
            began, before, cpu = time.perf_counter(), self._rows(connection), self._base.cpu()
            time.sleep(seconds)
            rows, lasted, used = self._rows(connection) - before, time.perf_counter() - began, self._base.cpu() - cpu
        runner.join()
        if failed:
            raise EnvironmentFault(f"pgbench failed ({failed[0]}).", "It comes with the embedded PostgreSQL.")
        return rows, lasted, used

    def _rows(self, connection: psycopg.Connection) -> int:
        # A sequence is read as it stands, whoever has committed; statistics come late.
        sequence = sql.Identifier(f"{self._name}_notification_id_seq")
        row = connection.execute(sql.SQL("select last_value from {}").format(sequence)).fetchone()
        assert row is not None
        return int(row[0])

    def _run(self, clients: int, seconds: float, failed: list[str]) -> None:
        done = Programs.for_data(self._folder / "postgres").run(
            "pgbench", "--no-vacuum", "--protocol=prepared", f"--client={clients}", f"--time={round(seconds)}",
            f"--file={self._name}.sql", self._dsn, within=self._folder, as_ourselves=True,
        )  # fmt: skip
        if done.returncode != 0:
            failed.append(done.stderr.strip()[-200:])
