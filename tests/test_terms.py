"""The file of terms: what is shipped, and that any fault is refused with its line."""

from __future__ import annotations

from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.terms import SHIPPED, TermsBook
from ledger.terms_file import TermsInvalid

BOOK = TermsBook.load()
TEXT = SHIPPED.read_text()


def written(path: Path, text: str) -> Path:
    file = path / "terms.toml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("day", "version", "rates"),
    [("2025-08-24", "1990-01-01", (450, 1780)), ("2025-08-25", "2025-08-25", (250, 1800))],
)
def test_the_published_rates_changed_on_25_august_2025(day: str, version: str, rates: tuple[int, int]) -> None:
    terms = BOOK.at(date.fromisoformat(day))
    assert terms.version == version
    assert (terms.interest.min_rate_bps, terms.interest.max_rate_bps) == rates


def test_a_version_keeps_what_it_does_not_change() -> None:
    first, second = BOOK.versions
    assert second.lock == first.lock
    assert second.interest.late_damages_bps == first.interest.late_damages_bps == 2000


def test_the_first_version_also_holds_before_its_date() -> None:
    assert BOOK.at(date(1980, 1, 1)) is BOOK.versions[0]


def test_the_present_terms_know_the_earlier_ones() -> None:
    terms = BOOK.at(date(2026, 1, 1))
    assert terms.as_of(date(2025, 8, 24)).version == "1990-01-01"
    assert terms.as_of(date(2026, 1, 1)) is terms


def test_the_digest_is_that_of_the_file() -> None:
    assert BOOK.digest == sha256(SHIPPED.read_bytes()).hexdigest()


def test_fees_are_zero_and_no_outage_is_in_force() -> None:
    for terms in BOOK.versions:
        assert {terms.advance.fee(purpose) for purpose in ("cash", "transfer", "prepaid")} == {0}
        assert terms.outages == ()


@pytest.mark.parametrize(
    ("limit", "cap"), [(10_000, 2000), (99_999, 2000), (100_000, 1800), (999_999, 1800), (1_000_000, 1500)]
)
def test_the_statutory_cap_follows_the_bracket(limit: int, cap: int) -> None:
    assert BOOK.versions[0].limit.rate_cap(limit) == cap


OUTAGES = """
[[version.outages]]
scope = "all"
weekday = "monday"
begins = 00:00:00
ends = 07:00:00

[[version.outages]]
scope = "internet-repayment"
weekday = "sunday"
week_of_month = 3
begins = 00:00:00
ends = 06:00:00
"""


@pytest.mark.parametrize(
    ("at", "scope", "end"),
    [
        ("2026-01-04T15:00", "login", "2026-01-04T22:00"),
        ("2026-01-04T21:59", "internet-repayment", "2026-01-04T22:00"),
        ("2026-01-04T22:00", "login", None),
        ("2026-01-17T16:00", "internet-repayment", "2026-01-17T21:00"),
        ("2026-01-17T16:00", "login", None),
        ("2026-01-10T16:00", "internet-repayment", None),
    ],
)
def test_an_outage_ends_when_it_says_in_japan(tmp_path: Path, at: str, scope: str, end: str | None) -> None:
    terms = TermsBook.load(written(tmp_path, TEXT + OUTAGES)).at(date(2026, 1, 4))
    found = terms.outage_at(datetime.fromisoformat(at).replace(tzinfo=UTC), scope)
    assert found == (datetime.fromisoformat(end).replace(tzinfo=UTC) if end else None)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("free_days = 30", "free_days = 30.0", "free_days must be int"),
        ("free_days = 30", 'free_days = "30"', "free_days must be int"),
        ("free_days = 30", "free_days = true", "free_days must be int"),
        ("free_days = 30", "free_days = -1", "free_days must be at least 0"),
        ("free_days = 30", "free_dayz = 30", "unknown key free_dayz"),
        ("step = 10_000", "step = 0", "step must be at least 1"),
        ("late_damages_bps = 2000", "late_damages_bps = 2001", "late_damages_bps must be at most 2000"),
        ("pin_max_failures = 3", "pin_max_failures = 0", "pin_max_failures must be 1 to 10"),
        ("pin_max_failures = 3", "pin_max_failures = 11", "pin_max_failures must be 1 to 10"),
        ("password_max_failures = 10", "password_max_failures = 99", "password_max_failures must be 1 to 10"),
        ("advances_over = 50_000", "advances_over = 50_001", "advances_over must be at most 50000"),
        ("balance_over = 100_000", "balance_over = 100_001", "balance_over must be at most 100000"),
        ("every_months = 3", "every_months = 4", "every_months must be at most 3"),
        ("every_months = 3", "every_months = 0", "every_months must be at least 1"),
        ("ask_within_days = 21", "ask_within_days = 22", "ask_within_days must be at most 21"),
        ("books_years = 10", "books_years = 9", "books_years must be at least 10"),
        ("identity_years = 7", "identity_years = 6", "identity_years must be at least 7"),
        ("reset_token_minutes = 10", "reset_token_minutes = false", "reset_token_minutes must be int"),
        ("reset_token_minutes = 10", "reset_token_minutes = -5", "reset_token_minutes must be at least 0"),
        ("rate_caps = [", "rate_caps = [ { from_yen = 5, max_rate_bps = 1 },", "rate_caps must begin"),
        ("brackets = [", "brackets = [ { up_to = 900_000, coefficient_bps = 1, longest = 1 },", "brackets must rise"),
        ("first_due = [", "first_due = [ { due_day = 7, turn = 1, months_early = 1, months_late = 1 },", "first_due"),
        ("effective_from = 2025-08-25", "effective_from = 1990-01-01", "effective_from must be later"),
        ("effective_from = 2025-08-25", "effective_from = 2025-08-25T00:00:00", "effective_from must be date"),
        ("max_rate_bps = 1800\n", "max_rate_bps = \n", "value"),
        ("[version.lateness]", "[version.lateness]\nnew_rule = 1", "unknown key new_rule"),
    ],
)
def test_a_fault_is_refused_with_its_line(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new)
    line = text[: text.rindex(new)].count("\n") + 1 + (1 if new.startswith("[") else 0)
    with pytest.raises(TermsInvalid, match=r"^terms\.toml, line \d+: ") as refused:
        TermsBook.load(written(tmp_path, text))
    assert reason in refused.value.reason
    assert refused.value.line == line


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("from_yen = 0, max_rate_bps = 2000", "from_yen = 0, max_rate_bps = 2001", "statutory cap is 2000"),
        ("from_yen = 100_000, max_rate_bps = 1800", "from_yen = 100_000, max_rate_bps = 1801", "statutory cap is 1800"),
        ("from_yen = 100_000, max_rate_bps = 1800", "from_yen = 100_001, max_rate_bps = 1800", "statutory cap is 1800"),
        ("max_rate_bps = 1500", "max_rate_bps = 3000", "statutory cap is 1500"),
    ],
)
def test_no_table_of_caps_lets_in_more_than_the_statutes_do(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in TEXT
    with pytest.raises(TermsInvalid, match=reason) as refused:
        TermsBook.load(written(tmp_path, TEXT.replace(old, new)))
    assert refused.value.line == TEXT[: TEXT.index("rate_caps = [")].count("\n") + 1


@pytest.mark.parametrize(
    ("key", "lawful", "unlawful"),
    [
        ("income_divisor", 3, 2),
        ("proof_own_over", 500_000, 500_001),
        ("proof_total_over", 1_000_000, 1_000_001),
        ("proof_valid_years", 3, 4),
        ("proof_confirmed_valid_years", 5, 6),
        ("proof_confirmable_years", 2, 1),
        ("advances_over", 50_000, 50_001),
        ("balance_over", 100_000, 100_001),
        ("every_months", 3, 4),
        ("ask_within_days", 21, 22),
        ("books_years", 10, 9),
        ("identity_years", 7, 6),
        ("transaction_years", 7, 6),
        ("credit_check_years", 3, 2),
    ],
)
def test_no_file_loosens_a_limit_of_the_statutes(tmp_path: Path, key: str, lawful: int, unlawful: int) -> None:
    shipped = f"\n{key} = {lawful:_}"
    assert TEXT.count(shipped) == 1
    with pytest.raises(TermsInvalid, match=f"{key} must be at ") as refused:
        TermsBook.load(written(tmp_path, TEXT.replace(shipped, f"\n{key} = {unlawful}")))
    assert str(lawful) in refused.value.reason
    stricter = 2 * lawful - unlawful
    TermsBook.load(written(tmp_path, TEXT.replace(shipped, f"\n{key} = {stricter}")))


def test_a_missing_key_is_refused_at_its_section(tmp_path: Path) -> None:
    text = TEXT.replace("stop_at_missed = 3", "# gone", 1)
    with pytest.raises(TermsInvalid, match="missing key stop_at_missed") as refused:
        TermsBook.load(written(tmp_path, text))
    assert refused.value.line == text[: text.index("[version.lateness]")].count("\n") + 1


@pytest.mark.parametrize("text", ["", "[other]\n", "version = 1\n", "\xff"])
def test_a_file_without_versions_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(TermsInvalid):
        TermsBook.load(written(tmp_path, text))
