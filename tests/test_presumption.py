"""What a lane presumes instead of asking: told to nobody before it is found so, and asked for where it was not so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from lanes import Body, LosingLog, batches, change, enrol, in_lane, lane_on, outcomes
from ledgers import ATM, caller_of, holder, order, rows, session, told, with_ledgers

from ledger.application import Ledger
from ledger.instruction import Answer
from ledger.lane import Act, Desk, Lane
from ledger.lane.presumption import PRESUMED_SECONDS, Presumption
from ledger.refusals import NotFound
from ledger.store.log import Log, Standing

NOON = datetime(2026, 4, 1, 3, tzinfo=UTC)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[UUID, int]]:
    """What each lane asked of the log."""
    calls: list[Mapping[UUID, int]] = []
    bring_up = Log.bring_up

    async def counted(log: Log, streams: Mapping[UUID, int], keys: Any) -> Standing:
        calls.append(dict(streams))
        return await bring_up(log, streams, keys)

    monkeypatch.setattr(Log, "bring_up", counted)
    return calls


def test_acts_on_streams_that_the_lane_knows_do_not_ask_the_log(
    database_url: str, asked: list[Mapping[UUID, int]]
) -> None:
    member_id = uuid4()

    async def story(lane: Lane) -> int:
        await lane.execute(enrol(member_id))
        await lane.execute(change(member_id))
        before = len(asked)
        for _ in range(5):
            await lane.execute(change(member_id))
        return len(asked) - before

    # A slow machine may let the presumption grow old once.
    assert in_lane(database_url, story) <= 1


def test_what_another_process_recorded_is_seen_by_the_next_act(database_url: str) -> None:
    member_id = uuid4()

    async def story(one: Lane) -> list[int]:
        await one.execute(enrol(member_id))
        async with lane_on(database_url) as other:
            return [(await lane.execute(change(member_id))).body["version"] for lane in (one, other, other, one, other)]

    assert in_lane(database_url, story) == [2, 3, 4, 5, 6]


def test_a_refusal_on_a_presumed_state_is_told_only_after_the_log_was_asked(database_url: str) -> None:
    member_id = uuid4()

    def only_after_the_second(desk: Desk) -> Body:
        version = desk.member(member_id).version
        if version < 3:
            raise NotFound
        return {"version": version}

    async def story(one: Lane) -> tuple[int, int, Body]:
        await one.execute(enrol(member_id))
        await one.execute(change(member_id))
        async with lane_on(database_url) as other:
            await other.execute(change(member_id))
        before = batches(database_url)
        answer = await one.execute(Act(order(), (member_id,), only_after_the_second))
        return before, batches(database_url), answer.body

    before, after, body = in_lane(database_url, story)
    assert body == {"version": 3}
    assert after == before, "a look that leaves nothing behind commits nothing"


def test_a_session_that_another_process_ended_acts_no_more(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> list[str]:
        card = await holder(one)
        caller = await caller_of(one, await session(one, card))
        draws = [await told(one.draw_advance(order(caller, key="before"), card.card_id, 10_000, "transfer"))]
        for _ in range(3):
            await told(other.log_in_by_card(order(ATM), card.number, "0000"))
        draws.append(await told(one.draw_advance(order(caller, key="behind"), card.card_id, 10_000, "transfer")))
        return draws

    assert with_ledgers(database_url, story, processes=2) == ["ok", "session-ended"]


def test_an_answer_that_another_process_gave_under_the_key_is_given_again(database_url: str) -> None:
    member_id = uuid4()

    async def story(one: Lane) -> list[bool]:
        await one.execute(enrol(member_id))
        await one.execute(change(member_id))
        async with lane_on(database_url) as other:
            first = await other.execute(change(member_id, key="k"))
        again = await one.execute(change(member_id, key="k"))
        assert (first.position, first.body) == (again.position, again.body)
        return [first.replayed, again.replayed]

    assert in_lane(database_url, story) == [False, True]


def test_an_answer_under_the_key_is_given_again_where_the_act_would_now_be_refused_without_a_trace(
    database_url: str,
) -> None:
    """Beside an act that is recorded, such a refusal would be told without a look at the key."""
    member_id, other_id = uuid4(), uuid4()

    def once(desk: Desk) -> Body:
        if desk.member(member_id).version > 1:
            raise NotFound
        return {"version": desk.member(member_id).change_profile(("phone",))}

    async def story(one: Lane) -> tuple[Answer, Answer | BaseException]:
        await outcomes(one, enrol(member_id), enrol(other_id))
        first = await one.execute(Act(order(key="k"), (member_id,), once))
        _, again = await outcomes(one, change(other_id), Act(order(key="k"), (member_id,), once))
        return first, again

    first, again = in_lane(database_url, story)
    assert (again.position, again.body, again.replayed) == (first.position, first.body, True)


def test_a_refusal_on_a_presumed_state_is_not_told_where_the_answer_of_the_record_call_was_lost(
    database_url: str,
) -> None:
    """The batch is found by its id, but nothing of the refusal is in the log to show that it saw what was so."""
    member_id, other_id = uuid4(), uuid4()

    def only_after_the_second(desk: Desk) -> Body:
        if desk.member(member_id).version < 3:
            raise NotFound
        return {}

    async def story() -> list[Answer | BaseException]:
        async with lane_on(database_url, LosingLog(database_url)) as one, lane_on(database_url) as other:
            for act in (enrol(member_id), enrol(other_id), change(member_id), change(other_id)):
                await one.execute(act)
            await other.execute(change(member_id))
            return await outcomes(one, change(other_id), Act(order(), (member_id,), only_after_the_second))

    changed, looked = asyncio.run(story())
    assert isinstance(changed, Answer)
    assert changed.body == {"version": 3}
    assert isinstance(looked, Answer), looked


def test_a_defect_on_a_presumed_state_is_told_only_after_the_log_was_asked(database_url: str) -> None:
    member_id = uuid4()

    def fails_before_the_third(desk: Desk) -> Body:
        if desk.member(member_id).version < 3:
            raise RuntimeError
        return {}

    async def story(one: Lane) -> Answer:
        await one.execute(enrol(member_id))
        await one.execute(change(member_id))
        async with lane_on(database_url) as other:
            await other.execute(change(member_id))
        return await one.execute(Act(order(), (member_id,), fails_before_the_third))

    assert in_lane(database_url, story).body == {}


def test_after_the_clock_was_moved_no_act_is_decided_at_the_time_before(database_url: str) -> None:
    member_id = uuid4()

    async def story(lane: Lane) -> None:
        await lane.execute(enrol(member_id))
        await lane.execute(change(member_id))
        rows(database_url, "select move_clock(business_now() + interval '20 days')")
        await lane.execute(change(member_id))

    in_lane(database_url, story)
    times = rows(
        database_url,
        "select (convert_from(state, 'UTF8')::json->>'at')::timestamptz from ledger_events where originator_id = %s"
        " order by originator_version",
        member_id,
    )
    assert times[2] - times[1] >= timedelta(days=20)


def test_time_goes_on_while_nothing_is_asked_and_the_presumption_grows_old() -> None:
    now = 100.0
    presumption = Presumption(lambda: now)
    assert presumption.standing() is None, "nothing was asked yet"
    presumption.asked(Standing(NOON, 7, timedelta(days=1)))
    now += 0.25
    presumed = presumption.standing()
    assert presumed is not None
    assert (presumed.now, presumed.clock_offset) == (NOON + timedelta(seconds=0.25), timedelta(days=1))
    assert presumed.presumed
    now += PRESUMED_SECONDS
    assert presumption.standing() is None


def test_a_lane_that_was_wrong_asks_each_time_for_a_while() -> None:
    now = 100.0
    presumption = Presumption(lambda: now)
    presumption.asked(Standing(NOON, 7, timedelta()))
    presumption.doubt()
    presumption.asked(Standing(NOON, 8, timedelta()))
    assert presumption.standing() is None
    now += PRESUMED_SECONDS
    presumption.asked(Standing(NOON, 9, timedelta()))
    assert presumption.standing() is not None
