"""Facts bent so far that they no longer fit the others: whatever they break is told with the position, and the rest of
the log is checked all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from borrowing import CARD
from histories import Life, as_recorded
from ledgers import rows
from test_audit_drift import projected, verified  # noqa: F401 - a fixture
from test_audit_replay import A_LIFE, recomputed

from ledger.audit.fold import LogFold
from ledger.store.mapper import decode, encode
from ledger.store.pages import Recorded

_BEND = """
update ledger_events set state = convert_to(jsonb_set(convert_from(state, 'UTF8')::jsonb, %s, %s)::text, 'UTF8')
where notification_id = %s
"""
STEPS = [*A_LIFE, ("draw", 1, 30_000, 0, "atm"), ("repay", 2, 40_000, 0, "bank-transfer")]


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every single value with the path to it."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from leaves(part, (*path, name))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from leaves(part, (*path, number))
    else:
        yield path, value


def other_than(value: Any) -> Any:
    """A value of the same form that is another one; None where there is none."""
    if isinstance(value, bool) or value is None:
        return None if value is None else not value
    if isinstance(value, int):
        return value + 1
    with suppress(ValueError):
        return str(date.fromisoformat(value) + timedelta(days=1))
    with suppress(ValueError):
        return str(UUID(int=UUID(value).int ^ 1))
    return f"{value}x"


def bent(recorded: Recorded) -> Iterator[tuple[str, Recorded]]:
    """The fact with each of its values bent in turn."""
    stored = json.loads(encode(recorded.event))
    for path, value in leaves(stored["data"]):
        other = other_than(value)
        if other is None:
            continue
        again = json.loads(encode(recorded.event))
        part = again["data"]
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = other
        event = recorded.event
        read = decode(event.originator_id, event.originator_version, event.fact.topic, json.dumps(again).encode())
        yield ".".join(map(str, path)), replace(recorded, event=read)


def one_of_each(log: list[Recorded]) -> list[tuple[int, Recorded]]:
    """The first fact of each kind with its place in the log."""
    first: dict[str, tuple[int, Recorded]] = {}
    for place, recorded in enumerate(log):
        first.setdefault(recorded.event.fact.topic, (place, recorded))
    return list(first.values())


def test_every_value_of_a_card_that_was_decided_is_missed_when_it_is_bent() -> None:
    life = Life(card_id=CARD)
    for step in STEPS:
        life.do(*step)
    log, unseen, undecided, tried = as_recorded(life.events), [], set(), 0
    for place, recorded in one_of_each(log):
        for name, forged in bent(recorded):
            whole = [*log[:place], forged, *log[place + 1 :]]
            LogFold().take(whole)  # must not break either
            done, tried = recomputed(whole), tried + 1
            undecided |= {name} if done.undecided else set()
            if not done.undecided and not done.findings:
                unseen.append(name)
            assert all(found.position is not None and found.position >= recorded.position for found in done.findings)
    assert tried > 90
    assert undecided == {"terms_version"}
    assert unseen == ["member_id", "number_last4"]  # these were told, and rest on nothing else


@pytest.mark.parametrize(
    ("topic", "field", "found"),
    [
        ("card.repayment-made", "method", "not-foldable"),
        ("card.repayment-made", "method", "read-model-cannot-follow"),
        ("card.advance-confirmed", "advance_id", "read-model-row"),
    ],
)
def test_verify_goes_on_past_a_fact_that_its_writers_cannot_take(
    projected: str,  # noqa: F811
    topic: str,
    field: str,
    found: str,
) -> None:
    (position,) = rows(projected, "select min(notification_id) from ledger_events where topic = %s", topic)
    rows(projected, "alter table ledger_events disable trigger ledger_events_append_only")
    rows(projected, _BEND, ["data", field], f'"{CARD}"', position)

    done = verified(projected)

    assert done.position > position
    assert (found, position) in [(each.what, each.position) for each in done.findings]
