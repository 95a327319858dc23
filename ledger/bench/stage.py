"""The stage: every server started, and the arms that play on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ledger.bench import bars, servers
from ledger.bench.arms import Arm, Http, PgBench, Sample, wait_for_read_models
from ledger.bench.cards import PIN, BenchCard, Cards, token
from ledger.bench.driving import Kind, Load
from ledger.bench.following import Lag
from ledger.bench.pgbench import Floor
from ledger.bench.plain import PlainLedger
from ledger.bench.servers import Database, Server

MIXED_TURNS = (0, 1, 0, 2, 0, 3, 0, 1)
"""Of eight requests four are balances, two repayments, one a page of transactions, one a lockout view."""
LOGIN_CONNECTIONS = 4
"""More only wait: a login costs some hundredths of a second of CPU."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Servers, cards and load together."""

    base: Database
    load: Load
    folder: Path
    cards: Cards
    bearer: dict[str, str]
    reader: dict[str, str]
    accounts: list[str]
    ledger: Server
    empty: Server
    plain: Server
    unbatched: Server

    @property
    def acknowledged(self) -> int:
        """Repayments that the service has answered 201 to so far."""
        return self.load.created[self.ledger.port]

    def arms(self) -> list[Arm]:
        return [*self._floors(), *self._yardsticks(), *self._writes(), *self._reads()]

    def login(self, seconds: float) -> Sample:
        """Logins by card and PIN, apart from the rounds: Argon2id takes a core of its own."""
        bodies = [json.dumps({"route": "card", "card_number": card.number, "pin": PIN}) for card in self.cards.login]
        kinds = [Kind("POST", ("/v1/sessions",), body=body) for body in bodies]
        arm = self._http("login", self.ledger, kinds, LOGIN_CONNECTIONS, turns=tuple(range(len(kinds))))
        before = self.load.created[self.ledger.port]
        sample = arm.slice(seconds)
        self.load.created[self.ledger.port] = before  # sessions are no repayments
        return sample

    def lag(self, seconds: float) -> dict[str, float]:
        """How far the read models are behind, in milliseconds, while repayments come as fast as they are taken."""
        wait_for_read_models(self.base.dsns["ours"])
        with Lag(self.base.dsns["ours"]) as lag:
            self._http("lag", self.ledger, [self._repayment(self.cards.spread)], 64, follows=True).slice(seconds)
        return {"p50": lag.percentile(0.5), "p90": lag.percentile(0.9), "p99": lag.percentile(0.99)}

    def _floors(self) -> list[Arm]:
        state = _a_repayments_state(self.base.dsns["ours"])
        inserts = Floor(self.base, self.folder, "inserts", state=state)
        library = Floor(self.base, self.folder, "library", state=state, library=True)
        return [
            PgBench(bars.INSERT_ONE, inserts, 1),
            PgBench(bars.INSERT, inserts, 16),
            PgBench(bars.LIBRARY_TX, library, 16),
        ]

    def _yardsticks(self) -> list[Arm]:
        spread = self._repayment(self.cards.spread)
        plain = Kind("POST", tuple(map(_repayments, self.accounts)), self.bearer, _repaid(100), keyed=True)
        balance = self._read("/balance", self.cards.spread)
        return [
            self._http(bars.EMPTY, self.empty, [spread], 64),
            self._http(bars.PLAIN, self.plain, [plain], 64),
            self._http(bars.PLAIN_ONE, self.plain, [plain], 1),
            self._http(bars.UNBATCHED, self.unbatched, [balance], 64),
        ]

    def _writes(self) -> list[Arm]:
        spread, ours = self._repayment(self.cards.spread), self.ledger
        hot = self._repayment([self.cards.hot], amount=1)
        return [
            self._http(bars.OURS_ONE, ours, [spread], 1, follows=True),
            self._http(bars.OURS_EIGHT, ours, [spread], 8, follows=True),
            self._http(bars.OURS, ours, [spread], 64, follows=True),
            self._http(bars.HOT, ours, [hot], 64, follows=True),
        ]

    def _reads(self) -> list[Arm]:
        spread, ours = self.cards.spread, self.ledger
        balance, page, lockout = (self._read(what, spread) for what in ("/balance", "/transactions", "/lockout"))
        short, long = self.cards.long[min(self.cards.long)], self.cards.long[max(self.cards.long)]
        mixed = [balance, self._repayment(spread), page, lockout]
        return [
            self._http(bars.BALANCE, ours, [balance], 64),
            self._http(bars.PAGE, ours, [page], 64),
            self._http(bars.LOCKOUT, ours, [lockout], 64),
            self._http(bars.MIXED, ours, mixed, 64, turns=MIXED_TURNS, follows=True),
            self._http(bars.SHORT, ours, [self._read("/balance", [short])], 8),
            self._http(bars.LONG, ours, [self._read("/balance", [long])], 8),
        ]

    def _http(
        self,
        name: str,
        server: Server,
        kinds: list[Kind],
        connections: int,
        *,
        turns: tuple[int, ...] = (0,),
        follows: bool = False,
    ) -> Http:
        log = self.base.dsns["ours"] if follows else None
        return Http(name, self.load, self.base, server, kinds, connections, turns, log)

    def _repayment(self, cards: list[BenchCard], amount: int = 100) -> Kind:
        paths = tuple(_repayments(str(card.card_id)) for card in cards)
        return Kind("POST", paths, self.bearer, _repaid(amount), keyed=True)

    def _read(self, what: str, cards: list[BenchCard]) -> Kind:
        return Kind("GET", tuple(f"/v1/cards/{card.card_id}{what}" for card in cards), self.reader)


@contextmanager
def staged(base: Database, load: Load, folder: Path, cards: Cards) -> Iterator[Stage]:
    """The stage while this lasts."""
    accounts = _plain_accounts(base.dsns["plain"], len(cards.spread))
    bearer, reader = ({"authorization": f"Bearer {token(base, role)}"} for role in ("service", "counter"))
    with (
        servers.ledger(base, folder / "ledger") as ledger,
        servers.yardstick("empty", base, folder / "empty", "ours") as empty,
        servers.yardstick("plain", base, folder / "plain", "plain") as plain,
        servers.yardstick("unbatched", base, folder / "unbatched", "ours") as unbatched,
    ):
        yield Stage(base, load, folder, cards, bearer, reader, accounts, ledger, empty, plain, unbatched)


def _repayments(card_id: str) -> str:
    return f"/v1/cards/{card_id}/repayments"


def _repaid(amount: int) -> str:
    return json.dumps({"amount": amount, "method": "bank-transfer"})


def _plain_accounts(dsn: str, number: int) -> list[str]:
    plain = PlainLedger.on(dsn, create_table=True)
    try:
        return [str(plain.open_account(400_000)) for _ in range(number)]
    finally:
        plain.close()


def _a_repayments_state(dsn: str) -> bytes:
    """The stored bytes of one repayment: what the floor inserts is as large."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "select state from ledger_events where topic = 'card.repayment-made' order by notification_id limit 1"
        ).fetchone()
    assert row is not None
    return bytes(row[0])
