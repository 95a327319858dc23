"""The machine against bugs planted in copies of the policy: it finds them all, and nothing in the policy itself."""

from __future__ import annotations

import pytest
from planted import BUGS, planted
from planted.soil import Bug

from ledger.testing import InMemory, directed, explore, tell_on_purpose
from ledger.testing.machine import LIVES
from ledger.testing.strategies import EXAMPLE_OPENING

SEED = 1
LIVES_TOLD = 150


@pytest.mark.parametrize("bug", BUGS.values(), ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    with planted(bug) as terms:
        found = explore(InMemory(terms, folds=False), examples=LIVES_TOLD, seeded=SEED, life=bug.life, shrink=False)
    assert found is not None, bug.says


@pytest.mark.parametrize("life", LIVES)
def test_the_policy_itself_passes_the_same_lives(life: str) -> None:
    with planted(None) as terms:
        assert explore(InMemory(terms), examples=LIVES_TOLD, seeded=SEED, life=life) is None


@pytest.mark.parametrize("name", {**directed.stories(), **directed.long_stories()})
def test_the_policy_itself_passes_the_stories_told_on_purpose(name: str) -> None:
    story = {**directed.stories(), **directed.long_stories()}[name]
    assert tell_on_purpose(InMemory(), story, EXAMPLE_OPENING) is None


def test_there_are_many_planted_bugs_and_each_says_in_one_line_what_is_wrong() -> None:
    assert len(BUGS) >= 100
    assert len({bug.says for bug in BUGS.values()}) == len(BUGS)
    assert not any("\n" in bug.says for bug in BUGS.values())


def test_a_bug_is_gone_when_its_trial_is_over() -> None:
    for bug in BUGS.values():
        with planted(bug):
            pass
    assert explore(InMemory(), examples=20, seeded=SEED) is None
