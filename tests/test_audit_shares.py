"""Recompute in several processes: no stream is left out or decided twice, and what is found is the same."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import chain
from typing import Any
from uuid import UUID, uuid5

import psycopg
from borrowing import CARD
from histories import WITH_FEES, Life, as_recorded, write
from hypothesis import given
from hypothesis import strategies as st
from test_audit_replay import A_LIFE, with_fact

from ledger.aggregates.instalments import InterestPosted
from ledger.audit.recompute import ALL, Recomputed
from ledger.audit.shares import recompute_all, shares
from ledger.store.pages import Recorded


@given(st.integers(1, 64), st.uuids())
def test_every_stream_is_in_exactly_one_share(number: int, stream: UUID) -> None:
    cut = list(shares(number))

    assert (cut[0][0], cut[-1][1]) == ALL
    assert sum(first <= stream <= last for first, last in cut) == 1


def life_of(name: str, steps: list[Any]) -> list[Recorded]:
    life = Life(card_id=uuid5(CARD, name))
    for step in steps:
        life.do(*step)
    return as_recorded(life.events)


def test_several_processes_find_what_one_does(database_url: str) -> None:
    bent, _ = with_fact(life_of("bent", A_LIFE), InterestPosted, interest=1)
    lives = [life_of("first", A_LIFE), bent, *(life_of(str(number), A_LIFE[:2]) for number in range(6))]
    log = [replace(each, position=number) for number, each in enumerate(chain.from_iterable(lives), 1)]
    write(database_url, log)

    async def found(processes: int, stream: UUID | None = None) -> Recomputed:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            return await recompute_all(connection, WITH_FEES, len(log), processes, stream)

    alone, together = asyncio.run(found(1)), asyncio.run(found(3))
    assert alone == together
    assert len(log) - len(bent) < alone.facts < len(log)
    assert {each.subject for each in alone.findings} == {uuid5(CARD, "bent")}
    assert asyncio.run(found(3, uuid5(CARD, "bent"))).findings == alone.findings
    assert asyncio.run(found(3, uuid5(CARD, "first"))).findings == []
