"""The bars: what is promised, as a ratio and its limit, and what this run measured.

What must stay true: a bar names its two sides and which way is better; it is met by the median alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ledger.bench.following import Following
from ledger.bench.rounds import Rounds, Spread

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

    @property
    def met(self) -> bool:
        return self.measured.median <= self.limit if self.at_most else self.measured.median >= self.limit


def of_rounds(rounds: Rounds) -> Iterator[Bar]:
    """The bars that one run of rounds decides."""
    cpu, rate = (lambda sample: sample.cpu), (lambda sample: sample.rate)
    database, p50 = (lambda sample: sample.database_share), (lambda sample: sample.p50)
    yield Bar("CPU of an act / empty endpoint", 2.5, rounds.ratio(OURS, EMPTY, cpu), at_most=True, gate=True)
    yield Bar("acts a second / empty endpoint", 0.45, rounds.ratio(OURS, EMPTY, rate), at_most=False)
    yield Bar("acts a second / plain library", 8, rounds.ratio(OURS, PLAIN, rate), at_most=False)
    yield Bar("database CPU of an act / pgbench insert", 0.6, rounds.ratio(OURS, INSERT, database), at_most=True)
    yield Bar("one card / spread, acts a second", 0.7, rounds.ratio(HOT, OURS, rate), at_most=False)
    yield Bar("one client's time / plain library", 0.75, rounds.ratio(OURS_ONE, PLAIN_ONE, p50), at_most=True)
    yield Bar("balances a second / unbatched look-up", 2, rounds.ratio(BALANCE, UNBATCHED, rate), at_most=False)
    yield Bar("balance CPU, long card / short card", 1.3, rounds.ratio(LONG, SHORT, cpu), at_most=True)


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
