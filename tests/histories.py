"""Histories for the auditor: a short one through the application, and random lives of cards written into a log."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid5

import psycopg
from borrowing import BOOK, CARD, CAUSE, Borrower, noon
from hypothesis import strategies as st
from ledgers import ATM, BANK, WRONG_PIN, Holder, borrowed, holder, opened, order, told
from msgspec import structs

from ledger.aggregates.card import Card
from ledger.aggregates.fact import Event
from ledger.money import Yen
from ledger.refusals import Refusal
from ledger.store.mapper import encode
from ledger.store.pages import Recorded
from ledger.terms import TermsBook

START = date(2023, 11, 6)
FEE = 110
WITH_FEES = TermsBook(
    tuple(replace(terms, advance=replace(terms.advance, transfer_fee=FEE)) for terms in BOOK.versions), BOOK.digest
)


async def told_history(dsn: str, name: str = "first") -> Holder:
    """A member with a card who drew, repaid twice, had a repayment taken back late, and mistyped a PIN."""
    async with opened(dsn) as ledger:
        card = await holder(ledger, email=f"{name}@example.com")
        await borrowed(ledger, card, 50_000)
        await ledger.repay(order(BANK), card.card_id, 8_000, "bank-transfer", None)
        await ledger.repay(order(BANK), card.card_id, 7_000, "direct-debit", None)
        await told(ledger.log_in_by_card(order(ATM), card.number, WRONG_PIN))
    return card


class Life(Borrower):
    """One card whose acts are each a command of its own; advances cost a fee, so that all kinds of claims come about.

    A step that the card refuses (a stopped card lends nothing) is left out.
    """

    def __init__(self, due_day: int | str = 5, interest_free: bool = False, card_id: UUID = CARD) -> None:
        self.acts = 0
        self.drawn: list[UUID] = []
        self.received: list[UUID] = []
        self.closed = START - timedelta(days=1)
        super().__init__(
            START, limit=900_000, due_day=due_day, interest_free=interest_free, book=WITH_FEES, card_id=card_id
        )

    def on(self, day: date) -> Card:
        self.acts += 1
        self.day = day
        cause = structs.replace(CAUSE, command_id=uuid5(CARD, str(self.acts)))
        return self.card.instructed_by(cause, noon(day))

    def do(self, kind: str, later: int, amount: int, back: int, method: str) -> None:
        day = self.day + timedelta(days=later)
        self.on(day)
        with suppress(Refusal):
            getattr(self, f"_{kind.replace('-', '_')}")(day, amount, max(START, day - timedelta(days=back)), method)

    def _draw(self, day: date, amount: int, on: date, _: str) -> None:
        for suspension in tuple(self.card.access.suspensions):
            self.on(day).resume(suspension, "test")
        if available := self.card.account.available:
            self.drawn.append(self.draw(day, min(amount, available), on))

    def _repay(self, day: date, amount: int, on: date, method: str) -> None:
        self.received.append(self.repay(day, amount, method, value_date=on).repayment_id)

    def _instalment(self, day: date, _: int, __: date, method: str) -> None:
        self._repay(day, self.card.account.standing.instalment or 1000, day, method)

    def _settle(self, day: date, _: int, __: date, method: str) -> None:
        self._repay(day, self.figures(day).total or 1000, day, method)

    def _unreceive(self, day: date, amount: int, _: date, __: str) -> None:
        if self.received:
            chosen = self.received[amount % len(self.received)]
            self.on(day).reverse_repayment(chosen, self.terms)

    def _undraw(self, day: date, amount: int, _: date, __: str) -> None:
        if self.drawn:
            self.on(day).reverse_advance(self.drawn[amount % len(self.drawn)], self.terms)

    def _refund(self, day: date, amount: int, _: date, __: str) -> None:
        credit = self.card.account.standing.customer_credit
        if credit:
            self.on(day).send_refund(Yen(1 + amount % credit), value_date=None, terms=self.terms)

    def _rate(self, day: date, amount: int, _: date, __: str) -> None:
        present = self.card.account.standing.annual_rate_bps
        self.on(day).change_limit(
            Yen(900_000),
            annual_rate_bps=max(400, present - amount % 500),
            request_id=None,
            reason="x",
            terms=self.terms,
        )

    def _close(self, day: date, _: int, __: date, ___: str) -> None:
        """All open days, one after the other, in the small hours of this one."""
        while self.closed + timedelta(days=1) < day:
            self.closed += timedelta(days=1)
            cause = structs.replace(CAUSE, command_id=CARD, causation_id=f"day-close:{self.closed}")
            self.card.instructed_by(cause, noon(day)).close_day(self.closed, self.book.at(self.closed))


KINDS = ("draw", "draw", "repay", "repay", "instalment", "settle", "unreceive", "undraw", "refund", "rate", "close")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from([0, 0, 1, 3, 9, 17, 29, 31, 45]),
        st.integers(1, 400_000),
        st.sampled_from([0, 0, 0, 1, 7, 40]),
        st.sampled_from(["atm", "bank-transfer", "counter"]),
    ),
    min_size=1,
    max_size=14,
)


def lived(steps: Iterable[Any], due_day: int | str = 5, free: bool = False) -> list[Recorded]:
    life = Life(due_day, free)
    for step in steps:
        life.do(*step)
    return as_recorded(life.events)


LIVES = st.builds(lived, STEPS, st.sampled_from([5, 15, 25, "end"]), st.booleans())
"""The facts of random lives of a card, in order, as if each had been recorded when it was decided."""


def as_recorded(events: Iterable[Event]) -> list[Recorded]:
    return [Recorded(number, event.at, event) for number, event in enumerate(events, 1)]


def side_by_side(lives: Iterable[list[Recorded]]) -> list[Recorded]:
    """Several lives in the order of their times, each under a stream of its own."""
    own = [
        [replace(each, event=structs.replace(each.event, originator_id=uuid5(CARD, str(number)))) for each in life]
        for number, life in enumerate(lives)
    ]
    merged = heapq.merge(*own, key=lambda each: (each.recorded_at, each.event.originator_id))
    return [replace(each, position=position) for position, each in enumerate(merged, 1)]


def write(dsn: str, recorded: Iterable[Recorded]) -> None:
    """Put the facts into the table of the log at their positions and times: for logs that no clock has lived."""
    with psycopg.connect(dsn) as connection:
        for each in recorded:
            event = each.event
            connection.execute(
                "insert into ledger_events values (%s, %s, %s, %s, %s, %s)",
                (
                    event.originator_id,
                    event.originator_version,
                    event.fact.topic,
                    encode(event),
                    each.position,
                    each.recorded_at,
                ),
            )
