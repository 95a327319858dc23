"""What stands in the way of a card and its member, and the events that put it there or took it away.

What must stay true: debits less credits of these lines is the number of locks that the lockout view shows; a reader who
may not know a credit reason or who acted is not told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ledger.aggregates.access import CREDIT_REASONS, Access
from ledger.aggregates.card import Card
from ledger.aggregates.fact import Aggregate, Fact
from ledger.aggregates.member import Member
from ledger.aggregates.pin import CardLocked
from ledger.aggregates.web_login import WebLoginLocked
from ledger.store.pages import Recorded

WHO_ACTED: Final = ("actor", "role", "channel")
FAILURES: Final = ("card.login-failed", "member.login-failed")


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that stands in the way; `code` as the lockout view tells it to those who may know everything."""

    code: str
    id: str | None = None


def standing_bars(access: Access) -> dict[str, Bar]:
    """What stands in the way of a card, each under a key of its own."""
    bars = {}
    if access.closed:
        bars["closed"] = Bar("card-closed")
    if access.locked:
        bars["locked"] = Bar("card-locked")
    bars |= {str(stop_id): Bar(stop.reason, str(stop_id)) for stop_id, stop in access.stops.items()}
    bars |= {str(each_id): Bar(each.reason, str(each_id)) for each_id, each in access.suspensions.items()}
    return bars


def _bars_of(aggregate: Aggregate | None) -> dict[str, Bar]:
    if isinstance(aggregate, Card):
        return standing_bars(aggregate.access)
    if isinstance(aggregate, Member) and aggregate.web.locked:
        return {"web": Bar("web-login-locked")}
    return {}


@dataclass(frozen=True, slots=True)
class BarMoved:
    """A bar that an event set (1) or took away (-1), with what the event says of it."""

    position: int
    topic: str
    by: int
    told: dict[str, Any]


class BarStory:
    """A card, or its member, folded event by event for what stood in the way."""

    def __init__(self) -> None:
        self.aggregate: Aggregate | None = None
        self._failures: list[int] = []

    def tell(self, recorded: Recorded) -> Iterator[BarMoved]:
        """Fold the next event; the bars that it set or took away."""
        event, fact = recorded.event, recorded.event.fact
        before = _bars_of(self.aggregate)
        self.aggregate = event.mutate(self.aggregate)
        after = _bars_of(self.aggregate)
        if fact.topic in FAILURES:
            self._failures.append(recorded.position)
        for key in (*(key for key in before if key not in after), *(key for key in after if key not in before)):
            bar = after.get(key) or before[key]
            told = {"bar": bar.code, **({"id": bar.id} if bar.id else {}), **self._said(recorded, fact)}
            yield BarMoved(recorded.position, fact.topic, 1 if key in after else -1, told)
        if fact.topic.endswith(("pin-reset", "login-succeeded", "password-reset", "web-id-registered")):
            self._failures.clear()

    def _said(self, recorded: Recorded, fact: Fact) -> dict[str, Any]:
        cause = recorded.event.cause
        told = {name: getattr(fact, name) for name in ("limit", "by_rule", "check_ref", "document_kind",
                                                        "terms_version") if hasattr(fact, name)}  # fmt: skip
        if isinstance(fact, CardLocked | WebLoginLocked):
            told["failures_at"] = list(self._failures)
        return {"at": recorded.event.at.isoformat(), **told, **{name: getattr(cause, name) for name in WHO_ACTED}}


def discreet(told: dict[str, Any], *, member: bool) -> dict[str, Any]:
    """Without who acted; for the member without a credit reason too."""
    kept = {name: value for name, value in told.items() if name not in (*WHO_ACTED, "check_ref")}
    if member and kept.get("bar") in CREDIT_REASONS:
        kept["bar"] = "card-stopped"
    if member and "barred_by" in kept:
        kept["barred_by"] = ["card-stopped" if code in CREDIT_REASONS else code for code in kept["barred_by"]]
    return kept
