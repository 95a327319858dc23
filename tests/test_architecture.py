"""The shape of the code: which way it may import, how large its pieces may be, what it may not contain."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
MEDIAN_FUNCTION = 10
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "service", "misc", "shared"}

ARITHMETIC = {"money", "calendar", "interest", "repayment", "simulation", "terms", "forms", "refusals", "remedies"}
MONEY = ARITHMETIC - {"remedies", "forms"} | {"aggregates"}
LIBRARIES = {"calendar": {"holidays"}, "aggregates": {"eventsourcing.domain", "msgspec", "msgspec.structs"}}

SOURCES = sorted(path for part in ("ledger", "api") for path in (ROOT / part).rglob("*.py"))
SERVED = sorted(
    path for path in (ROOT / "api" / "static").rglob("*") if path.suffix in {".html", ".css", ".js", ".svg"}
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function with its lines, decorators and docstring aside."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            last = node.end_lineno or node.lineno
            yield f"{name(path)}:{node.lineno} {node.name}", last - (body[0].lineno if body else last) + 1


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}: imports are written out in full"
            module = node.module or ""
            yield from (f"{module}.{each.name}" if module == "ledger" else module for each in node.names)


def part_of(path: Path) -> str:
    """The first name below `ledger`: `aggregates` for all that is in that folder."""
    return path.relative_to(ROOT / "ledger").with_suffix("").parts[0]


def domain() -> list[tuple[str, Path]]:
    """The modules that know nothing of the outside, and whatever of the ledger they import, each with its part."""
    ours = [path for path in SOURCES if path.is_relative_to(ROOT / "ledger")]
    parts, found = ARITHMETIC | {"aggregates"}, set[str]()
    while parts - found:
        found |= parts
        used = {module for path in ours if part_of(path) in parts for module in imports(path)}
        parts = {module.split(".")[1] for module in used if module.startswith("ledger.")}
    return [(part_of(path), path) for path in ours if part_of(path) in found]


def test_imports_point_one_way() -> None:
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout


def test_the_domain_imports_the_standard_library_itself_and_little_else() -> None:
    foreign = [
        f"{name(path)} imports {module}"
        for part, path in domain()
        for module in imports(path)
        if module.split(".")[0] not in sys.stdlib_module_names
        and not module.startswith("ledger.")
        and module not in LIBRARIES.get(part, set())
    ]
    assert foreign == []


def test_the_domain_asks_no_clock_and_throws_no_dice() -> None:
    asked = re.compile(
        r"\b(date\.today|datetime\.now|datetime\.utcnow|time\.time|uuid4|uuid1|import random|import secrets)\b"
    )
    assert [name(path) for _, path in domain() if asked.search(path.read_text("utf-8"))] == []


def test_money_is_never_a_float() -> None:
    def floats(path: Path) -> Iterator[str]:
        for node in ast.walk(tree(path)):
            literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
            if literal or (isinstance(node, ast.Name) and node.id == "float"):
                yield f"{name(path)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and "Path" not in ast.unparse(node):
                yield f"{name(path)}:{node.lineno} true division"

    assert [each for part, path in domain() if part in MONEY for each in floats(path)] == []


def test_no_module_is_named_after_nothing() -> None:
    named = {part.removesuffix(".py") for path in SOURCES for part in path.relative_to(ROOT).parts}
    assert named & BANNED_NAMES == set()


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_says_what_it_is_and_is_short(path: Path) -> None:
    lines = path.read_text("utf-8").count("\n")
    assert lines <= LONGEST_MODULE, f"{lines} lines"
    assert ast.get_docstring(tree(path)), "no docstring"


def test_functions_are_short() -> None:
    lengths = dict(each for path in SOURCES for each in functions(path))
    assert {where: lines for where, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}
    assert median(lengths.values()) < MEDIAN_FUNCTION


def test_nothing_that_is_served_is_fetched_from_elsewhere() -> None:
    elsewhere = re.compile(r"""(?:src|href)\s*=\s*["'](?:https?:)?//|url\(\s*["']?(?:https?:)?//|@import\s""")
    ours = [path for path in SERVED if not path.name.startswith("swagger-ui")]
    pages = [path for path in SOURCES if path.is_relative_to(ROOT / "api")] + ours
    assert [name(path) for path in pages if elsewhere.search(path.read_text("utf-8"))] == []


def test_no_file_names_a_registry_or_a_content_network() -> None:
    named = re.compile(r"pypi\.org|pythonhosted|npmjs|unpkg\.com|jsdelivr|cdnjs|googleapis|--index-url|--find-links /")
    texts = [
        *SOURCES,
        *ROOT.glob("*.toml"),
        *ROOT.glob("*.lock"),
        *ROOT.glob("*.yml"),
        ROOT / "Makefile",
        ROOT / "Dockerfile",
    ]
    assert [name(path) for path in texts if named.search(path.read_text("utf-8"))] == []


def test_no_file_names_a_page_that_is_not_there() -> None:
    kept = {path.name for folder in (".", "docs", "docs/decisions", "deploy") for path in (ROOT / folder).glob("*.md")}
    texts = [*SOURCES, *(ROOT / "ledger").rglob("*.sql"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    named = {
        (name(path), page) for path in texts for page in re.findall(r"[\w-]+\.md\b", path.read_text("utf-8"))
    }
    assert [each for each in sorted(named) if each[1] not in kept] == []


def test_what_is_installed_is_pinned_by_hash() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        pins = re.split(r"\n(?=\w)", (ROOT / lock).read_text().strip())
        assert all("==" in pin and "--hash=sha256:" in pin for pin in pins if not pin.startswith("#")), lock
