"""What every act of the application has at hand, and the loop that gathers again when what was gathered has moved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from ledger.aggregates.access import VerdictStale
from ledger.aggregates.member import Member
from ledger.instruction import Answer, Instruction
from ledger.lane import Act, Decision, Desk, GatheredStale, Lane
from ledger.refusals import Busy, Maintenance, NotFound, Refusal
from ledger.store.directory import Directory, Personal
from ledger.store.hashing import HashRoom
from ledger.store.sessions import Doorkeeper

_GATHERINGS_MAX = 10
_HIDING_HASHES = 5
"""PIN hashes that take longer than one of a password, the look-ups around it and a commit."""


class Parts:
    """The lane, the directory, the room for hashes and the doorkeeper."""

    lane: Lane
    directory: Directory
    room: HashRoom
    doorkeeper: Doorkeeper

    async def _execute(self, order: Instruction, streams: tuple[UUID, ...], decide: Decision) -> Answer:
        return await self.lane.execute(Act(order, streams, decide))

    async def _look(self, order: Instruction, streams: tuple[UUID, ...], decide: Callable[[Desk], object]) -> None:
        """Ask the present state without recording anything; raises what `decide` raises."""

        def look(desk: Desk) -> dict[str, Any]:
            decide(desk)
            return {}

        await self.lane.execute(Act(order.keyless, streams, look))

    async def _stored(self, order: Instruction) -> Answer | None:
        """What the same request was answered before; None for a new one. It spares gathering, and any hash, again.

        Raises the stored refusal, IdempotencyKeyReused and IdempotencyKeyInUse.
        """
        if order.key is None:
            return None

        def nothing_stored(_: Desk) -> dict[str, Any]:
            raise GatheredStale

        try:
            return await self._execute(order, (), nothing_stored)
        except GatheredStale:
            return None

    async def _gathered(self, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        """Gather and decide until both saw the same; Busy if the ground keeps moving."""
        for _ in range(_GATHERINGS_MAX):
            try:
                return await attempt()
            except (GatheredStale, VerdictStale):
                continue
        raise Busy(retry_after=1)

    @asynccontextmanager
    async def _evenly(self, *refusals: type[Refusal]) -> AsyncIterator[None]:
        """Let these refusals take as long whether or not somebody is known; without any, whatever happens inside."""
        began = time.monotonic()
        hidden = not refusals
        try:
            yield
        except refusals:
            hidden = True
            raise
        finally:
            if hidden:
                until = began + _HIDING_HASHES * self.room.seconds_per_hash
                await asyncio.sleep(max(0.0, until - time.monotonic()))

    async def _personal(self, member_id: UUID) -> Personal:
        personal = await self.directory.personal(member_id)
        if personal is None:
            raise NotFound
        return personal


def require_fresh(member: Member, personal: Personal) -> None:
    """Raise GatheredStale when the member's personal facts have moved since they were opened."""
    if max(member.sealed.values(), default=0) != personal.version:
        raise GatheredStale


def refuse_in_outage(desk: Desk, scope: str) -> None:
    """Raise Maintenance, with the seconds until it ends, inside an outage window of the terms."""
    ends = desk.terms.outage_at(desk.now, scope)
    if ends is not None:
        raise Maintenance(retry_after=max(1, int((ends - desk.now).total_seconds())))
