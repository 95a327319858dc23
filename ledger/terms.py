"""The dated product terms: one file that people read, checked as a whole when it is loaded.

What must stay true: no rule of the product is a number in the code, and a file with any fault is refused, with the line
and the reason. A version once used is never edited: a later one is added.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import date, datetime, time
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from ledger.calendar import JST
from ledger.terms_file import TermsInvalid, read_versions

SHIPPED: Final = Path(__file__).with_name("terms.toml")

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

DUE_DAYS: Final = (5, 15, 25, "end")

STATUTORY_CAPS_BPS = ((0, 2000), (100_000, 1800), (1_000_000, 1500))
STATUTORY_DAMAGES_BPS = 2000
GUESSES_MAX = {
    "pin_max_failures": 10,
    "pin_window_failures": 30,
    "pin_generation_failures": 100,
    "password_max_failures": 10,
}
STATUTORY_MOST = {
    "limit": {
        "proof_own_over": 500_000,
        "proof_total_over": 1_000_000,
        "proof_valid_years": 3,
        "proof_confirmed_valid_years": 5,
    },
    "credit_check": {"advances_over": 50_000, "balance_over": 100_000, "every_months": 3, "ask_within_days": 21},
}
STATUTORY_LEAST = {
    "limit": {"income_divisor": 3, "proof_confirmable_years": 2},
    "retention": {"books_years": 10, "identity_years": 7, "transaction_years": 7, "credit_check_years": 3},
}
DIVISORS: Final = frozenset(
    {"step", "unit", "cash_unit", "transfer_unit", "prepaid_unit", "income_divisor", "every_months"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestTerms:
    min_rate_bps: int
    max_rate_bps: int
    late_damages_bps: int
    free_days: int
    free_ends_on_lateness: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCap:
    from_yen: int
    max_rate_bps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitTerms:
    lowest: int
    highest: int
    step: int
    rate_caps: tuple[RateCap, ...]
    income_divisor: int
    proof_own_over: int
    proof_total_over: int
    proof_below_age: int
    proof_valid_years: int
    proof_confirmed_valid_years: int
    proof_confirmable_years: int
    cuts_need_no_person: bool

    def rate_cap(self, amount: int) -> int:
        """The statutory cap, in basis points, of a limit or of a balance after an advance."""
        return next(cap.max_rate_bps for cap in reversed(self.rate_caps) if cap.from_yen <= amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceTerms:
    """Units and fees in yen, by purpose."""

    cash_unit: int
    transfer_unit: int
    prepaid_unit: int
    cash_fee: int
    transfer_fee: int
    prepaid_fee: int

    def unit(self, purpose: str) -> int:
        return {"cash": self.cash_unit, "transfer": self.transfer_unit, "prepaid": self.prepaid_unit}[purpose]

    def fee(self, purpose: str) -> int:
        return {"cash": self.cash_fee, "transfer": self.transfer_fee, "prepaid": self.prepaid_fee}[purpose]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalmentBracket:
    """`up_to` is included; the last bracket has none. `longest` is the number of instalments published for it."""

    up_to: int | None = None
    coefficient_bps: int
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstDue:
    due_day: int | str
    turn: int
    months_early: int
    months_late: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalmentTerms:
    unit: int
    brackets: tuple[InstalmentBracket, ...]
    first_due: tuple[FirstDue, ...]

    def months_to_first_due(self, due_day: int | str, advanced_on: date) -> int:
        rule = next(each for each in self.first_due if each.due_day == due_day)
        return rule.months_early if advanced_on.day < rule.turn else rule.months_late


@dataclass(frozen=True, slots=True, kw_only=True)
class RepaymentTerms:
    internet_minimum: int
    value_days_back: int
    free_remainder_below: int
    free_remainder_methods: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatenessTerms:
    stop_at_missed: int
    stop_within_months: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditCheckTerms:
    """When the credit bureau is asked again (Money Lending Act 13-3, Rules 10-24 and 10-25)."""

    advances_over: int
    balance_over: int
    every_months: int
    ask_within_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionTerms:
    """How many years each kind of record is kept."""

    books_years: int
    identity_years: int
    transaction_years: int
    credit_check_years: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockTerms:
    pin_max_failures: int
    pin_window_failures: int
    pin_window_days: int
    pin_generation_failures: int
    pin_lock_blocks_web: bool
    password_waits_from: int
    password_waits_seconds: tuple[int, ...]
    password_max_failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A weekly closure, or a monthly one on the n-th such weekday; times are Japanese, `ends` is the first open one."""

    scope: str
    weekday: str
    week_of_month: int | None = None
    begins: time
    ends: time

    def covers(self, local: datetime) -> bool:
        on_day = WEEKDAYS[local.weekday()] == self.weekday
        in_week = self.week_of_month is None or (local.day - 1) // 7 + 1 == self.week_of_month
        return on_day and in_week and self.begins <= local.time() < self.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One version of the terms; `earlier` is the one before it."""

    effective_from: date
    pin_document_max_age_minutes: int
    reset_token_minutes: int
    reset_mails_per_hour: int
    interest: InterestTerms
    limit: LimitTerms
    advance: AdvanceTerms
    instalment: InstalmentTerms
    repayment: RepaymentTerms
    lateness: LatenessTerms
    credit_check: CreditCheckTerms
    retention: RetentionTerms
    lock: LockTerms
    outages: tuple[Outage, ...] = ()
    earlier: Terms | None = None

    @property
    def version(self) -> str:
        return self.effective_from.isoformat()

    def as_of(self, day: date) -> Terms:
        """The version in force on a day not later than this version's own time."""
        terms = self
        while terms.effective_from > day and terms.earlier is not None:
            terms = terms.earlier
        return terms

    def outage_at(self, at: datetime, scope: str) -> datetime | None:
        """The end of the outage that covers this instant, for a service or for all of them."""
        local = at.astimezone(JST)
        covering = [each for each in self.outages if each.scope in ("all", scope) and each.covers(local)]
        return max((datetime.combine(local.date(), each.ends, JST) for each in covering), default=None)


@dataclass(frozen=True, slots=True)
class TermsBook:
    """All versions, oldest first, and the SHA-256 of the file they were read from."""

    versions: tuple[Terms, ...]
    digest: str

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a file of terms, or the shipped one; raises TermsInvalid."""
        source = path or SHIPPED
        content = source.read_bytes()
        linked: list[Terms] = []
        for terms, find_line in read_versions(content, source.name, Terms):
            for section, key, reason in _faults(terms, linked[-1] if linked else None):
                raise TermsInvalid(source.name, find_line(section, key), reason)
            linked.append(replace(terms, earlier=linked[-1] if linked else None))
        return cls(tuple(linked), sha256(content).hexdigest())

    def at(self, day: date) -> Terms:
        """The version in force on a day; the first one also before its date."""
        return self.versions[max(bisect_right(self.versions, day, key=lambda terms: terms.effective_from), 1) - 1]


def _faults(terms: Terms, before: Terms | None) -> Iterator[tuple[str, str, str]]:
    """What is well-formed and still cannot be: section, key and reason."""
    if before is not None and terms.effective_from <= before.effective_from:
        yield "", "effective_from", "effective_from must be later than that of the version before"
    yield from _amount_faults(terms)
    yield from _table_faults(terms)
    yield from _law_faults(terms)
    yield from _outage_faults(terms)


def _amount_faults(terms: Terms) -> Iterator[tuple[str, str, str]]:
    """No amount is negative, and a divisor is at least 1."""
    tables = {each.name: getattr(terms, each.name) for each in fields(Terms)}
    named = {name: table for name, table in tables.items() if is_dataclass(table) and not isinstance(table, type)}
    for section, table in {"": terms, **named}.items():
        for field in fields(table):
            value = getattr(table, field.name)
            lowest = 1 if field.name in DIVISORS else 0
            if isinstance(value, int) and value < lowest:
                yield section, field.name, f"{field.name} must be at least {lowest}"


def _table_faults(terms: Terms) -> Iterator[tuple[str, str, str]]:
    caps = [cap.from_yen for cap in terms.limit.rate_caps]
    if caps != sorted(set(caps)) or caps[:1] != [0]:
        yield "limit", "rate_caps", "rate_caps must begin at from_yen = 0 and rise"
    edges = [each.up_to for each in terms.instalment.brackets]
    closed = [edge for edge in edges[:-1] if edge is not None]
    if not edges or edges[-1] is not None or len(closed) != len(edges) - 1 or closed != sorted(set(closed)):
        yield "instalment", "brackets", "brackets must rise by up_to, and only the last has none"
    if any(each.coefficient_bps < 1 for each in terms.instalment.brackets):
        yield "instalment", "brackets", "coefficient_bps must be at least 1"
    if [each.due_day for each in terms.instalment.first_due] != list(DUE_DAYS):
        yield "instalment", "first_due", f"first_due must name the due days {DUE_DAYS} in this order"


def _law_faults(terms: Terms) -> Iterator[tuple[str, str, str]]:
    """No file lets in more, or does less, than the statutes say, or lets in more guesses than is safe."""
    for from_yen, most in reversed(STATUTORY_CAPS_BPS):
        edges = [from_yen, *(cap.from_yen for cap in terms.limit.rate_caps if cap.from_yen > from_yen)]
        if any(terms.limit.rate_cap(edge) > most for edge in edges):
            yield "limit", "rate_caps", f"from {from_yen} yen on the statutory cap is {most} basis points"
    if terms.interest.late_damages_bps > STATUTORY_DAMAGES_BPS:
        reason = f"late_damages_bps must be at most {STATUTORY_DAMAGES_BPS}"
        yield "interest", "late_damages_bps", reason
    for section, bounds in STATUTORY_MOST.items():
        for key, most in bounds.items():
            if getattr(getattr(terms, section), key) > most:
                yield section, key, f"{key} must be at most {most}"
    for section, bounds in STATUTORY_LEAST.items():
        for key, least in bounds.items():
            if getattr(getattr(terms, section), key) < least:
                yield section, key, f"{key} must be at least {least}"
    for key, most in GUESSES_MAX.items():
        if not 1 <= getattr(terms.lock, key) <= most:
            yield "lock", key, f"{key} must be 1 to {most}"


def _outage_faults(terms: Terms) -> Iterator[tuple[str, str, str]]:
    for each in terms.outages:
        if each.weekday not in WEEKDAYS:
            yield "outages", "weekday", f"weekday must be one of {WEEKDAYS}"
        if each.begins >= each.ends:
            yield "outages", "ends", "ends must be later than begins, on the same day"
