"""`cardledger simulate`: the third of amount, payment and term, as a table with a curve, and what it is not."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from ledger.cli import app
from ledger.refusals import SimulationImpossible


def simulate(words: str) -> Result:
    return CliRunner().invoke(app, ["simulate", "--annual-rate-bps", "1780", *words.split()])


@pytest.mark.parametrize(
    ("asked", "head"),
    [
        ("--principal 100000 --months 6", "100,000 yen, 6 payments of 17,542 yen: 105,254 yen in all, 5,254 yen"),
        ("--principal 100000 --payment 17542", "100,000 yen, 7 payments of 17,542 yen: 105,254 yen in all, 5,254 yen"),
        ("--payment 17542 --months 6", "99,996 yen, 6 payments of 17,542 yen: 105,249 yen in all, 5,253 yen"),
    ],
)
def test_two_of_three_give_the_third_and_a_curve_falls_to_nothing(asked: str, head: str) -> None:
    told = simulate(asked).stdout.splitlines()
    assert told[0].startswith(head)
    curve = [line.count("#") for line in told[3:-2]]
    assert curve == sorted(curve, reverse=True)
    assert curve[-1] == 0
    assert "not the ledger's arithmetic" in told[-1]


def test_it_is_told_as_json_as_well() -> None:
    (told,) = json.loads(simulate("--principal 100000 --months 6 --json").stdout)
    assert (told["payment"], told["total"], len(told["schedule"])) == (17_542, 105_254, 6)
    assert "not the ledger's arithmetic" in told["note"]


def test_what_never_ends_is_refused_and_one_figure_is_not_enough() -> None:
    assert isinstance(simulate("--principal 100000 --payment 1483").exception, SimulationImpossible)
    for words in ("--principal 100000", "", "--principal 1 --payment 1 --months 1", "--principal 0 --months 1"):
        assert simulate(words).exit_code == 2
