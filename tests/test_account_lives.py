"""Random lives of a card against the slow one: every figure of every day, in whatever order things arrive."""

from __future__ import annotations

from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
from borrowing import Borrower
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_card import Entry, SlowCard

from ledger import refusals
from ledger.money import Yen

START = date(2023, 11, 6)

TWO_YEARS = timedelta(days=731)

step = st.tuples(
    st.sampled_from(
        ["draw", "late-confirm", "repay", "repay", "instalment", "back-dated", "back-dated", "settle", "unreceive"]
        + ["undraw", "refund", "rate", "close"]
    ),
    st.sampled_from([0, 0, 1, 3, 9, 17, 29, 31, 45]),
    st.integers(1, 400_000),
    st.integers(0, 60),
    st.sampled_from(["atm", "bank-transfer", "counter"]),
)
steps = st.lists(step, min_size=1, max_size=14)
due_days = st.sampled_from([5, 15, 25, "end"])


class Lives:
    """The ledger's card and the slow one, told the same."""

    def __init__(self, due_day: int | str, interest_free: bool) -> None:
        self.fast = Borrower(START, limit=900_000, rate=1780, due_day=due_day, interest_free=interest_free)
        self.slow = SlowCard(START, 1780, due_day, interest_free)
        self.day = START
        self.closed = START - timedelta(days=1)
        self.draws: dict[Any, Entry] = {}
        self.receipts: dict[Any, Entry] = {}

    def do(self, kind: str, later: int, amount: int, back: int, method: str) -> None:
        self.day += timedelta(days=later)
        self.fast.on(self.day)
        getattr(self, kind.replace("-", "_"))(amount, self.day - timedelta(days=back), method)

    def draw(self, amount: int, _: date, __: str) -> None:
        self._confirm(amount, self.day)

    def late_confirm(self, amount: int, on: date, _: str) -> None:
        self._confirm(amount, on)

    def _confirm(self, amount: int, on: date) -> None:
        amount = min(amount, self.fast.card.account.available)
        if amount and on >= START:
            self.lift_bars()
            advance_id, entry = self.fast.reserve(self.day, amount).advance_id, Entry("draw", on, amount)
            self.draws[advance_id] = self.slow.add(entry)
            if any(draw.on >= on and draw.balance >= 1_000_000 for draw in self.draws.values()):
                with pytest.raises(refusals.ValueDateRefused):  # 17.8 % is over the cap of 15 %
                    self.fast.confirm(self.day, advance_id, on)
                self.fast.on(self.day).fail_advance(advance_id)
                self.slow.take_back(self.draws.pop(advance_id))
            else:
                self.fast.confirm(self.day, advance_id, on)

    def lift_bars(self) -> None:
        """The slow card knows no suspensions and stops."""
        card = self.fast.on(self.day)
        for suspension in tuple(card.access.suspensions):
            card.resume(suspension, "test")
        card.access.stops.clear()

    def repay(self, amount: int, _: date, method: str) -> None:
        self._receive(amount, self.day, method)

    def instalment(self, amount: int, _: date, method: str) -> None:
        self._receive(self.slow.walk(self.day).instalment or 1000, self.day, method)

    def back_dated(self, amount: int, on: date, method: str) -> None:
        if on >= START:
            self._receive(amount, on, method)

    def settle(self, amount: int, _: date, method: str) -> None:
        owed = self.slow.walk(self.day).owed
        self._receive(max(1000, owed // 1000 * 1000 if method == "atm" else owed), self.day, method)

    def _receive(self, amount: int, on: date, method: str) -> None:
        entry = self.slow.add(Entry("receipt", on, amount, method))
        answer = self.fast.repay(self.day, amount, method, value_date=on)
        self.receipts[answer.repayment_id] = entry
        parts = {name: getattr(answer.allocation, name) for name in entry.parts}
        assert (parts, answer.instalment) == (entry.parts, entry.outcome)
        assert answer.next_due == self.slow.walk(self.day).due

    def unreceive(self, amount: int, _: date, __: str) -> None:
        if self.receipts:
            chosen = list(self.receipts)[amount % len(self.receipts)]
            self.fast.card.reverse_repayment(chosen, self.fast.terms)
            self.slow.take_back(self.receipts.pop(chosen))

    def undraw(self, amount: int, _: date, __: str) -> None:
        if self.draws:
            chosen = list(self.draws)[amount % len(self.draws)]
            self.fast.card.reverse_advance(chosen, self.fast.terms)
            self.slow.take_back(self.draws.pop(chosen))

    def refund(self, amount: int, on: date, __: str) -> None:
        on, kept = max(on, START), self.slow.walk(self.day).credit
        later = {entry.on for entry in self.slow.entries if entry.on > on}
        there = min(self.slow.walk(day).credit for day in {on, self.day, *later})
        part = 1 + amount % kept if kept else 1
        refund = partial(self.fast.card.send_refund, Yen(part), value_date=on, terms=self.fast.terms)
        if part > there:
            with pytest.raises(refusals.RefundOverCredit):
                refund()
        else:
            refund()
            self.slow.add(Entry("refund", on, part))

    def rate(self, amount: int, _: date, __: str) -> None:
        present = self.fast.card.account.standing.annual_rate_bps
        asked = max(400, present - amount % 500)
        self.fast.card.change_limit(
            Yen(900_000), annual_rate_bps=asked, request_id=None, reason="test", terms=self.fast.terms
        )
        if asked != present:
            self.slow.add(Entry("rate", self.day, asked))

    def close(self, amount: int, _: date, __: str) -> None:
        last = self.day - timedelta(days=amount % 2)
        self.fast.close_through(self.closed + timedelta(days=1), last)
        self.closed = max(self.closed, last)
        self.day = max(self.day, self.closed + timedelta(days=1))

    def compare(self, day: date) -> None:
        walk, figures = self.slow.walk(day), self.fast.figures(day)
        assert (figures.principal, figures.interest, figures.late_damages, figures.fees, figures.customer_credit) == (
            walk.principal,
            walk.interest_owed,
            walk.damages_owed,
            0,
            walk.credit,
        )
        assert figures.next_due == walk.due
        assert figures.days_late == ((day - walk.missed[0][0]).days if walk.missed else 0)
        assert figures.minimum_instalment == (min(walk.instalment, walk.owed) if walk.due else 0)
        assert figures.annual_rate_bps == walk.rate
        missed = self.fast.card.account.missed_dues
        assert len(set(missed)) == len(missed)


@settings(max_examples=250)
@given(steps, due_days, st.booleans())
def test_a_card_and_the_slow_card_agree_on_every_figure(told: list[Any], due_day: int | str, free: bool) -> None:
    lives = Lives(due_day, free)
    for step in told:
        lives.do(*step)
        lives.compare(lives.day)
        lives.compare(lives.day + timedelta(days=40))
    assert_the_receipts_agree(lives)
    assert_folding_gives_the_same(lives)


@pytest.mark.campaign
@settings(max_examples=1_000)
@given(st.lists(step, min_size=24, max_size=24), due_days, st.booleans())
def test_a_thousand_cards_agree_with_the_slow_card_for_two_years(
    told: list[Any], due_day: int | str, free: bool
) -> None:
    lives = Lives(due_day, free)
    pause = (TWO_YEARS - sum((timedelta(days=step[1]) for step in told), timedelta(0))) // len(told)
    for kind, later, *rest in told:
        lives.do(kind, later + max(0, pause.days), *rest)
        lives.compare(lives.day)
    lives.day = max(lives.day, START + TWO_YEARS)
    lives.compare(lives.day)
    assert_the_receipts_agree(lives)
    assert_folding_gives_the_same(lives)


def assert_the_receipts_agree(lives: Lives) -> None:
    passbook = lives.fast.card.written
    for repayment_id, entry in lives.receipts.items():
        allocation = passbook.received(repayment_id).allocation
        assert {name: getattr(allocation, name) for name in entry.parts} == entry.parts
        assert allocation.total == entry.amount


def assert_folding_gives_the_same(lives: Lives) -> None:
    folded = lives.fast.fold()
    assert folded.account == lives.fast.card.account
    assert folded.passbook == lives.fast.card.passbook
