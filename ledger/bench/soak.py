"""The soak: acts, reads and logins at a steady share of what the machine can do, for as long as is asked.

What must stay true: requests come when they are due, whether or not the answers keep up; and after it nothing is
drifted: every balance is added up again, and the log is replayed and compared with every row.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from ledger.audit.drift import verify
from ledger.bench import cards, checks, servers
from ledger.bench.arms import wait_for_read_models
from ledger.bench.cards import PIN, Cards, token
from ledger.bench.checks import Check
from ledger.bench.driving import Answers, Kind, Load, load
from ledger.bench.following import Lag
from ledger.bench.machine import description, require_linux
from ledger.bench.servers import Database, Server
from ledger.bench.soaked import Soaked, Taken
from ledger.projections.projector import READ_MODELS

CONNECTIONS = 64
SIXTEEN = (0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0, 4)
"""Of sixteen requests eight are balances, four repayments, two pages of transactions, one a lockout view, and one a
repayment on the card that everybody pays to."""
LOGINS = 4
TURNS = tuple(turn for login in range(LOGINS) for turn in (*SIXTEEN * 12, 5, *SIXTEEN * 12, 6 + login))
"""One request of 386 is an auditor's page of the log, and one a login, by each of some few cards in turn."""
Told = Callable[[str], None]

_ANSWERED = "select count(*) from ledger_events where topic in ('card.repayment-made', 'card.login-succeeded')"


@dataclass(frozen=True, slots=True)
class Size:
    """How large a soak is: `seconds` of load in slices of `slice` seconds, on so many cards."""

    seconds: float
    slice: float
    cards: int

    @classmethod
    def of(cls, minutes: float) -> Size:
        """A minute and more on a thousand cards with a sample each five seconds; less is a trial on a few."""
        return cls(minutes * 60, 5.0, 1000) if minutes >= 1 else cls(minutes * 60, minutes * 12, 64)


def run(folder: Path, minutes: float, share: float, told: Told = lambda _: None) -> Soaked:
    """Soak in an empty folder at a share of the measured maximum; EnvironmentFault where it cannot run."""
    require_linux()
    machine, size = description(), Size.of(minutes)
    with servers.database(folder / "database") as base:
        told("making cards by real acts")
        made = asyncio.run(cards.make(base, spread=size.cards, login=LOGINS, long=()))
        before = _answered(base)
        with load() as driver, servers.ledger(base, folder / "ledger") as server:
            soak = _Soak(base, server, driver, _kinds(base, made), told)
            maximum = soak.maximum(size.slice)
            taken = soak.steady(maximum * share, size)
            wait_for_read_models(base.dsns["ours"])
            created = driver.created[server.port]
        told("adding every balance up again, and replaying the log")
        lost = Check("answered acts that are not in the log once", abs(_answered(base) - before - created))
        drift = Check("findings of the auditor's replay", asyncio.run(_drift(base.dsns["ours"])))
        return Soaked(machine, maximum, share, taken, [*checks.sums(base.dsns["ours"]), lost, drift])


@dataclass(frozen=True, slots=True)
class _Soak:
    base: Database
    server: Server
    driver: Load
    kinds: list[Kind]
    told: Told

    def maximum(self, seconds: float) -> float:
        """Requests a second as fast as they are answered, after a slice that warms up."""
        self._slice(seconds)
        answers = self._slice(seconds)
        self.told(f"at most {answers.good / answers.seconds:,.0f} requests a second")
        return answers.good / answers.seconds

    def steady(self, rate: float, size: Size) -> list[Taken]:
        """Samples at the rate, one for each slice."""
        began, taken = time.monotonic(), []
        while (since := time.monotonic() - began) < size.seconds:
            with Lag(self.base.dsns["ours"]) as lag:
                answers = self._slice(size.slice, rate)
            now = Taken.of(since + size.slice, answers, lag, self.server.memory_mib(), self.base.memory_mib())
            taken.append(now)
            self.told(str(now))
        return taken

    def _slice(self, seconds: float, rate: float | None = None) -> Answers:
        return self.driver.slice(
            self.server.port, self.kinds, TURNS, connections=CONNECTIONS, seconds=seconds, rate=rate
        )


def _kinds(base: Database, made: Cards) -> list[Kind]:
    """The requests by their numbers in `TURNS`."""
    pays, reads, audits = (
        {"authorization": f"Bearer {token(base, role)}"} for role in ("service", "counter", "auditor")
    )
    paths = {
        what: tuple(f"/v1/cards/{card.card_id}/{what}" for card in made.spread)
        for what in ("balance", "repayments", "transactions", "lockout")
    }
    hot = (f"/v1/cards/{made.hot.card_id}/repayments",)
    logins = [json.dumps({"route": "card", "card_number": card.number, "pin": PIN}) for card in made.login]
    return [
        Kind("GET", paths["balance"], reads),
        Kind("POST", paths["repayments"], pays, _repaid(10), keyed=True),
        Kind("GET", paths["transactions"], reads),
        Kind("GET", paths["lockout"], reads),
        Kind("POST", hot, pays, _repaid(1), keyed=True),
        Kind("GET", ("/v1/events?limit=20",), audits),
        *(Kind("POST", ("/v1/sessions",), body=login) for login in logins),
    ]


def _repaid(amount: int) -> str:
    return json.dumps({"amount": amount, "method": "bank-transfer"})


def _answered(base: Database) -> int:
    """Acts in the log of the kinds that the soak sends."""
    with psycopg.connect(base.dsns["ours"], autocommit=True) as connection:
        row: tuple[Any, ...] | None = connection.execute(_ANSWERED).fetchone()
    assert row is not None
    return int(row[0])


async def _drift(dsn: str) -> int:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        return len((await verify(connection, READ_MODELS)).findings)
