"""Strategies of Hypothesis for members, cards, secrets, times and sequences of acts.

What must stay true: whatever a strategy yields is of the form that the service accepts, unless its name says `refused`.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any, Final

from hypothesis import strategies as st

from ledger.calendar import JST
from ledger.money import Yen
from ledger.refused_pins import COMMON_PINS
from ledger.testing import acts
from ledger.testing.acts import Act, Opening

STOP_REASONS = ("lost", "stolen", "fraud", "others-loans", "death")
SUSPENSION_REASONS = ("unreachable", "own-wish", "income-proof-missing", "self-exclusion")
METHODS = ("atm", "counter", "bank-transfer", "direct-debit")
WAITS = (2, 4, 8, 16, 60, 13 * 60, 24 * 60, 8 * 24 * 60, 31 * 24 * 60)
"""Minutes. None of them, and no sum of some, ends in the minute before a wait, a session or a mail ends: a shared clock
that runs on by seconds tells the same story."""

_katakana = st.text(st.characters(min_codepoint=0x30A2, max_codepoint=0x30F3), min_size=1, max_size=8)
_digits = st.characters(min_codepoint=0x30, max_codepoint=0x39)
_safe = frozenset(f"{number:04}" for number in range(10_000)) - COMMON_PINS


def pins() -> st.SearchStrategy[str]:
    """PINs that are not refused to everyone; one may still be near to a member."""
    return st.sampled_from(sorted(_safe))


def refused_pins() -> st.SearchStrategy[str]:
    """PINs that are refused to everyone."""
    return st.sampled_from(sorted(COMMON_PINS))


def malformed_pins() -> st.SearchStrategy[str]:
    """Four signs that are no PIN: full-width and other digits, spaces, letters."""
    wide = st.text(st.sampled_from("０１２３４５６７８９"), min_size=4, max_size=4)
    other = st.text(st.sampled_from("٠١٢٣①²𝟏ｌoO -+"), min_size=4, max_size=4)
    return wide | other | st.text(_digits, max_size=3) | st.text(_digits, min_size=5, max_size=9)


def payout_accounts() -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries(
        {
            "bank_code": st.text(_digits, min_size=4, max_size=4),
            "branch_code": st.text(_digits, min_size=3, max_size=3),
            "kind": st.sampled_from(["ordinary", "checking"]),
            "number": st.text(_digits, min_size=7, max_size=7),
            "holder_kana": _katakana,
        }
    )


def members(*, annual_income: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """The body of `POST /v1/members`: a grown-up person who does not exist."""
    return st.fixed_dictionaries(
        {
            "name": st.text(st.sampled_from("山田中村花太郎子一二"), min_size=2, max_size=6),
            "kana": _katakana,
            "birth_date": st.dates(date(1940, 1, 1), date(1999, 12, 31)).map(date.isoformat),
            "email": st.integers(0, 999_999).map("person{}@example.com".format),
            "phone": st.text(_digits, min_size=8, max_size=8).map("090{}".format),
            "address": st.just("東京都千代田区一丁目"),
            "workplace": st.sampled_from(["会社", "学校", "商店"]),
            "annual_income": annual_income or st.integers(0, 30_000_000),
            "web_statements": st.booleans(),
        },
        optional={"payout_account": payout_accounts()},
    )


def instants(first: date = date(2019, 11, 1), last: date = date(2024, 12, 31)) -> st.SearchStrategy[datetime]:
    """Times of day in Japan, on the full hour."""
    return st.builds(
        lambda day, hour: datetime.combine(day, time(hour), JST), st.dates(first, last), st.integers(0, 23)
    )


def openings() -> st.SearchStrategy[Opening]:
    """Cards whose limit needs no proof of income, at a rate that the statutes allow for it."""
    return st.builds(
        Opening,
        starts=instants(),
        credit_limit=st.sampled_from([500_000, 100_000, 300_000, 90_000, 10_000]).map(Yen),
        annual_rate_bps=st.sampled_from([1780, 1800, 1500, 450]),
        due_day=st.sampled_from([5, 15, 25, "end"]),
        interest_free=st.booleans(),
        payout_account=st.sampled_from([True, True, True, False]),
    )


def waits(*, shortest_minutes: int = 0) -> st.SearchStrategy[int]:
    return st.sampled_from([minutes for minutes in WAITS if minutes >= shortest_minutes])


def amounts(highest: int = 600_000) -> st.SearchStrategy[int]:
    """Whole yen, often round."""
    return st.integers(1, highest) | st.integers(1, max(1, highest // 1_000)).map(lambda thousands: thousands * 1_000)


def sequences(*, longest: int = 30) -> st.SearchStrategy[list[Act]]:
    """Stories told blindly: `Trial.tell` passes over acts that speak of what is not there."""
    number = st.integers(0, 3)
    staff = st.sampled_from(["credit", "second-credit"])
    return st.lists(
        st.one_of(
            st.builds(acts.TryPin, st.sampled_from(["right", "wrong", "old"]), st.sampled_from(["web", "app", "atm"])),
            st.builds(acts.TryPassword, st.sampled_from(["right", "wrong", "old"])),
            st.builds(acts.UseSession, number),
            st.builds(acts.ResetPin, st.sampled_from(["counter", "contract-machine"])),
            st.builds(acts.MailReset),
            st.builds(acts.CompleteReset, number),
            st.builds(acts.StopCard, st.sampled_from(STOP_REASONS)),
            st.builds(acts.RequestLifting, number, staff),
            st.builds(acts.ApproveLifting, number, staff),
            st.builds(acts.Suspend, st.sampled_from(SUSPENSION_REASONS)),
            st.builds(acts.Resume, number),
            st.builds(acts.Wait, waits()),
            st.builds(acts.Draw, amounts(), st.sampled_from(["transfer", "prepaid", "cash"]), number),
            st.builds(acts.Confirm, number),
            st.builds(acts.Fail, number),
            st.builds(acts.Repay, amounts(), st.sampled_from(METHODS)),
        ),
        max_size=longest,
    )


EXAMPLE_OPENING: Final = Opening(datetime(2023, 12, 4, 9, tzinfo=JST))
"""A card as good as any, some weeks before a leap year."""
