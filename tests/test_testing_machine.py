"""The testing tool itself: an independent model, every short sequence, the shortest story, the other drivers."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ledger import testing
from ledger.store import schema
from ledger.store.keys import Keyring
from ledger.testing import InMemory, Policy, Trial, acts, directed, explore, tell_every_sequence, tell_on_purpose
from ledger.testing.machine import LIVES
from ledger.testing.on_postgres import OnPostgres
from ledger.testing.strategies import EXAMPLE_OPENING

KEYS = Keyring("k1", (("k1", bytes(range(32))),))
DAY = 24 * 60
MODEL = ("model", "model_access", "model_account", "policy", "acts")
SHARED = {"ledger.calendar", "ledger.money"}


def test_the_model_knows_nothing_of_what_decides() -> None:
    folder = Path(testing.__file__).parent
    trees = [ast.parse((folder / f"{name}.py").read_text("utf-8")) for name in MODEL]
    imported = {node.module for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {module for module in imported if module and module.startswith("ledger.")}
    assert {module for module in ours if not module.startswith("ledger.testing")} <= SHARED


def test_every_sequence_of_four_letters_is_answered_as_the_model_expects() -> None:
    assert tell_every_sequence(Trial(InMemory(), EXAMPLE_OPENING), 4) > 25_000


@pytest.mark.campaign
def test_every_sequence_of_five_letters_is_answered_as_the_model_expects() -> None:
    assert tell_every_sequence(Trial(InMemory(), EXAMPLE_OPENING), 5) > 300_000


@pytest.mark.campaign
@pytest.mark.parametrize("life", LIVES)
def test_ten_thousand_lives_are_answered_as_the_model_expects(life: str) -> None:
    assert explore(InMemory(), examples=10_000, seeded=20_000, life=life, steps=60) is None


def test_the_shortest_story_is_told_for_a_changed_policy() -> None:
    found = explore(InMemory(), examples=100, seeded=1, policy=Policy(pin_max_failures=4), life="access")
    assert found is not None
    assert len(found.story) <= 3
    assert "  1. " in str(found)


def test_a_story_told_on_purpose_is_shortened_too() -> None:
    story = [acts.Suspend("own-wish"), acts.Wait(DAY), *[acts.TryPin("wrong")] * 3, acts.ResetPin()]
    found = tell_on_purpose(InMemory(), story, EXAMPLE_OPENING, policy=Policy(pin_max_failures=4))
    assert found is not None
    assert found.story == (acts.TryPin("wrong"),) * 3


def test_the_example_of_the_page_for_testers_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parent.parent / "docs" / "for-testers.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(example, {})  # noqa: S102 - our own page
    assert "expected " in capsys.readouterr().out


def test_a_policy_has_no_numbers_that_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="no such number: tries"):
        Policy().changed(tries=4)


def test_taking_back_the_repayment_that_cured_it_makes_the_member_late_again() -> None:
    trial = Trial(InMemory(), EXAMPLE_OPENING)
    trial.tell_all([acts.Draw(50_000, "prepaid"), acts.Confirm(0), acts.Wait(60 * DAY), acts.CloseDay()])
    trial.tell_all([acts.Repay(20_000), acts.ReverseRepayment(0)])
    assert trial.driver.see().locks == ("late",)
    assert not trial.driver.see().can_borrow


def test_the_application_on_a_database_passes_stories_and_lives(empty_database_url: str) -> None:
    schema.migrate(empty_database_url, sandbox=True)
    with OnPostgres(empty_database_url, KEYS) as driver:
        for story in directed.stories().values():
            assert tell_on_purpose(driver, story, EXAMPLE_OPENING) is None
        for life in LIVES:
            assert explore(driver, examples=3, seeded=3, life=life, steps=15) is None
