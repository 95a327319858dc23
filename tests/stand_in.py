"""A ledger that decides nothing, for tests of the HTTP side alone: it answers the example of each operation.

What must stay true: it keeps what it was asked, so that a test can look at the instruction that the HTTP side made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.testclient import TestClient

from api.app import create_app
from api.operation import Operation
from api.operations import operations
from api.ports import EventPage, Page, Services
from api.read_answers import CARD_ID, MEMBER_ID
from api.roles import ANONYMOUS, ROLES
from ledger.instruction import Answer, Caller
from ledger.refusals import Refusal, SessionEnded
from ledger.settings import Settings

OTHER_ID = "11111111-2222-4333-8444-555555555555"
POSITION = 48213
MEMBER = "ms_" + "m" * 32
ATM_MEMBER = "ms_" + "a" * 32
ENDED = "ms_" + "e" * 32


def token(role: str) -> str:
    """The token of somebody in this role."""
    return MEMBER if role == "member" else "st_" + role.ljust(20, "_")


def bearer(role: str) -> dict[str, str]:
    return {} if role == ANONYMOUS else {"Authorization": f"Bearer {token(role)}"}


class StandIn:
    """Ledger, door, readers and sandbox in one."""

    def __init__(self, sandbox: bool) -> None:
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.refusal: Refusal | None = None
        self.replayed = False
        self.reachable = True
        self.outage: Refusal | None = None
        self.examples = {
            row.handler.__name__: dict(row.answer.example) if row.answer else {}  # type: ignore[attr-defined]
            for row in operations(in_sandbox=sandbox)
        }

    def __getattr__(self, act: str) -> Callable[..., Any]:
        async def answer(*given: Any, **named: Any) -> Answer:
            self.asked.append((act, given, named))
            if self.refusal is not None:
                raise self.refusal
            return Answer(POSITION, self.examples.get(act, {}), self.replayed)

        return answer

    async def caller(self, told: str) -> Caller | None:
        if told == ENDED:
            raise SessionEnded
        if told in (MEMBER, ATM_MEMBER):
            ids = {"member_id": UUID(MEMBER_ID), "card_id": UUID(CARD_ID), "session_id": UUID(OTHER_ID)}
            return Caller(subject=MEMBER_ID, role="member", channel="atm" if told == ATM_MEMBER else "web", **ids)
        roles = {token(role): role for role in ROLES if role != "member"}
        role = roles.get(told)
        return None if role is None else Caller(subject=f"a-{role}", role=role, channel=role)

    async def refuse_during_outage(self, _order: object, _scope: str) -> None:
        if self.outage is not None:
            raise self.outage

    async def list_sessions(self, caller: Caller) -> dict[str, Any]:
        at = datetime(2020, 1, 6, tzinfo=UTC)
        return {
            "data": [
                {
                    "session_id": caller.session_id,
                    "route": "web",
                    "channel": "web",
                    "opened_at": at,
                    "idle_until": at,
                    "expires_at": at,
                }
            ]
        }

    async def reached(self, *_: object) -> bool:
        return self.reachable

    async def recorded(self, *_: object) -> bool:
        return self.reachable

    async def balance(self, *given: Any) -> Answer:
        self.asked.append(("balance", given, {}))
        return Answer(POSITION, self.examples["read_balance"])

    async def lockout(self, *_: Any, discreet: bool, wait_seconds: float) -> Answer:
        return Answer(POSITION, {**self.examples["read_lockout"], "discreet": discreet, "remedy": None})

    async def _page(self, *_: Any, **__: Any) -> Page:
        return Page(POSITION, [], "48000")

    transactions = cards = limit_change_requests = journal = access_log = refusals = _page

    async def events(self, wanted: Any, after: int, limit: int) -> EventPage:
        self.asked.append(("events", (wanted, after, limit), {}))
        found = [{**event, "sequence": str(after + 1)} for event in self.examples["read_events"]["data"]]
        return EventPage(found, after + 1, 3)

    async def now(self) -> datetime:
        return datetime(2020, 1, 6, tzinfo=UTC)

    async def move_clock(self, target: datetime) -> datetime:
        return target

    async def outbox(self) -> list[dict[str, Any]]:
        return []


def services(ledger: StandIn) -> Services:
    """The stand-in behind every port."""
    everything: dict[str, Any] = dict.fromkeys(
        ("ledger", "door", "freshness", "balances", "transactions", "lockouts", "members", "events", "books",
         "projections", "explanations", "day_closes", "sandbox", "access_log",
         "refused_acts"), ledger
    )  # fmt: skip
    return Services(**everything, fingerprint_key=b"f" * 32, cursor_key=b"c" * 32)


@contextmanager
def serving(*, sandbox: bool = True, log_level: str = "error") -> Iterator[tuple[TestClient, StandIn]]:
    """A client of the application around a stand-in."""
    ledger = StandIn(sandbox)

    @asynccontextmanager
    async def opened(_settings: Settings) -> AsyncIterator[Services]:
        yield services(ledger)

    app = create_app(Settings.read(sandbox=sandbox, log_level=log_level), opened)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, ledger


def path_of(row: Operation, *, card_id: str = CARD_ID, member_id: str = MEMBER_ID) -> str:
    """The path of the operation, about the member's own objects unless told otherwise."""
    path = row.path.replace("{card_id}", card_id).replace("{member_id}", member_id)
    for name in ("session_id", "advance_id", "repayment_id", "suspension_id", "stop_id", "request_id"):
        path = path.replace(f"{{{name}}}", OTHER_ID)
    return path + ("?of=principal" if row.operation_id == "explainFigure" else "")


def request_of(row: Operation, role: str) -> dict[str, Any]:
    """The operation's own example as a request in this role."""
    headers = bearer(role) | ({"Idempotency-Key": "k-1"} if row.keyed else {})
    asked: dict[str, Any] = {"method": row.method, "url": path_of(row), "headers": headers}
    return asked | ({"json": dict(row.body.example)} if row.body else {})
