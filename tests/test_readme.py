"""The README and the pages in docs/: their commands are run, what they print is compared, their tables are the code's.

A `sh` block after `<!-- run -->` is run; a `json` block after it is its answer; the lines of a `text` block after
`<!-- printed -->` are among what it printed, with `…` for what is left out. As a program, this writes the tables anew.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from serving import clean_environment

import api.app  # noqa: F401 - a refusal is in the catalogue once its module is imported
from api.problems import catalogue
from api.roles import markdown
from ledger.demo import issued_tokens
from ledger.demo.client import Client
from ledger.demo.page import Page
from ledger.demo.server import Server
from ledger.demo.story import Story
from ledger.settings import Settings

ROOT = Path(__file__).parent.parent
READ_FIRST = ("README.md", "for-auditors.md")
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")], key=lambda page: page.name not in READ_FIRST)
"""Those that only read come before those that change what the story left."""
BLOCK = re.compile(r"(?:<!-- ([^\n]*) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
CHANGING = {
    "ID": re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "TIME": re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"),
    '"position":N': re.compile(r'"position": ?\d+'),
}


@dataclass(frozen=True)
class Command:
    """A block that is run, and what the page shows after it."""

    page: str
    script: str
    told: str = ""
    kind: str = ""


def commands(page: Path) -> list[Command]:
    found: list[Command] = []
    for mark, language, text in BLOCK.findall(page.read_text("utf-8")):
        if language == "sh" and mark == "run":
            found.append(Command(page.name, text))
        elif language == "json" or mark == "printed":
            found[-1] = Command(page.name, found[-1].script, text, language)
        else:
            assert mark.startswith("not run: "), f"{page.name}: a block without a mark:\n{text}"
    return found


COMMANDS = [each for page in PAGES for each in commands(page)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a reader has who left `make demo` open and pasted its lines."""
    data = tmp_path_factory.mktemp("pages")
    settings = Settings.read(data=data, sandbox=True, port=0).model_copy(update={"database_url": None})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDLEDGER_TEST_HASH_COST", "true")
        with Server.started(settings) as server:
            tokens = issued_tokens(settings)
            story = Story(Client(server.url, tokens), Page(None))
            story.tell()
            yield {
                **clean_environment(),
                **{role.upper().replace("-", "_"): token for role, token in tokens.items()},
                **{name: story.names[name] for name in ("MEMBER", "CARD")},
                "LEDGER": server.url,
                "CARDLEDGER_DATA": str(data),
                "CARDLEDGER_TEST_HASH_COST": "true",
            }


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the pages are read in: a later block finds the file that an earlier one wrote."""
    return tmp_path_factory.mktemp("desk")


@pytest.mark.parametrize("command", COMMANDS, ids=[f"{each.page}: {each.script.split()[0]}" for each in COMMANDS])
def test_a_command_of_the_pages_works_and_prints_what_they_show(
    command: Command, environment: dict[str, str], desk: Path
) -> None:
    told = run(command.script, environment, desk)

    if command.kind == "json":
        assert constant(json.loads(told)) == constant(json.loads(command.told))
    elif command.kind == "text":
        assert_printed(command.told, told)


def run(script: str, environment: dict[str, str], folder: Path) -> str:
    """What the script prints, in a checkout whose programs are those of this Python; its data lie elsewhere."""
    programs = Path(sys.executable).parent
    if script.startswith("make "):
        environment = environment | {"CARDLEDGER_DATA": str(folder / "sandbox"), "PORT": "0"}
        script = script.replace("make ", f"make -s -C {ROOT} -o .venv/.ready BIN={programs} ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace(".venv/bin/", f"{programs}/")],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def constant(value: Any) -> str:
    """The answer without what is another each time."""
    text = json.dumps(value, ensure_ascii=False)
    for name, changing in CHANGING.items():
        text = changing.sub(name, text)
    return text


def assert_printed(shown: str, printed: str) -> None:
    """Every line that the page shows was printed, in that order; without `…` between them they follow at once."""
    lines, at, gap = printed.splitlines(), 0, True
    for line in shown.splitlines():
        if line == "…":
            gap = True
            continue
        places = [each for each in range(at, len(lines)) if lines[each] == line]
        assert places, f"not printed, or not in this order: {line!r}"
        assert gap or places[0] == at, f"other lines before: {line!r}"
        at, gap = places[0] + 1, False


def table_in(page: Path, name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1].strip() + "\n"


def problems_table() -> str:
    rows = [
        f"| {each['status']} | `{each['code']}` | {each['en']['title']} | `{each['en']['remedy']['code']}` |"
        for each in sorted(catalogue(), key=lambda each: (each["status"], each["code"]))
    ]
    return "\n".join(("| status | `code` | what it says | `remedy.code` |", "|---|---|---|---|", *rows)) + "\n"


def test_the_roles_on_the_page_are_those_that_decide() -> None:
    assert table_in(ROOT / "docs" / "for-api-consumers.md", "roles") == markdown()


def test_the_problems_on_the_page_are_all_there_are() -> None:
    assert table_in(ROOT / "docs" / "for-api-consumers.md", "problems") == problems_table()


def test_every_link_leads_somewhere() -> None:
    dead = [
        f"{page.name}: {link}"
        for page in [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
        if not link.startswith("https://") and not (page.parent / link).exists()
    ]
    assert dead == []


def test_the_readme_names_the_test_command() -> None:
    assert "`make test`" in (ROOT / "README.md").read_text("utf-8")


if __name__ == "__main__":
    page = ROOT / "docs" / "for-api-consumers.md"
    text = page.read_text("utf-8")
    for name, table in {"roles": markdown(), "problems": problems_table()}.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, t=table: f"{m[1]}{t}{m[2]}", text, flags=re.DOTALL
        )
    page.write_text(text, "utf-8")
