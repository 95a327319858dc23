"""What a soak brought: its samples, whether memory stayed flat, and what was found afterwards.

What must stay true: the first third warms up and judges nothing; of a soak too short to tell, it is said that it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import linear_regression, mean, median
from typing import Any

from ledger.bench.checks import Check
from ledger.bench.driving import Answers
from ledger.bench.following import Lag

JUDGED_SECONDS = 300.0
"""What is left after the warm-up must last so long before its slope says anything."""
GROWTH_SHARE, GROWTH_MIB = 0.03, 4.0
"""Flat is what grows by less than the greater of these two, a share of its size or so much, along its slope."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One sample: seconds since the start, answers of the slice, the bad ones by status, milliseconds, MiB."""

    at: float
    good: int
    bad: dict[str, int]
    p50: float
    p99: float
    lag_p99: float
    server: float
    database: float

    @classmethod
    def of(cls, at: float, answers: Answers, lag: Lag, server: float, database: float) -> Taken:
        return cls(at, answers.good, answers.bad, answers.p50, answers.p99, lag.percentile(0.99), server, database)

    @property
    def errors(self) -> int:
        return sum(self.bad.values())

    def __str__(self) -> str:
        told = ", ".join(f"{number} of status {status}" for status, number in self.bad.items() if number) or "0 errors"
        return (
            f"{self.at:.0f} s: {self.good:,} answered, {told}, p50 {self.p50:.1f} ms, p99 {self.p99:.1f},"
            f" lag p99 {self.lag_p99:.0f}, server {self.server:.1f} MiB, database {self.database:.1f}"
        )


@dataclass(frozen=True, slots=True)
class Growth:
    """Memory over the part that is judged: its mean, and how much it grows along the line through its samples."""

    seconds: float
    mib: float
    grown: float

    @classmethod
    def of(cls, times: Sequence[float], sizes: Sequence[float]) -> Growth:
        warm = len(times) // 3
        judged, values = times[warm:], sizes[warm:]
        lasted = judged[-1] - judged[0] if judged else 0.0
        if lasted == 0:
            return cls(0.0, values[-1] if values else 0.0, 0.0)
        return cls(lasted, mean(values), linear_regression(judged, values).slope * lasted)

    @property
    def flat(self) -> bool | None:
        """Whether it is flat; None where that cannot be told."""
        if self.seconds < JUDGED_SECONDS:
            return None
        return self.grown <= max(GROWTH_MIB, GROWTH_SHARE * self.mib)

    def __str__(self) -> str:
        told = {True: "flat", False: "NOT FLAT", None: "too short to tell"}[self.flat]
        return f"{self.mib:.1f} MiB, {self.grown:+.1f} in {self.seconds / 60:.1f} minutes: {told}"


@dataclass(frozen=True, slots=True)
class Soaked:
    """All that a soak found."""

    machine: dict[str, Any]
    maximum: float
    share: float
    taken: list[Taken]
    checks: list[Check]

    @property
    def errors(self) -> int:
        return sum(sample.errors for sample in self.taken)

    @property
    def server(self) -> Growth:
        return Growth.of([sample.at for sample in self.taken], [sample.server for sample in self.taken])

    @property
    def database(self) -> Growth:
        return Growth.of([sample.at for sample in self.taken], [sample.database for sample in self.taken])

    @property
    def right(self) -> bool:
        """No error, no drift, and no memory that is known to grow."""
        leaks = self.server.flat is False or self.database.flat is False
        return not self.errors and not leaks and all(check.right for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "maximum": self.maximum,
            "share": self.share,
            "samples": [asdict(sample) for sample in self.taken],
            "flat": {"server": self.server.flat, "database": self.database.flat},
            "checks": [asdict(check) for check in self.checks],
        }

    def as_markdown(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        answered = sum(sample.good for sample in self.taken)
        seconds = self.taken[-1].at if self.taken else 0.0
        yield (
            f"{answered:,} requests in {seconds:.0f} s at {self.share:.0%} of {self.maximum:,.0f}/s, "
            f"{self.errors} errors, on {self.machine['cpus']} CPUs."
        )
        yield ""
        yield "| | median of the samples | worst |"
        yield "|---|---|---|"
        for name, of in (("p50, ms", "p50"), ("p99, ms", "p99"), ("lag of the read models p99, ms", "lag_p99")):
            values = [getattr(sample, of) for sample in self.taken] or [0.0]
            yield f"| {name} | {median(values):.1f} | {max(values):.1f} |"
        yield ""
        yield f"- memory of the server: {self.server}"
        yield f"- memory of the database beside what it shares: {self.database}"
        for check in self.checks:
            yield f"- {check.name}: {check.wrong}{'' if check.right else '  <- WRONG'}"
