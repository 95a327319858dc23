"""Explaining a figure from the log alone: the streams are read in pages up to a position, and folded."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from ledger.aggregates.card import Card
from ledger.audit.bars import BarMoved, BarStory, discreet
from ledger.audit.explanation import CREDIT, DEBIT, CardStory, Explanation, Line
from ledger.audit.replay import Replay
from ledger.calendar import business_day
from ledger.refusals import NotFound
from ledger.terms import TermsBook

FIGURES: Final = ("principal", "interest", "late_damages", "fees", "available_credit", "next_due", "lockout")
KNOWS_WHO_ACTED: Final = frozenset({"auditor", "credit"})


class Explainer:
    """Explains figures of cards as of any position or instant."""

    def __init__(self, replay: Replay, terms: TermsBook) -> None:
        self._replay = replay
        self._terms = terms

    async def explain(self, card_id: UUID, of: str, as_of: int | datetime | None, *, role: str) -> Explanation:
        """The figure with its lines, as far as the role may know them; raises NotFound, BeforeFirstEvent,
        PositionUnknown."""
        if as_of is None:
            position, at = await self._replay.head(), await self._replay.now()
        else:
            position = await self._replay.position_of(as_of)
            at = await self._replay.instant_of(as_of, position)
        whole = await (self._lockout if of == "lockout" else self._figure)(card_id, of, at, position)
        if role in KNOWS_WHO_ACTED:
            return whole
        lines = (replace(line, calculation=discreet(line.calculation, member=role == "member")) for line in whole.lines)
        return replace(whole, lines=tuple(lines))

    async def _figure(self, card_id: UUID, of: str, at: datetime, position: int) -> Explanation:
        story = CardStory(card_id)
        async for recorded in self._replay.stream(card_id, position):
            if not recorded.event.fact.topic.startswith("card."):
                raise NotFound
            story.tell(recorded)
        if story.card.version == 0:
            raise NotFound
        return story.explain(of, at, position, self._terms)

    async def _lockout(self, card_id: UUID, of: str, at: datetime, position: int) -> Explanation:
        moved, card = await self._bars(card_id, position)
        if not isinstance(card.aggregate, Card):
            raise NotFound
        of_member, _ = await self._bars(card.aggregate.member_id, position)
        lines = tuple(_line(each) for each in sorted(moved + of_member, key=lambda each: each.position))
        return Explanation(
            card_id=card_id,
            of=of,
            figure=sum(line.signed for line in lines),
            value_date=business_day(at),
            position=position,
            lines=lines,
        )

    async def _bars(self, stream: UUID, position: int) -> tuple[list[BarMoved], BarStory]:
        story, moved = BarStory(), list[BarMoved]()
        async for recorded in self._replay.stream(stream, position):
            moved.extend(story.tell(recorded))
        return moved, story


def _line(moved: BarMoved) -> Line:
    return Line(
        direction=DEBIT if moved.by > 0 else CREDIT,
        amount=1,
        topic=moved.topic,
        position=moved.position,
        calculation=moved.told,
    )
