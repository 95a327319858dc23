"""The tables of docs/security.md: every invariant has its row, and every test that a row names exists.

What must stay true: the tests are read, not run, so that a renamed or removed one is noticed whatever part of the suite
somebody runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
INVARIANTS = [f"I{number}" for number in range(1, 39)]
ROW = re.compile(r"^\| (I?\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/\w+\.py)::([\w:]+)`")
ROWS = {number: (rule, shown_by) for number, rule, shown_by in ROW.findall(PAGE)}
NAMES = sorted({name for _, shown_by in ROWS.values() for name in NAMED.findall(shown_by)})


def collected_from(path: Path) -> Iterator[str]:
    """The names of the tests of a file as pytest writes them after `::`."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield node.name
            yield from (f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef))
        elif isinstance(node, ast.Assign) and ast.unparse(node.value).endswith(".TestCase"):
            # `TestSequences = Sequences.TestCase`: the stateful machine under the name that pytest collects
            yield from (ast.unparse(target) for target in node.targets if ast.unparse(target).startswith("Test"))


def test_every_invariant_has_its_row_in_order() -> None:
    assert [number for number in ROWS if number.startswith("I")] == INVARIANTS


def test_no_number_stands_twice() -> None:
    numbers = [number for number, _, _ in ROW.findall(PAGE)]
    assert sorted(set(numbers), key=numbers.index) == numbers


@pytest.mark.parametrize("number", ROWS)
def test_a_row_names_tests_and_nothing_that_only_looks_like_one(number: str) -> None:
    _, shown_by = ROWS[number]
    assert NAMED.findall(shown_by)
    assert NAMED.sub("", shown_by).replace(",", "").strip() == ""


@pytest.mark.parametrize(("file", "name"), NAMES, ids=["::".join(each) for each in NAMES])
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    assert name in set(collected_from(ROOT / file))


def test_a_test_that_is_not_there_is_missed() -> None:
    found = set(collected_from(ROOT / "tests" / "test_access.py"))
    assert "TestLockoutSequences" in found
    assert "test_the_third_wrong_pin_in_a_row_locks_the_card" in found
    assert "test_of_no_such_thing" not in found
    assert "type_pin" not in found
