"""One run: make the cards, start everything, measure, stop, check, follow the log again, check once more, report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ledger.bench import bars, cards, checks, following, loading, rounds, servers
from ledger.bench.arms import Sample, wait_for_read_models
from ledger.bench.checks import Check
from ledger.bench.driving import load
from ledger.bench.machine import description, require_linux
from ledger.bench.report import Report
from ledger.bench.rounds import Rounds
from ledger.bench.servers import Database
from ledger.bench.stage import staged

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is: `long` are cards with so many repayments, the others numbers of what their names say."""

    rounds: int
    seconds: float
    cards: int
    logins: int
    long: tuple[int, ...]
    one_by_one: int
    subscribed: int


FULL = Size(9, 1.0, 1000, 64, (10, 100, 1_000, 10_000, 100_000), 2000, 50_000)
QUICK = Size(1, 0.2, 64, 4, (10, 100), 100, 500)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What was measured while the servers ran, and what the checks found then."""

    rounds: Rounds
    login: Sample
    lag: dict[str, float]
    acknowledged: int
    cold: dict[int, float]


def run(folder: Path, size: Size, told: Told = lambda _: None) -> Report:
    """Run the bench in an empty folder; EnvironmentFault where it cannot run."""
    require_linux()
    machine = description()
    starting = servers.seconds_to_start(folder / "start"), servers.seconds_to_start(folder / "start")
    with servers.database(folder / "database") as base:
        measured = _measure(base, folder, size, told)
        found = _check(base, measured)
        told("following the log again")
        followed = following.measure(base, one_by_one=size.one_by_one, subscribed=size.subscribed)
        found += _check(base, measured)
    told_bars = [
        *bars.of_rounds(measured.rounds),
        *bars.of_following(followed, measured.lag["p99"]),
        *bars.of_start(*starting),
    ]
    return Report(
        machine, measured.rounds, measured.login, measured.lag, followed, measured.cold, told_bars, _worst(found)
    )


def _measure(base: Database, folder: Path, size: Size, told: Told) -> _Measured:
    told("making cards by real acts")
    made = asyncio.run(cards.make(base, spread=size.cards, login=size.logins, long=size.long))
    with load() as driver, staged(base, driver, folder, made) as stage:
        measured = rounds.run(stage.arms(), folder, rounds=size.rounds, seconds=size.seconds, told=told)
        login, lag = stage.login(size.seconds), stage.lag(3 * size.seconds)
        acknowledged = stage.acknowledged
        cold = loading.measure(base, made.long)
        wait_for_read_models(base.dsns["ours"])
    return _Measured(measured, login, lag, acknowledged, cold)


def _check(base: Database, measured: _Measured) -> list[Check]:
    ours = checks.ours(base.dsns["ours"], subject="bench-service", acknowledged=measured.acknowledged)
    return [*ours, *checks.plain(base.dsns["plain"])]


def _worst(found: list[Check]) -> list[Check]:
    """Each check once, with the worse of its findings."""
    worst: dict[str, Check] = {}
    for check in found:
        if check.name not in worst or check.wrong > worst[check.name].wrong:
            worst[check.name] = check
    return list(worst.values())
