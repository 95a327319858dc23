"""Kept states: a card that goes on from one acts as the card folded from its first event, and no act needs one."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import pytest
from histories import KINDS, Life
from hypothesis import given
from hypothesis import strategies as st

from ledger.aggregates.card import Card
from ledger.aggregates.fact import Event
from ledger.aggregates.passbook import PassbookCut
from ledger.store.kept import FOLDED_BY, KeptState, kept, restored

STEPS = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from([0, 0, 1, 3, 9, 17, 29, 31, 45]),
        st.integers(1, 400_000),
        st.sampled_from([0, 0, 0, 1, 7, 40]),
        st.sampled_from(["atm", "bank-transfer", "counter"]),
    ),
    min_size=1,
    max_size=20,
)


def folded(events: Sequence[Event], card: Card | None = None) -> Card:
    """The card the events lead to, after the one given."""
    for event in events:
        mutated = event.mutate(card)
        assert isinstance(mutated, Card)
        card = mutated
    assert card is not None
    return card


def known(card: Card, cut_like: Card | None = None) -> dict[str, Any]:
    """Everything an act can see of a card; the passbook cut as that of the other card is."""
    state = {name: value for name, value in vars(card).items() if name not in ("_pending_events", "_cause", "_at")}
    through = None if cut_like is None else cut_like.written.cut_through
    return state if through is None else {**state, "passbook": card.written.cut(through)}


@dataclass
class GoingOn(Life):
    """A life whose card is put away and taken up again from its kept state and the events since, before each step."""

    entries: int = 1
    every: int = 1
    due_day: int | str = 5
    interest_free: bool = False
    log: list[Event] = field(default_factory=list)
    put_away: KeptState | None = None
    behind_the_cut: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.due_day, self.interest_free)

    def step(self, number: int, *step: Any) -> None:
        self._record()
        if number % self.every == 0:
            self.put_away = kept(self.card, self.entries)
        assert self.put_away is not None
        before = {**vars(self), "drawn": [*self.drawn], "received": [*self.received]}
        try:
            self.card = folded(self.log[self.put_away.version :], restored(self.put_away))
            self._do(*step)
        except PassbookCut:
            vars(self).update(before)
            self.behind_the_cut += 1
            self.card = folded(self.log)
            self._do(*step)
        self._record()

    def _do(self, kind: str, later: int, amount: int, back: int, method: str) -> None:
        self.do(kind, later, amount, back, method)

    def _record(self) -> None:
        self.log.extend(self.card.collect_events())  # type: ignore[arg-type]  # the library's own type


@given(STEPS, st.integers(0, 6), st.integers(1, 5), st.sampled_from([5, "end"]), st.booleans())
def test_a_card_that_goes_on_from_kept_states_decides_what_the_card_that_never_left_decides(
    steps: list[Any], entries: int, every: int, due_day: int | str, free: bool
) -> None:
    life = Life(due_day, free)
    going_on = GoingOn(entries, every, due_day, free)
    for number, step in enumerate(steps):
        life.do(*step)
        going_on.step(number, *step)

    assert going_on.log == life.events
    assert known(going_on.card, going_on.card) == known(life.card, going_on.card)


@given(STEPS, st.integers(0, 6))
def test_a_kept_state_and_the_events_after_it_are_the_whole_fold_at_every_act(steps: list[Any], entries: int) -> None:
    life = Life()
    for step in steps:
        life.do(*step)
    events = life.events
    for version in _ends_of_acts(events):
        row = kept(folded(events[:version]), entries)
        try:
            went_on = folded(events[version:], restored(row))
        except PassbookCut:
            continue  # then the lane folds from the first event
        assert known(went_on, went_on) == known(life.card, went_on)
        assert kept(went_on, entries).version == len(events)


def _ends_of_acts(events: Sequence[Event]) -> list[int]:
    commands = [event.cause.command_id for event in events]
    return [
        number for number in range(1, len(events) + 1) if commands[number - 1 : number] != commands[number : number + 1]
    ]


def test_a_state_holds_only_the_last_entries_however_many_there_were() -> None:
    life = Life()
    life.draw(life.day, 100_000)
    for _ in range(3):
        for _ in range(50):
            life.do("repay", 1, 1, 0, "atm")
        written = restored(kept(life.card, 20)).written
        assert len(written.entries) == len(written.checkpoints) == len(written.by_id) == 20
        assert written.advances == {}


def test_a_cut_passbook_does_not_know_of_an_older_entry_whether_it_is_one() -> None:
    life = Life()
    advance_id = life.draw(life.day, 100_000)
    for _ in range(5):
        life.do("repay", 1, 1000, 0, "atm")
    first, *_, last = life.received
    card = restored(kept(life.card, 2))
    ask = card.instructed_by(life.card.cause, life.card.at)

    for unknown in (first, advance_id):
        with pytest.raises(PassbookCut):
            ask.reverse_repayment(unknown, life.terms)
    with pytest.raises(PassbookCut):
        ask.reverse_advance(advance_id, life.terms)
    assert ask.reverse_repayment(last, life.terms).repayment_id == last


def test_every_module_that_folds_is_in_the_fingerprint_of_a_kept_state() -> None:
    """Terms, refusals and remedies are of the acts: a fact is applied without them."""
    package = resources.files("ledger")
    sources = [file for file in package.joinpath("aggregates").iterdir() if file.name.endswith(".py")]
    sources += [package.joinpath(name) for name in FOLDED_BY]
    imported: set[str] = set()
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ledger"):
                parts = node.module.split(".")[1:]
                imported.update([".".join(parts)] if parts else [each.name for each in node.names])
    outside = {name for name in imported if not name.startswith("aggregates")}
    assert {f"{name.replace('.', '/')}.py" for name in outside} - set(FOLDED_BY) == {
        "terms.py",
        "refusals.py",
        "remedies.py",
    }
