"""The bench runs and its sums are right; how fast anything is, no test says."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from ledgers import BANK, borrowed, holder, order, project, rows, with_ledgers

from ledger.application import Ledger
from ledger.bench import bars, checks
from ledger.bench.arms import Sample
from ledger.bench.load import Kind
from ledger.bench.machine import cpu_seconds
from ledger.bench.rounds import Rounds, Spread, run

BENCH = (sys.executable, "-c", "from ledger.cli import main; main()", "bench")
REPAYMENTS = 3


@pytest.fixture
def repaid(database_url: str) -> str:
    """A ledger with one card that borrowed and paid back, and read models at its head."""

    async def story(ledger: Ledger) -> None:
        card = await holder(ledger)
        await borrowed(ledger, card, 30_000)
        for _ in range(REPAYMENTS):
            await ledger.repay(order(BANK), card.card_id, 1_000, "bank-transfer", None)

    with_ledgers(database_url, story)
    asyncio.run(project(database_url))
    return database_url


def wrong(dsn: str, acknowledged: int = REPAYMENTS) -> dict[str, int]:
    """What the checks find, by the first word of each."""
    found = checks.ours(dsn, subject=BANK.subject, acknowledged=acknowledged)
    return {check.name.split()[0]: check.wrong for check in found if not check.right}


def test_balances_that_are_the_sum_of_their_facts_pass_every_check(repaid: str) -> None:
    assert wrong(repaid) == {}


def test_a_wrong_balance_is_found(repaid: str) -> None:
    rows(repaid, "update balances set principal = principal + 1")

    assert wrong(repaid) == {"balances": 1}


def test_a_balance_that_misses_a_fact_is_found(repaid: str) -> None:
    rows(repaid, "update balances set version = version - 1")

    assert wrong(repaid) == {"balances": 1}


def test_a_lost_transaction_is_found(repaid: str) -> None:
    rows(repaid, "delete from transactions where kind = 'repayment' and line = 0 and principal_after = 29000")

    assert wrong(repaid) == {"cards": 1}


@pytest.mark.parametrize("acknowledged", [REPAYMENTS - 1, REPAYMENTS + 1])
def test_an_acknowledged_repayment_that_is_lost_or_doubled_is_found(repaid: str, acknowledged: int) -> None:
    assert wrong(repaid, acknowledged) == {"acknowledged": 1}


def test_a_quick_bench_runs_to_its_end_and_every_sum_is_right(tmp_path: Path) -> None:
    done = subprocess.run(
        [*BENCH, "--quick", "--json", "--folder", tmp_path],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [check for check in told["checks"] if check["wrong"]] == []
    assert {name: [each["errors"] for each in samples] for name, samples in told["arms"].items()} == {
        name: [0] for name in told["arms"]
    }
    assert bars.OURS in told["arms"]
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


class Stepping:
    """An arm that writes down when it was asked, and brings as many operations as it was asked times."""

    def __init__(self, name: str, asked: list[str]) -> None:
        self.name = name
        self._asked = asked

    def slice(self, seconds: float) -> Sample:
        self._asked.append(self.name)
        return Sample(self._asked.count(self.name), 0, seconds, 0.0, 0.0)


def measured(names: Sequence[str], rounds: int, folder: Path) -> tuple[list[str], Rounds]:
    asked: list[str] = []
    done = run([Stepping(name, asked) for name in names], folder, rounds=rounds, seconds=1.0, told=lambda _: None)
    return asked, done


def test_every_round_asks_each_arm_once_and_begins_with_another(tmp_path: Path) -> None:
    asked, _ = measured("abc", 2, tmp_path)

    assert ["".join(asked[at : at + 3]) for at in (0, 3, 6)] == ["abc", "bca", "cab"]


def test_the_first_round_is_thrown_away(tmp_path: Path) -> None:
    _, done = measured("a", 2, tmp_path)

    assert [sample.operations for sample in done.samples["a"]][-1] == 3
    assert 1 not in [sample.operations for sample in done.samples["a"]]


def test_a_ratio_is_taken_inside_each_round() -> None:
    def sample(operations: int) -> Sample:
        return Sample(operations, 0, 1.0, 0.0, 0.0)

    done = Rounds({"ours": [sample(10), sample(30)], "other": [sample(10), sample(10)]})

    assert done.ratio("ours", "other", lambda each: each.rate) == Spread(2.0, 1.0, 3.0)


def test_a_bar_whose_other_side_answered_errors_is_not_met() -> None:
    def sample(name: str) -> Sample:
        return Sample(100, 0, 1.0, 0.0, 0.0) if name != bars.UNBATCHED else Sample(0, 64, 1.0, 0.0, 0.0)

    sides = {name: [sample(name)] for name in vars(bars).values() if isinstance(name, str)}
    told = {bar.name: bar for bar in bars.of_rounds(Rounds(sides))}

    assert told["acts a second / empty endpoint"].met
    assert not told["balances a second / unbatched look-up"].met


def test_requests_of_one_kind_differ_in_path_and_key_alone() -> None:
    told = {"method": "POST", "paths": ["/a", "/b"], "headers": {"x": "1"}, "body": "{}", "keyed": True}

    stream = Kind.of(told).requests(0, 1, iter([b"k1", b"k2"]))

    assert [next(stream), next(stream)] == [
        b"POST /%s HTTP/1.1\r\nhost: 127.0.0.1\r\nx: 1\r\ncontent-type: application/json\r\n"
        b"content-length: 2\r\nidempotency-key: %s\r\n\r\n{}" % pair
        for pair in ((b"a", b"k1"), (b"b", b"k2"))
    ]


def test_the_cpu_of_a_tree_counts_a_child_that_has_ended() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    before = cpu_seconds(os.getpid())

    subprocess.run([sys.executable, "-c", burn], check=True)

    assert cpu_seconds(os.getpid()) - before >= 0.25


def test_a_folder_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [*BENCH, "--quick", "--folder", tmp_path / "absent"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Give a folder that is there" in done.stderr
