"""What `/metrics` tells: of the requests, and of the ledger itself.

What must stay true: a label is a name from the code, never something that a caller sent; and metrics are told whether
or not the database can be asked.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ledger.application import Ledger
from ledger.meters import Histogram, ProjectorMeters, seconds
from ledger.projections.status import ProjectionStatus, listing_async
from ledger.store.throttle import SourceThrottle

ASKED_SECONDS = 1.0
"""How long the database may take to say where the read models stand."""


class RequestMeters(Collector):
    """Counts and times of requests by operation."""

    def __init__(self) -> None:
        self._answered: Counter[tuple[str, int]] = Counter()
        self._seconds: defaultdict[str, Histogram] = defaultdict(seconds)

    def add(self, operation: str, status: int, took: float) -> None:
        self._answered[operation, status] += 1
        self._seconds[operation].add(took)

    def collect(self) -> Iterator[Metric]:
        answered = CounterMetricFamily("cardledger_http_requests", "Requests answered.", labels=["operation", "status"])
        for (operation, status), times in sorted(self._answered.items()):
            answered.add_metric([operation, str(status)], times)
        yield answered
        told = HistogramMetricFamily("cardledger_http_request_seconds", "Time to answer.", labels=["operation"])
        for operation, histogram in sorted(self._seconds.items()):
            told.add_metric([operation], _buckets(histogram), histogram.total)
        yield told


class LedgerMeters(Collector):
    """Read when the metrics are scraped; `ask` before, for what only the database knows."""

    def __init__(self, ledger: Ledger, projector: ProjectorMeters, throttle: SourceThrottle | None) -> None:
        self._ledger = ledger
        self._projector = projector
        self._throttle = throttle
        self._standing: Sequence[ProjectionStatus] | None = None

    async def ask(self) -> None:
        """Look where the read models stand; where the database does not say, the metrics are told without."""
        self._standing = None
        try:
            async with asyncio.timeout(ASKED_SECONDS), self._ledger.pool.connection(ASKED_SECONDS) as connection:
                self._standing = await listing_async(connection)
        except (psycopg.Error, TimeoutError):
            return

    def collect(self) -> Iterator[Metric]:
        yield from self._lane()
        yield from self._hashing()
        yield from self._pool()
        yield from self._read_models()

    def _lane(self) -> Iterator[Metric]:
        meters = self._ledger.lane.meters
        yield GaugeMetricFamily("cardledger_lane_waiting_acts", "Acts that wait for a commit.", self._ledger.lane.depth)
        yield _histogram("cardledger_lane_batch_acts", "Acts of one commit.", meters.batch_acts)
        yield _histogram("cardledger_lane_commit_seconds", "Time of one record call.", meters.commit_seconds)
        yield _histogram("cardledger_lane_wait_seconds", "Time an act waited to be decided.", meters.wait_seconds)
        clashes = CounterMetricFamily("cardledger_lane_clashes", "Acts that are decided again.", labels=["clash"])
        for clash, times in sorted(meters.clashes.items()):
            clashes.add_metric([clash], times)
        yield clashes
        busy = CounterMetricFamily("cardledger_busy", "Callers who were told that there is no room.", labels=["room"])
        busy.add_metric(["lane"], meters.busy)
        busy.add_metric(["hashing"], self._ledger.room.meters.busy)
        yield busy
        if self._throttle is not None:
            told = "Logins refused because of their place."
            yield CounterMetricFamily("cardledger_throttle_refusals", told, self._throttle.refused)

    def _hashing(self) -> Iterator[Metric]:
        room = self._ledger.room
        yield GaugeMetricFamily("cardledger_hash_seconds", "Time of one PIN hash, at the start.", room.seconds_per_hash)
        told = "Time until a hash began."
        waits = HistogramMetricFamily("cardledger_hash_wait_seconds", told, labels=["wait"])
        for wait, histogram in (("turn", room.meters.turn_seconds), ("thread", room.meters.thread_seconds)):
            waits.add_metric([wait], _buckets(histogram), histogram.total)
        yield waits

    def _pool(self) -> Iterator[Metric]:
        """The pool of connections that reads and look-ups share."""
        pool = self._ledger.pool.get_stats()
        size, idle = pool.get("pool_size", 0), pool.get("pool_available", 0)
        yield GaugeMetricFamily("cardledger_pool_connections", "Database connections of the pool.", size)
        yield GaugeMetricFamily("cardledger_pool_idle_connections", "Those of them that nobody uses.", idle)
        yield GaugeMetricFamily(
            "cardledger_pool_waiting", "Requests that wait for a database connection.", pool.get("requests_waiting", 0)
        )
        for name, told, kept, share in (
            ("requests", "Times that a connection was asked for.", "requests_num", 1),
            ("waits", "Those of them that had to wait.", "requests_queued", 1),
            ("wait_seconds", "Time they waited.", "requests_wait_ms", 1000),
            ("failed_requests", "Those that waited in vain.", "requests_errors", 1),
            ("lost_connections", "Connections that were found broken.", "connections_lost", 1),
        ):
            yield CounterMetricFamily(f"cardledger_pool_{name}", told, pool.get(kept, 0) / share)

    def _read_models(self) -> Iterator[Metric]:
        told = "Whether the database answered this scrape."
        yield GaugeMetricFamily("cardledger_database_up", told, self._standing is not None)
        of_pages = self._projector
        yield _histogram("cardledger_projector_page_events", "Events of one page.", of_pages.page_events)
        yield _histogram("cardledger_projector_page_seconds", "Time to apply one page.", of_pages.page_seconds)
        families = {
            of: GaugeMetricFamily(f"cardledger_projection_{of}", told, labels=["read_model"])
            for of, told in (
                ("position", "Position that a read model has reached."),
                ("lag_events", "Events that a read model does not show yet."),
                ("lag_seconds", "Age of the oldest of them."),
                ("stopped", "Whether a read model stopped at an event."),
            )
        }
        for row in self._standing or ():
            families["position"].add_metric([row.name], row.position)
            families["lag_events"].add_metric([row.name], row.lag_events)
            families["lag_seconds"].add_metric([row.name], row.lag_seconds)
            families["stopped"].add_metric([row.name], row.state == "failed")
        yield from families.values()


def _histogram(name: str, told: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(name, told, buckets=_buckets(histogram), sum_value=histogram.total)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """The counts as Prometheus has them: of a bucket and of all before it."""
    running, told = 0, []
    for bound, times in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        running += times
        told.append((bound, float(running)))
    return told


def registered(meters: LedgerMeters) -> CollectorRegistry:
    """A registry of the ledger's own figures."""
    registry = CollectorRegistry()
    registry.register(meters)
    return registry
