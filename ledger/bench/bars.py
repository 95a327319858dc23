"""The bars: what is promised, as a ratio and its limit, and what this run measured.

What must stay true: a bar names its two sides and which way is better; it is met by the median alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from ledger.bench.following import Following
from ledger.bench.rounds import Of, Rounds, Spread

EMPTY, PLAIN, PLAIN_ONE = "empty endpoint, 64", "plain library, 64", "plain library, 1"
INSERT_ONE, INSERT, LIBRARY_TX = "pgbench insert, 1", "pgbench insert, 16", "pgbench library's transaction, 16"
OURS, OURS_EIGHT, OURS_ONE, HOT = "repayments, 64", "repayments, 8", "repayments, 1", "repayments on one card, 64"
BALANCE, UNBATCHED, PAGE, LOCKOUT = "balance, 64", "unbatched look-up, 64", "transactions, 64", "lockout, 64"
MIXED, SHORT, LONG = "mixed reads and writes, 64", "balance of a short card, 8", "balance of a long card, 8"


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise with what was measured; `at_most` says which side of the limit is good."""

    name: str
    limit: float
    measured: Spread
    at_most: bool
    gate: bool = False
    trusted: bool = True
    """False where one of the two sides answered errors: then its figures are those of something else."""

    @property
    def met(self) -> bool:
        if not self.trusted:
            return False
        return self.measured.median <= self.limit if self.at_most else self.measured.median >= self.limit


def of_rounds(rounds: Rounds) -> Iterator[Bar]:
    """The bars that one run of rounds decides."""
    cpu, rate, database, p50 = map(attrgetter, ("cpu", "rate", "database_share", "p50"))

    def bar(name: str, limit: float, sides: tuple[str, str], of: Of, **said: bool) -> Bar:
        at_most, gate = said.get("at_most", False), said.get("gate", False)
        return Bar(name, limit, rounds.ratio(*sides, of), at_most, gate, not any(map(rounds.errors, sides)))

    yield bar("CPU of an act / empty endpoint", 2.5, (OURS, EMPTY), cpu, at_most=True, gate=True)
    yield bar("acts a second / empty endpoint", 0.45, (OURS, EMPTY), rate)
    yield bar("acts a second / plain library", 8, (OURS, PLAIN), rate)
    yield bar("database CPU of an act / pgbench insert", 0.6, (OURS, INSERT), database, at_most=True)
    yield bar("one card / spread, acts a second", 0.7, (HOT, OURS), rate)
    yield bar("one client's time / plain library", 0.75, (OURS_ONE, PLAIN_ONE), p50, at_most=True)
    yield bar("balances a second / unbatched look-up", 2, (BALANCE, UNBATCHED), rate)
    yield bar("balance CPU, long card / short card", 1.3, (LONG, SHORT), cpu, at_most=True)


def of_following(following: Following, lag_p99: float) -> Iterator[Bar]:
    """The bars of the projector."""
    alone = following.projector / following.one_by_one
    rebuilt = following.rebuild / following.subscription
    yield Bar("projector / a transaction for each event", 30, Spread(alone, alone, alone), at_most=False)
    yield Bar("lag p99 at full write load, ms", 50, Spread(lag_p99, lag_p99, lag_p99), at_most=True)
    yield Bar("rebuild / library's subscription", 5, Spread(rebuilt, rebuilt, rebuilt), at_most=False)


def of_start(new: float, existing: float) -> Iterator[Bar]:
    """The bars of starting, in seconds."""
    yield Bar("seconds until served, new database", 15, Spread(new, new, new), at_most=True)
    yield Bar("seconds until served, existing database", 5, Spread(existing, existing, existing), at_most=True)
