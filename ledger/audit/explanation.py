"""Why a figure is what it is: the events that make it, each with its calculation.

What must stay true: debits minus credits of the lines is the figure, to the yen. Of a lockout every lock, stop and
suspension counts one. Nothing is decided here: the figures are those of the folded card.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from ledger.aggregates.balance import Figures
from ledger.aggregates.card import Card
from ledger.aggregates.fact import FACTS, Fact
from ledger.aggregates.instalments import DueDateSet, InstalmentSet
from ledger.aggregates.repayments import RepaymentMade
from ledger.aggregates.rerun import Rerun
from ledger.aggregates.restatement import AllocationRevised
from ledger.aggregates.schedule import ReceiptDecision
from ledger.aggregates.standing import Standing
from ledger.audit.bars import standing_bars
from ledger.audit.events import type_outside
from ledger.calendar import business_day
from ledger.interest import DENOMINATOR, Segment
from ledger.store.pages import Recorded
from ledger.terms import TermsBook

DEBIT, CREDIT = "debit", "credit"
ACCRUED: Final = {"interest": "interest", "late_damages": "late_damages"}
_SET_BY: Final = ("advance_id", "balance", "coefficient_bps", "terms_version")
_TOLD: Final = (
    "advance_id", "repayment_id", "refund_id", "caused_by", "purpose", "method", "amount", "fee", "owed", "allocation",
    "principal_before", "principal_after", "terms_version",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line; `topic` and `position` are None for what has grown since the last event."""

    direction: str
    amount: int
    topic: str | None = None
    position: int | None = None
    value_date: date | None = None
    calculation: dict[str, Any] = field(default_factory=dict)

    @property
    def signed(self) -> int:
        return self.amount if self.direction == DEBIT else -self.amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A figure of a card on a day, as the log knew it at a position, with its lines in order."""

    card_id: UUID
    of: str
    figure: int
    value_date: date
    position: int
    lines: tuple[Line, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "card_id": str(self.card_id),
            "of": self.of,
            "figure": self.figure,
            "value_date": self.value_date.isoformat(),
            "position": self.position,
            "lines": [_line_json(line) for line in self.lines],
        }


def _line_json(line: Line) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(line)
    topic = told.pop("topic")
    return {**told, "type": None if topic is None else type_outside(topic, FACTS[topic].schema_version)}


class CardStory:
    """A card folded event by event, with what an explanation needs of each."""

    def __init__(self, card_id: UUID) -> None:
        self.card = Card.blank(card_id)
        self._moved: dict[str, list[Line]] = {"principal": [], "fees": []}
        self._decided_at: dict[UUID, tuple[int, Fact]] = {}
        self._reserved_at: dict[str, int] = {}
        self._limit_set: tuple[int, Fact] | None = None
        self._instalment_set: tuple[int, Fact] | None = None
        self._due_set: tuple[int, Fact] | None = None

    def tell(self, recorded: Recorded) -> None:
        """Fold the next event and keep what it changed."""
        fact, card = recorded.event.fact, self.card
        before = _amounts(card) if card.version else {"principal": 0, "fees": 0}
        instalment, due = (card.account.standing.instalment, card.account.standing.due) if card.version else (0, None)
        limit, in_flight = (card.account.credit_limit, set(card.account.in_flight)) if card.version else (None, set())
        recorded.event.mutate(card)
        for name, amount in _amounts(card).items():
            if amount != before[name]:
                self._moved[name].append(_moved(recorded, amount - before[name]))
        if card.account.credit_limit != limit:
            self._limit_set = recorded.position, fact
        if isinstance(fact, InstalmentSet) or card.account.standing.instalment != instalment:
            self._instalment_set = recorded.position, fact
        if isinstance(fact, DueDateSet) or card.account.standing.due != due:
            self._due_set = recorded.position, fact
        self._reserved_at.update(dict.fromkeys(set(card.account.in_flight) - in_flight, recorded.position))
        if isinstance(fact, RepaymentMade):
            self._decided_at[fact.repayment_id] = recorded.position, fact
        elif isinstance(fact, AllocationRevised):
            decided = {receipt.repayment_id: (recorded.position, fact) for receipt in fact.revised}
            self._decided_at.update(decided)

    def explain(self, of: str, at: datetime, position: int, book: TermsBook) -> Explanation:
        """Explain one figure of the business day of `at`."""
        day = business_day(at)
        figures = self.card.account.figures(day, book, self.card.borrowing_barred)
        if of in ACCRUED:
            lines = tuple(self._accrued(of, day, book))
        elif of == "available_credit":
            lines = tuple(self._available())
        elif of == "next_due":
            lines = tuple(self._next_due(figures, book))
        else:
            lines = tuple(self._moved[of])
        figure: int = getattr(figures, "minimum_instalment" if of == "next_due" else of)
        assert sum(line.signed for line in lines) == figure, (of, self.card.id, position)
        return Explanation(card_id=self.card.id, of=of, figure=figure, value_date=day, position=position, lines=lines)

    def _accrued(self, of: str, day: date, book: TermsBook) -> Iterator[Line]:
        """What accrued up to each receipt and what the receipt paid of it, as known now; then what grew since."""
        for repayment_id, on, decision in self._receipts(day, book):
            position, fact = self._decided_at[repayment_id]
            told = {"repayment_id": str(repayment_id), "carried": getattr(decision.carried, of)}
            accrued = getattr(decision.owed, of) - getattr(decision.carried, of)
            terms = {"terms_version": book.at(on).version}
            if accrued:
                reckoned = _reckoned(getattr(decision.accrual, of)) | told | terms
                yield Line(direction=DEBIT, amount=accrued, topic=fact.topic, position=position, value_date=on,
                           calculation=reckoned)  # fmt: skip
            paid = getattr(decision.allocation, of)
            if paid:
                allocation = {"allocation": msgspec.to_builtins(decision.allocation)} | terms
                yield Line(direction=CREDIT, amount=paid, topic=fact.topic, position=position, value_date=on,
                           calculation=told | allocation)  # fmt: skip
        account = self.card.account
        grown = getattr(account.figures(day, book, False), of) - getattr(account.standing, of)
        if grown:
            segments = getattr(account.accrual(day, book), of)
            reckoned = _reckoned(segments) | {"terms_version": book.at(day).version}
            yield Line(direction=DEBIT, amount=grown, value_date=day, calculation=reckoned)

    def _receipts(self, day: date, book: TermsBook) -> Iterator[tuple[UUID, date, ReceiptDecision]]:
        """Every receipt that stands, in the order of value dates, with the decision as it is known now."""
        passbook = self.card.written
        if not passbook.checkpoints:
            return
        again = Rerun(passbook.checkpoints[0][1], book.at(day))
        again.run(passbook.entries, date.min)
        for entry in passbook.entries:
            if entry.id in again.receipts:
                yield entry.id, entry.on, again.receipts[entry.id]

    def _available(self) -> Iterator[Line]:
        account = self.card.account
        assert self._limit_set is not None, "a card begins with its limit"
        position, fact = self._limit_set
        yield Line(direction=DEBIT, amount=account.credit_limit, topic=fact.topic, position=position,
                   calculation={"credit_limit": account.credit_limit})  # fmt: skip
        left = account.credit_limit - account.principal
        if account.principal:
            yield Line(direction=CREDIT, amount=account.principal, calculation={"explained_by": "principal"})
        for advance_id, amount in account.in_flight.items():
            left -= amount
            yield Line(direction=CREDIT, amount=amount, topic="card.advance-reserved",
                       position=self._reserved_at[advance_id], calculation={"advance_id": advance_id})  # fmt: skip
        if left < 0:
            yield Line(direction=DEBIT, amount=-left, calculation={"never_below": 0})
        elif left > 0 and self.card.borrowing_barred:
            barred = {"barred_by": [bar.code for bar in standing_bars(self.card.access).values()]}
            yield Line(direction=CREDIT, amount=left, calculation=barred)

    def _next_due(self, figures: Figures, book: TermsBook) -> Iterator[Line]:
        """The instalment with the due date that it falls due on; not more than is owed. A due date that no fact has set
        yet follows from the calendar alone: the one before it is over."""
        standing = self.card.account.standing_on(figures.value_date, book.at(figures.value_date))
        if standing.due is None or not standing.instalment:
            return
        assert self._instalment_set is not None, "an instalment is set by a fact"
        position, fact = self._instalment_set
        by_fact = self._due_set if standing.due == self.card.account.standing.due else None
        told = {name: value for name, value in msgspec.to_builtins(fact).items() if name in _SET_BY}
        told |= {"due": msgspec.to_builtins(standing.due), "due_set_at": by_fact and by_fact[0]}
        yield Line(direction=DEBIT, amount=standing.instalment, topic=fact.topic, position=position,
                   value_date=standing.due.day, calculation=told)  # fmt: skip
        over = standing.instalment - figures.minimum_instalment
        if over:
            yield Line(direction=CREDIT, amount=over, calculation={"never_above": figures.total})


def _amounts(card: Card) -> dict[str, int]:
    standing: Standing = card.account.standing
    return {"principal": standing.principal, "fees": standing.fees}


def _moved(recorded: Recorded, by: int) -> Line:
    fact = recorded.event.fact
    fields = msgspec.to_builtins(fact)
    told = {name: fields[name] for name in _TOLD if fields.get(name) is not None}
    if fields.get("restated"):
        told["restated"] = True  # later entries were reckoned again: the line is what all of it moved
    return Line(
        direction=DEBIT if by > 0 else CREDIT,
        amount=abs(by),
        topic=fact.topic,
        position=recorded.position,
        value_date=getattr(fact, "value_date", None),
        calculation=told,
    )


def _reckoned(segments: Iterable[Segment]) -> dict[str, Any]:
    """The calculation: the days, the exact sum as a decimal cut after three places, and the whole yen of it."""
    cut = tuple(segments)
    numerator = sum(each.numerator for each in cut)
    thousandths = numerator * 1000 // DENOMINATOR
    return {
        "segments": msgspec.to_builtins(cut),
        "denominator": DENOMINATOR,
        "exact": f"{thousandths // 1000}.{thousandths % 1000:03d}",
        "rounding": "floor",
        "yen": numerator // DENOMINATOR,
    }
