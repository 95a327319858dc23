"""What a run is told as: a table for people, or JSON for comparison over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from ledger.bench.arms import Sample
from ledger.bench.bars import EMPTY, Bar
from ledger.bench.checks import Check
from ledger.bench.following import Following
from ledger.bench.rounds import Rounds, Spread


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found."""

    machine: dict[str, Any]
    rounds: Rounds
    login: Sample
    lag: dict[str, float]
    following: Following
    cold: dict[int, float]
    bars: list[Bar]
    checks: list[Check]

    @property
    def right(self) -> bool:
        return all(check.right for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "sync_ms": self.rounds.syncs,
            "rounds_dropped": self.rounds.dropped,
            "arms": {name: [asdict(each) for each in samples] for name, samples in self.rounds.samples.items()},
            "login": asdict(self.login),
            "lag_ms": self.lag,
            "following": asdict(self.following),
            "cold_ms": self.cold,
            "bars": [asdict(bar) | {"met": bar.met} for bar in self.bars],
            "checks": [asdict(check) for check in self.checks],
        }

    def as_markdown(self) -> str:
        parts = (self._head(), self._arms(), self._others(), self._bars(), self._checks())
        return "\n\n".join("\n".join(part) for part in parts)

    def _head(self) -> Iterator[str]:
        machine, syncs = self.machine, self.rounds.syncs
        yield (
            f"{machine['cpus']} CPUs ({machine['model']}), {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
            f"Python {machine['python']}, load average {machine['load_average']} before."
        )
        yield (
            f"{len(syncs)} rounds kept, {self.rounds.dropped} dropped; disk sync {median(syncs):.2f} ms "
            f"({min(syncs):.2f}–{max(syncs):.2f})."
        )

    def _arms(self) -> Iterator[str]:
        yield "| arm, connections | ops/s | / empty | CPU µs server + db | CPU / empty | p50 ms | p90 | p99 | errors |"
        yield "|---|---|---|---|---|---|---|---|---|"
        for name in self.rounds.samples:
            yield self._arm(name)

    def _arm(self, name: str) -> str:
        def at(of: str, digits: int = 1) -> str:
            return f"{self.rounds.spread(name, lambda sample: getattr(sample, of)).median:.{digits}f}"

        rate = self.rounds.spread(name, lambda sample: sample.rate)
        server = self.rounds.spread(name, lambda sample: sample.cpu - sample.database_share).median
        return (
            f"| {name} | {rate.median:,.0f} ({rate.least:,.0f}–{rate.greatest:,.0f}) "
            f"| {_told(self.rounds.ratio(name, EMPTY, lambda sample: sample.rate))} "
            f"| {server:.0f} + {at('database_share', 0)} "
            f"| {_told(self.rounds.ratio(name, EMPTY, lambda sample: sample.cpu))} "
            f"| {at('p50')} | {at('p90')} | {at('p99')} | {self.rounds.errors(name)} |"
        )

    def _others(self) -> Iterator[str]:
        login, lag, following = self.login, self.lag, self.following
        yield (
            f"Login (bounded by Argon2id): {login.rate:.0f}/s, {login.cpu / 1000:.1f} ms CPU, p50 {login.p50:.0f} ms, "
            f"{login.errors} answered busy.  "
        )
        yield f"Projector's lag at full write load: p50 {lag['p50']:.0f} ms, p99 {lag['p99']:.0f} ms.  "
        yield (
            f"{following.events:,} events: projector alone {following.projector:,.0f}/s, a transaction for each "
            f"{following.one_by_one:,.0f}/s, the library's subscription {following.subscription:,.0f}/s.  "
        )
        yield (
            f"Rebuild: all read models at once {following.rebuild:,.0f}/s; by itself "
            f"{', '.join(f'{name} {rate:,.0f}/s' for name, rate in following.rebuild_each.items())}.  "
        )
        yield (
            "First act on a cold card: "
            + ", ".join(f"{length:,} repayments {milliseconds:.0f} ms" for length, milliseconds in self.cold.items())
            + "."
        )

    def _bars(self) -> Iterator[str]:
        yield "| bar | limit | measured | |"
        yield "|---|---|---|---|"
        for bar in self.bars:
            name = f"**{bar.name}** (the gate)" if bar.gate else bar.name
            limit = f"{'≤' if bar.at_most else '≥'} {bar.limit:g}"
            measured = _told(bar.measured) if bar.trusted else "not measured: errors were answered"
            yield f"| {name} | {limit} | {measured} | {'met' if bar.met else 'NOT MET'} |"

    def _checks(self) -> Iterator[str]:
        for check in self.checks:
            yield f"- {check.name}: {check.wrong}{'' if check.right else '  <- WRONG'}"


def _told(spread: Spread) -> str:
    if spread.least == spread.greatest:
        return f"{spread.median:.2f}"
    return f"{spread.median:.2f} ({spread.least:.2f}–{spread.greatest:.2f})"
