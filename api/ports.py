"""What this side asks of the ledger and its readers, one small protocol each, and the services that fulfil them.

What must stay true: nothing here names a table, a lane or a projection; a reader answers with a position and plain
JSON values that were read at that position.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec
from prometheus_client import CollectorRegistry

from ledger.instruction import Answer, Caller, Instruction
from ledger.refusals import NotFound, Refusal

Port = TypeVar("Port")

AsOf = int | datetime | None
"""A position of the log, or an instant that stands for the last position recorded at or before it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows and where the next ones begin: `after` is None on the last page.

    Rows that PostgreSQL wrote as JSON pass through as they are.
    """

    position: int
    rows: list[dict[str, Any]] | msgspec.Raw
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events of the log are wanted; None wants them all. `type` is the type as it is told outside,
    `kind` what the stream must be one of: `card` or `member`.

    Days and instants are inclusive; `until` is the position that a listing ends at.
    """

    stream: UUID | None = None
    kind: str = ""
    type: str | None = None
    actor: str | None = None
    correlation: str | None = None
    value_from: date | None = None
    value_to: date | None = None
    recorded_from: datetime | None = None
    recorded_to: datetime | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """CloudEvents in the order of the log; `read_to` is the position looked at last, `head` the end of the log.

    `debits` and `credits` are what these events are in the books, in whole yen.
    """

    events: list[dict[str, Any]]
    read_to: int
    head: int
    debits: int = 0
    credits: int = 0


class Door(Protocol):
    """Who a token belongs to."""

    async def caller(self, token: str) -> Caller | None:
        """None for an unknown token; raises SessionEnded for a session that has ended."""
        ...


class Freshness(Protocol):
    """How far the read models are."""

    async def reached(self, read_model: str, stream: UUID | None, position: int | None, wait_seconds: float) -> bool:
        """Wait until the read model shows `position`, and what was acknowledged here on the stream; False if not."""
        ...

    async def recorded(self, position: int, wait_seconds: float) -> bool:
        """Wait until the log itself holds the position; False if not."""
        ...


class Balances(Protocol):
    async def balance(self, card_id: UUID, value_date: date | None, as_of: AsOf) -> Answer: ...

    async def settlement_quote(self, card_id: UUID, day: date | None) -> Answer: ...


class Explanations(Protocol):
    async def explanation(self, card_id: UUID, of: str, as_of: AsOf, *, role: str, language: str) -> Answer:
        """What makes a figure, as far as the role may know it, with a text to be read out in the language."""
        ...


class Transactions(Protocol):
    async def transactions(
        self,
        card_id: UUID,
        *,
        kind: str | None,
        since: date | None,
        until: date | None,
        as_of: AsOf,
        after: str | None,
        limit: int,
    ) -> Page:
        """Newest first; `since` and `until` are value dates, both inclusive."""
        ...


class Lockouts(Protocol):
    async def lockout(self, card_id: UUID, as_of: AsOf, *, discreet: bool, wait_seconds: float) -> Answer:
        """The view with `remedy` as a Remedy or None; `discreet` hides the credit reasons, as a member reads it."""
        ...


class Members(Protocol):
    async def member(self, member_id: UUID, role: str) -> Answer:
        """The member as this role may know it: the auditor reads no name."""
        ...

    async def cards(self, member_id: UUID, after: str | None, limit: int) -> Page: ...

    async def limit_change_requests(self, member_id: UUID, after: str | None, limit: int) -> Page: ...


class Events(Protocol):
    async def events(self, wanted: EventFilter, after: int, limit: int) -> EventPage:
        """Events after the position `after`, oldest first; raises NotFound for a stream that does not exist."""
        ...

    async def moved(self, after: int, wait_seconds: float) -> None:
        """Return when the log has moved past `after`, or after the wait."""
        ...


class Books(Protocol):
    async def journal(self, after: str | None, as_of: AsOf, limit: int) -> Page:
        """Oldest first; every page ends at the position that the first one stood at."""
        ...

    async def trial_balance(self, as_of: AsOf) -> Answer: ...


class AccessLog(Protocol):
    async def put_on_record(
        self, *, subject: str, role: str, operation: str, path: str, query: str, request_id: str
    ) -> None:
        """Note one read of an auditor before it is answered."""
        ...

    async def access_log(self, after: str | None, limit: int) -> Page:
        """Newest first."""
        ...


class RefusedActs(Protocol):
    async def refusals(
        self,
        stream: UUID,
        kind: str,
        *,
        since: date | None,
        until: date | None,
        as_of: AsOf,
        after: str | None,
        limit: int,
        language: str,
    ) -> Page:
        """Newest first, `remedy` as a code; NotFound for a stream of this kind that does not exist."""
        ...


class Projections(Protocol):
    async def projections(self) -> Answer:
        """`{"data": [{name, position, head, lag_events, lag_seconds, state, failure}]}`."""
        ...


class Sandbox(Protocol):
    async def now(self) -> datetime: ...

    async def move_clock(self, target: datetime) -> datetime:
        """Raises ClockBackward."""
        ...

    async def outbox(self) -> list[dict[str, Any]]: ...


class Throttle(Protocol):
    def counting(self, address: str, *failures: type[Refusal]) -> AbstractAsyncContextManager[None]:
        """One login of the address, counted if it ends in one of these refusals. Raises TooManyRequests."""
        ...


class DayCloses(Protocol):
    async def close_days(self, order: Instruction, through: date) -> Answer:
        """Close every open day up to `through`."""
        ...


class Acts(Protocol):
    """The acts of the ledger, and the sessions."""

    async def refuse_during_outage(self, order: Instruction, scope: str) -> None:
        """Raises Maintenance inside an outage of the scope: it goes before the form of a login."""
        ...

    async def log_in_by_card(self, order: Instruction, *, card_number: str, pin: str) -> Answer: ...
    async def log_in_by_web(self, order: Instruction, *, web_id: str, password: str) -> Answer: ...
    async def list_sessions(self, caller: Caller) -> dict[str, Any]: ...
    async def end_session(self, order: Instruction, session_id: UUID | None) -> Answer: ...

    async def enrol_member(self, order: Instruction, profile: dict[str, Any]) -> Answer: ...
    async def set_web_credentials(
        self, order: Instruction, member_id: UUID, *, web_id: str, password: str, present_password: str | None
    ) -> Answer: ...
    async def request_password_reset(self, order: Instruction, *, email: str, birth_date: date) -> Answer: ...
    async def complete_password_reset(self, order: Instruction, *, token: str, new_password: str) -> Answer: ...
    async def send_password_reset_mail(self, order: Instruction, member_id: UUID) -> Answer: ...
    async def change_profile(self, order: Instruction, member_id: UUID, changes: dict[str, Any]) -> Answer: ...

    async def issue_card(
        self,
        order: Instruction,
        member_id: UUID,
        *,
        pin: str,
        credit_limit: int,
        annual_rate_bps: int,
        due_day: int | str,
    ) -> Answer: ...
    async def reset_pin(
        self, order: Instruction, card_id: UUID, *, new_pin: str, document_kind: str, verified_at: datetime
    ) -> Answer: ...

    async def draw_advance(self, order: Instruction, card_id: UUID, *, amount: int, purpose: str) -> Answer: ...
    async def confirm_advance(
        self, order: Instruction, card_id: UUID, advance_id: UUID, *, value_date: date | None
    ) -> Answer: ...
    async def fail_advance(self, order: Instruction, card_id: UUID, advance_id: UUID) -> Answer: ...
    async def reverse_advance(self, order: Instruction, card_id: UUID, advance_id: UUID) -> Answer: ...
    async def repay(
        self, order: Instruction, card_id: UUID, *, amount: int, method: str, value_date: date | None
    ) -> Answer: ...
    async def reverse_repayment(self, order: Instruction, card_id: UUID, repayment_id: UUID) -> Answer: ...

    async def suspend(self, order: Instruction, card_id: UUID, *, reason: str) -> Answer: ...
    async def resume(self, order: Instruction, card_id: UUID, suspension_id: UUID, *, check_ref: str) -> Answer: ...
    async def stop(self, order: Instruction, card_id: UUID, *, reason: str) -> Answer: ...
    async def request_lifting(self, order: Instruction, card_id: UUID, stop_id: UUID, *, check_ref: str) -> Answer: ...
    async def approve_lifting(self, order: Instruction, card_id: UUID, stop_id: UUID) -> Answer: ...

    async def request_limit_change(self, order: Instruction, member_id: UUID, *, requested_limit: int) -> Answer: ...
    async def decide_limit_change(
        self, order: Instruction, member_id: UUID, request_id: UUID, *, approve: bool, limit: int | None, reason: str
    ) -> Answer: ...
    async def record_income_proof(
        self, order: Instruction, member_id: UUID, *, annual_income: int, issued_on: date
    ) -> Answer: ...
    async def record_credit_report(
        self, order: Instruction, member_id: UUID, *, others_balance: int, reported_on: date
    ) -> Answer: ...


def fitted(port: Port | None) -> Port:
    """The port; NotFound in a process that has none of its kind."""
    if port is None:
        raise NotFound
    return port


async def _nothing() -> None:
    return None


@dataclass(slots=True, kw_only=True)
class Services:
    """Everything that stands behind the routes of one process.

    `ask_for_metrics` is called before `metrics` are read. `ready` raises a refusal while the database cannot serve.
    `drain` waits until no accepted act is under way, `stop_projector` until the projector has ended; both are called in
    this order when the process stops.
    """

    ledger: Acts
    door: Door
    freshness: Freshness
    balances: Balances
    transactions: Transactions
    lockouts: Lockouts
    members: Members
    events: Events
    projections: Projections
    explanations: Explanations | None = None
    books: Books | None = None
    access_log: AccessLog | None = None
    refused_acts: RefusedActs | None = None
    day_closes: DayCloses | None = None
    sandbox: Sandbox | None = None
    throttle: Throttle | None = None
    proxies: int = 0
    heartbeat_seconds: int = 15
    fingerprint_key: bytes
    cursor_key: bytes
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    ask_for_metrics: Callable[[], Awaitable[None]] = _nothing
    ready: Callable[[], Awaitable[None]] = _nothing
    drain: Callable[[], Awaitable[None]] = _nothing
    stop_projector: Callable[[], Awaitable[None]] = _nothing
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
