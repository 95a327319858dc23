"""The readers behind the auditor's routes: the log, the books, what was read, what was refused; each as plain JSON.

What must stay true: a listing is pinned to the position its first page stood at, so that its pages never disagree.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any
from uuid import UUID

import msgspec

from api.ports import AsOf, EventFilter, EventPage, Page
from ledger.audit.access_log import AccessLog
from ledger.audit.events import EventFilter as LogFilter
from ledger.audit.events import EventLog, cloud_event, topic_of, turnover
from ledger.audit.explainer import Explainer
from ledger.audit.refused_acts import RefusedActs
from ledger.audit.replay import Replay
from ledger.audit.spoken import spoken
from ledger.instruction import Answer
from ledger.postings import ACCOUNTS
from ledger.projections.freshness import Freshness
from ledger.projections.journal import AccountTotal, JournalReader
from ledger.refusals import NotFound, ProjectionBehind


class EventReads:
    """Events of the log or of one stream."""

    def __init__(self, log: EventLog, replay: Replay, freshness: Freshness) -> None:
        self._log = log
        self._replay = replay
        self._freshness = freshness

    async def events(self, wanted: EventFilter, after: int, limit: int) -> EventPage:
        """The next events that fit; a stream that does not exist is NotFound, an unknown type fits nothing."""
        if wanted.stream is not None and not await self._replay.exists(wanted.stream, wanted.kind):
            raise NotFound
        if wanted.type is not None and topic_of(wanted.type) is None:
            head = await self._replay.head()
            return EventPage([], head, head)
        if wanted.recorded_from is not None:
            # Positions and recorded times grow together: a range of times is a range of positions.
            after = max(after, await self._replay.last_recorded_by(wanted.recorded_from, before=True))
        found = await self._log.page(await self._in_the_log(wanted), after=after, limit=limit)
        sums = [turnover(recorded) for recorded in found.events]
        return EventPage(
            [cloud_event(recorded) for recorded in found.events],
            found.read_to,
            found.head,
            sum(debits for debits, _ in sums),
            sum(credits for _, credits in sums),
        )

    async def _in_the_log(self, wanted: EventFilter) -> LogFilter:
        until = wanted.until
        if wanted.recorded_to is not None:
            last = await self._replay.last_recorded_by(wanted.recorded_to)
            until = last if until is None else min(until, last)
        return LogFilter(
            stream=wanted.stream,
            topic=None if wanted.type is None else topic_of(wanted.type),
            actor=wanted.actor,
            correlation=wanted.correlation,
            value_from=wanted.value_from,
            value_to=wanted.value_to,
            until=until,
        )

    async def moved(self, after: int, wait_seconds: float) -> None:
        """Wait until the read models have moved past the position: then the log has, too."""
        await self._freshness.reached("transactions", None, after + 1, wait_seconds)


class ExplanationReads:
    """Explanations, with the text to be read out."""

    def __init__(self, explainer: Explainer) -> None:
        self._explainer = explainer

    async def explanation(self, card_id: UUID, of: str, as_of: AsOf, *, role: str, language: str) -> Answer:
        found = await self._explainer.explain(card_id, of, as_of, role=role)
        return Answer(found.position, {**found.as_json(), "spoken": spoken(found, language)})


class BookReads:
    """The journal and its trial balances."""

    def __init__(self, journal: JournalReader, replay: Replay) -> None:
        self._journal = journal
        self._replay = replay

    async def journal(self, after: str | None, as_of: AsOf, limit: int) -> Page:
        """The cursor holds where all pages end, and the line that this one begins after."""
        until = None if as_of is None else await self._replay.position_of(as_of)
        begin = (0, -1)
        if after is not None:
            until, *begin_at = (int(part) for part in after.split("."))
            begin = (begin_at[0], begin_at[1])
        page = await self._journal.page(after=begin, until=until, limit=limit)
        if until is not None and page.position < until:
            raise ProjectionBehind
        pinned = page.position if until is None else until
        following = f"{pinned}.{page.last[0]}.{page.last[1]}" if page.last is not None else None
        return Page(pinned, msgspec.Raw(page.rows.encode()), following)

    async def trial_balance(self, as_of: AsOf) -> Answer:
        """Sums of both sides are equal as of every position."""
        until = None if as_of is None else await self._replay.position_of(as_of)
        reached, totals = await self._journal.trial_balance(until)
        if until is not None and reached < until:
            raise ProjectionBehind
        position = reached if until is None else until
        return Answer(
            position,
            {
                "accounts": [_account(total) for total in totals],
                "debits": sum(total.debits for total in totals),
                "credits": sum(total.credits for total in totals),
                "position": position,
            },
        )


def _account(total: AccountTotal) -> dict[str, Any]:
    balance = total.debits - total.credits
    return {
        "account": total.account,
        "name_ja": ACCOUNTS[total.account],
        "debits": total.debits,
        "credits": total.credits,
        "balance": abs(balance),
        "direction": "credit" if balance < 0 else "debit",
    }


class AccessReads:
    """What auditors have read."""

    def __init__(self, log: AccessLog, replay: Replay) -> None:
        self._log = log
        self._replay = replay
        self.put_on_record = log.put_on_record

    async def access_log(self, after: str | None, limit: int) -> Page:
        found = await self._log.page(2**62 if after is None else int(after), limit)
        following = str(found[-1].read_id) if len(found) == limit else None
        return Page(await self._replay.head(), [asdict(read) for read in found], following)


class RefusalReads:
    """What was refused, in the words of the refusal."""

    def __init__(self, refused: RefusedActs, replay: Replay) -> None:
        self._refused = refused
        self._replay = replay

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
        if not await self._replay.exists(stream, kind):
            raise NotFound
        if as_of is None:
            position, then = await self._replay.head(), await self._replay.now()
        else:
            position = await self._replay.position_of(as_of)
            then = await self._replay.instant_of(as_of, position)
        before = 2**62 if after is None else int(after)
        found = await self._refused.page(stream, until=then, since=since, to=until, before=before, limit=limit)
        following = str(found[-1].entry) if len(found) == limit else None
        return Page(position, [act.told(language) for act in found], following)
