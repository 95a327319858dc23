"""Double entry: every fact of money balances, the books are the accounts, and programs that are not ours agree."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest
from borrowing import CARD
from histories import FEE, LIVES, lived, side_by_side, told_history, write
from hypothesis import HealthCheck, Phase, event, given, settings
from ledgers import project, rows
from psycopg_pool import AsyncConnectionPool

from ledger.aggregates.card import Card
from ledger.aggregates.restatement import AllocationRevised
from ledger.audit.export import FORMATS, Books
from ledger.audit.fold import LogFold
from ledger.postings import ACCOUNTS, BALANCES, FEE_INCOME, INTEREST_INCOME, PRINCIPAL, postings
from ledger.projections.journal import JournalReader
from ledger.store.pages import Recorded, page_after

BEAN_CHECK = Path(sys.executable).with_name("bean-check")
A_LIFE = [
    ("draw", 0, 200_000, 0, "atm"),
    ("repay", 29, 8_000, 0, "bank-transfer"),
    ("close", 45, 1, 0, "atm"),
    ("repay", 3, 20_000, 40, "bank-transfer"),
    ("draw", 3, 9_000, 7, "atm"),
    ("unreceive", 3, 1, 0, "atm"),
    ("repay", 9, 400_000, 0, "counter"),
    ("refund", 2, 300, 0, "atm"),
    ("undraw", 3, 1, 0, "atm"),
]
BOTH = pytest.mark.parametrize("form", ["hledger", "beancount"])


def text_of(recorded: list[Recorded], form: str) -> str:
    books = Books(FORMATS[form]())
    written = [FORMATS[form]().head(), *(text for each in recorded for text in books.write(each)), books.close()]
    return "".join(written)


def program(form: str) -> list[str]:
    """The command that re-adds a journal; the test is left out where the program is not installed."""
    if form == "beancount":
        return [str(BEAN_CHECK), "--no-cache"]
    if shutil.which("hledger") is None:
        pytest.skip("hledger is not installed: on Debian, `apt-get install hledger` brings it")
    return ["hledger", "check", "--strict", "ordereddates", "-f"]


def checked(text: str, form: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = program(form)
    file = folder / f"books.{form}"
    file.write_text(text, "utf-8")
    return subprocess.run([*command, str(file)], check=False, capture_output=True, text=True)


def assert_it_agrees(text: str, form: str, folder: Path) -> None:
    found = checked(text, form, folder)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


@settings(max_examples=200)
@given(LIVES)
def test_both_sides_are_equal_at_every_position_and_the_books_are_the_folded_account(recorded: list[Recorded]) -> None:
    card, books = Card.blank(CARD), Counter[str]()
    for number, each in enumerate(recorded, 1):
        each.event.mutate(card)
        lines = postings(each.event.fact)
        assert sum(line.signed for line in lines) == 0
        assert all(line.amount > 0 and line.account in ACCOUNTS for line in lines)
        for line in lines:
            books[line.account] += line.signed
        within = number < len(recorded) and isinstance(recorded[number].event.fact, AllocationRevised)
        if within:
            event("a cause that revises")
            continue
        assert {name: books[name] for name in BALANCES} == {
            name: amount(card.account.standing) for name, amount in BALANCES.items()
        }


@settings(max_examples=50)
@given(LIVES)
def test_control_accounts_are_their_sub_ledgers(recorded: list[Recorded]) -> None:
    fold = LogFold()
    fold.take(recorded)
    assert (fold.findings, fold.compare_books()) == ([], [])


def test_a_fee_that_is_paid_is_income_and_no_principal() -> None:
    fold = LogFold()
    fold.take(lived([("draw", 0, 200_000, 0, "atm"), ("repay", 0, 1_000, 0, "counter")]))

    assert fold.totals[FEE_INCOME] == -FEE
    assert fold.totals[PRINCIPAL] == 200_000 - (1_000 - FEE)


def test_income_is_booked_once_whether_posted_at_a_month_end_or_taken_at_a_receipt() -> None:
    closed, unclosed = LogFold(), LogFold()
    steps = [("draw", 0, 200_000, 0, "atm"), ("close", 25, 1, 0, "atm"), ("settle", 3, 1, 0, "counter")]
    closed.take(lived(steps))
    unclosed.take(lived([("draw", 0, 200_000, 0, "atm"), ("settle", 28, 1, 0, "counter")]))

    assert closed.totals[INTEREST_INCOME] == unclosed.totals[INTEREST_INCOME] < 0


@BOTH
def test_another_program_adds_the_books_up_to_the_same(form: str, tmp_path: Path) -> None:
    assert_it_agrees(text_of(lived(A_LIFE), form), form, tmp_path)


@BOTH
def test_books_in_which_nothing_happened_are_right_too(form: str, tmp_path: Path) -> None:
    assert_it_agrees(text_of(lived([]), form), form, tmp_path)


@BOTH
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(recorded=LIVES)
def test_another_program_agrees_on_random_lives(recorded: list[Recorded], form: str, tmp_path: Path) -> None:
    assert_it_agrees(text_of(recorded, form), form, tmp_path)


def random_lives(number: int) -> list[list[Recorded]]:
    lives: list[list[Recorded]] = []

    @settings(max_examples=number, database=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
    @given(LIVES)
    def live(recorded: list[Recorded]) -> None:
        lives.append(recorded)

    live()
    return lives


@pytest.mark.campaign
@BOTH
def test_another_program_agrees_on_a_thousand_random_lives(form: str, tmp_path: Path) -> None:
    """Fifty lives are one ledger and one file, each card with accounts of its own: the programs take long to start."""
    lives = random_lives(1000)
    assert len(lives) == 1000
    for first in range(0, len(lives), 50):
        assert_it_agrees(text_of(side_by_side(lives[first : first + 50]), form), form, tmp_path)


@BOTH
def test_one_yen_too_much_on_one_line_is_caught(form: str, tmp_path: Path) -> None:
    text = text_of(lived(A_LIFE), form)
    planted = re.sub(r"(  -?)8000 JPY", r"\g<1>8001 JPY", text, count=1)
    assert planted != text

    assert checked(planted, form, tmp_path).returncode == 1


@BOTH
def test_one_yen_too_much_on_both_sides_of_an_advance_is_caught(form: str, tmp_path: Path) -> None:
    text = text_of(lived(A_LIFE), form)
    planted = text.replace("  200000 JPY", "  200001 JPY", 1).replace("  -200000 JPY", "  -200001 JPY", 1)
    assert planted.count("200001") == 2

    assert checked(planted, form, tmp_path).returncode == 1


@BOTH
def test_accounts_of_lent_principal_and_no_others_are_named_so(form: str) -> None:
    text = text_of(lived(A_LIFE), form)

    named = set(re.findall(r"[A-Z][A-Za-z]+(?::[A-Za-z0-9-]+)+", text))
    assert {name for name in named if "Principal" in name} == {PRINCIPAL, f"{PRINCIPAL}:C-{CARD}"}


def test_the_journal_holds_every_line_and_pages_through_all_of_them_once(database_url: str) -> None:
    asyncio.run(told_history(database_url))
    asyncio.run(project(database_url))

    async def paged() -> list[tuple[int, int]]:
        found, after = [], (0, -1)
        async with AsyncConnectionPool(database_url, open=False, kwargs={"autocommit": True}) as pool:
            while True:
                page = await JournalReader(pool).page(after=after, until=None, limit=2)
                found += re.findall(r'"position" : (\d+), "line" : (\d+)', page.rows)
                if page.last is None:
                    return [(int(position), int(line)) for position, line in found]
                after = page.last

    lines = rows(database_url, "select position, line from journal order by position, line")
    assert len(lines) > 4
    assert asyncio.run(paged()) == lines


def test_the_trial_balance_is_zero_as_of_every_position(database_url: str) -> None:
    write(database_url, lived(A_LIFE))
    asyncio.run(project(database_url))
    head = rows(database_url, "select max(notification_id) from ledger_events")[0]

    async def balances() -> list[tuple[int, int, int]]:
        async with AsyncConnectionPool(database_url, open=False, kwargs={"autocommit": True}) as pool:
            reader, found = JournalReader(pool), []
            for position in range(1, head + 1):
                _, totals = await reader.trial_balance(position)
                signed: Any = Counter({each.account: each.debits - each.credits for each in totals})
                fold = LogFold()
                async with await psycopg.AsyncConnection.connect(database_url) as connection:
                    fold.take(await page_after(connection, 0, position))
                found.append((sum(signed.values()), int(signed == fold.totals), position))
            return found

    assert [(total, same) for total, same, _ in asyncio.run(balances())] == [(0, 1)] * head
