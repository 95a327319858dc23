"""What `/metrics` tells of the ledger itself; the requests are counted at the edge.

What must stay true: a label is a name from the code, never something that a caller sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ledger.application import Ledger
from ledger.projections.freshness import Freshness


class LedgerMeters(Collector):
    """Read when the metrics are scraped."""

    def __init__(self, ledger: Ledger, freshness: Freshness) -> None:
        self._ledger = ledger
        self._freshness = freshness

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("cardledger_lane_waiting_acts", "Acts that wait for a commit.", self._ledger.lane.depth)
        room = self._ledger.room
        yield GaugeMetricFamily("cardledger_hash_seconds", "Seconds of one PIN hash.", room.seconds_per_hash)
        pool = self._ledger.pool.get_stats()
        yield GaugeMetricFamily(
            "cardledger_pool_waiting", "Requests that wait for a database connection.", pool.get("requests_waiting", 0)
        )
        positions = GaugeMetricFamily(
            "cardledger_projection_position", "Position that a read model has reached.", labels=["read_model"]
        )
        for name, position in self._freshness.positions.items():
            positions.add_metric([name], position)
        yield positions


def ledger_meters(ledger: Ledger, freshness: Freshness) -> CollectorRegistry:
    """A registry of the ledger's own figures."""
    registry = CollectorRegistry()
    registry.register(LedgerMeters(ledger, freshness))
    return registry
