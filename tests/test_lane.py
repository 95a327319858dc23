"""The lane: who shares a batch with whom, who fails alone, and what is promised once an act is answered."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from lanes import Body, LosingLog, batches, change, enrol, in_lane, lane_on, outcomes
from ledgers import (
    ATM,
    BANK,
    BOOK,
    COUNTER,
    Holder,
    all_told,
    assert_dense,
    borrowed,
    caller_of,
    holder,
    order,
    rows,
    session,
    terminate_backends,
    told,
    topics,
    with_ledgers,
)
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ledger.aggregates.adoption import ADOPTION_ID
from ledger.aggregates.card import Card
from ledger.application import Ledger
from ledger.instruction import Answer
from ledger.lane import EVENTS_MAX, Act, Desk, Lane
from ledger.lane.turn import Waiting
from ledger.refusals import (
    Busy,
    CardLocked,
    DatabaseUnavailable,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    NotFound,
)
from ledger.remedies import CALL_CENTRE
from ledger.store.log import Log


def failing(member_id: UUID, error: Exception, *, after_a_fact: bool = True) -> Act:
    """An act that records a fact and fails then, or before."""

    def decide(desk: Desk) -> Body:
        if after_a_fact:
            desk.member(member_id).change_profile(("email",))
        raise error

    return Act(order(), (member_id,), decide)


# Batches --------------------------------------------------------------------------------------------------------------


def test_acts_that_wait_together_are_one_commit_and_later_ones_see_earlier_ones(database_url: str) -> None:
    member_id = uuid4()

    async def story(lane: Lane) -> list[Any]:
        return await outcomes(lane, enrol(member_id), *(change(member_id) for _ in range(50)))

    answers = in_lane(database_url, story)
    assert [answer.body["version"] for answer in answers[1:]] == list(range(2, 52))
    assert [answer.position for answer in answers] == list(range(2, 53))
    assert batches(database_url) == 1
    assert_dense(database_url)


def test_the_terms_are_adopted_by_the_first_act_alone(database_url: str) -> None:
    async def story(one: Lane) -> None:
        async with lane_on(database_url) as other:
            await asyncio.gather(*(lane.execute(enrol(uuid4())) for lane in (one, other) for _ in range(20)))

    in_lane(database_url, story)
    in_lane(database_url, lambda lane: lane.execute(enrol(uuid4())))
    assert topics(database_url, ADOPTION_ID) == ["terms.terms-adopted"]
    assert rows(database_url, "select topic from ledger_events where notification_id = 1") == ["terms.terms-adopted"]


def test_nothing_is_recorded_under_terms_whose_adoption_clashed(database_url: str) -> None:
    """The first act of a ledger clashes on its key; those behind it in the batch still come after an adoption."""

    async def story(lane: Lane) -> list[Any]:
        spoiler = enrol(uuid4(), key="k")
        inner = spoiler.decide

        def decide(desk: Desk) -> Body:
            # Another process takes the key between the look and the record.
            taken = "insert into idempotency values (%s, 'k', %s, 0, null, '{}', now()) on conflict do nothing"
            rows(database_url, taken, COUNTER.subject, b"f" * 32)
            return inner(desk)

        spoiler.decide = decide
        return await outcomes(lane, spoiler, enrol(uuid4()), enrol(uuid4()))

    replayed, *_ = in_lane(database_url, story)
    assert replayed.replayed
    recorded = rows(database_url, "select topic from ledger_events order by notification_id")
    assert recorded == ["terms.terms-adopted", "member.member-enrolled", "member.member-enrolled"]


def test_a_batch_ends_at_its_bounds_and_the_rest_goes_into_the_next(database_url: str) -> None:
    member_id = uuid4()

    def many(desk: Desk) -> Body:
        for _ in range(100):
            desk.member(member_id).change_profile(("phone",))
        return {}

    async def story(lane: Lane) -> list[Any]:
        acts = [Act(order(), (member_id,), many) for _ in range(12)]
        return await outcomes(lane, enrol(member_id), *acts, *(enrol(uuid4()) for _ in range(300)))

    answers = in_lane(database_url, story)
    assert all(isinstance(answer, Answer) for answer in answers)
    assert batches(database_url) >= 4
    per_batch = rows(database_url, "select count(*) from ledger_events group by recorded_at")
    assert max(per_batch) < 500 + 100
    assert_dense(database_url)


# Failing alone --------------------------------------------------------------------------------------------------------


def test_an_act_that_fails_after_it_recorded_a_fact_fails_alone(database_url: str) -> None:
    member_id, error = uuid4(), RuntimeError("a defect")

    async def story(lane: Lane) -> list[Any]:
        await lane.execute(enrol(member_id))
        before, after = (change(member_id) for _ in range(2))
        return await outcomes(lane, before, failing(member_id, error), after, enrol(uuid4()))

    before, failed, after, other = in_lane(database_url, story)
    assert failed is error
    assert (before.body, after.body) == ({"version": 2}, {"version": 3})
    assert isinstance(other, Answer)
    assert topics(database_url, member_id) == ["member.member-enrolled", *["member.profile-changed"] * 2]


def test_a_refusal_after_a_fact_leaves_no_fact(database_url: str) -> None:
    member_id = uuid4()

    async def story(lane: Lane) -> list[Any]:
        await lane.execute(enrol(member_id))
        return await outcomes(lane, failing(member_id, CardLocked()), change(member_id))

    refused, changed = in_lane(database_url, story)
    assert isinstance(refused, CardLocked)
    assert changed.body == {"version": 2}
    assert topics(database_url, member_id) == ["member.member-enrolled", "member.profile-changed"]


def with_row(member: UUID, table: str, **row: Any) -> Act:
    """A change with a row beside it."""

    def decide(desk: Desk) -> Body:
        version = desk.member(member).change_profile(("phone",))
        desk.row(table, **row)
        return {"version": version}

    return Act(order(), (member,), decide)


@pytest.mark.parametrize(
    "poison",
    [
        lambda member: with_row(member, "credentials", owner=member, kind="no such kind", generation=1, key_id="k",
                                verifier=b"v"),
        lambda member: with_row(member, "outbox", mail_id=member, member_id=member, kind="nul \0", box=b"",
                                written_at="2026-01-01"),
        lambda member: with_row(member, "epochs", subject=member, epoch=2**70),
        lambda member: with_row(member, "epochs", subject=member, epoch="\ud800"),
        lambda member: change(member, key="nul \0"),
        lambda member: change(member, caller=replace(COUNTER, subject="lone surrogate \ud800")),
        lambda member: failing(member, ValueError("before a fact"), after_a_fact=False),
    ],
    ids=["check", "nul-in-a-row", "number-too-large", "surrogate-in-a-row", "nul-in-a-key", "surrogate-in-an-event",
         "raises"],
)  # fmt: skip
def test_a_poison_act_fails_alone(database_url: str, poison: Callable[[UUID], Act]) -> None:
    members = [uuid4() for _ in range(7)]

    async def story(lane: Lane) -> list[Any]:
        await outcomes(lane, *(enrol(member) for member in members))
        return await outcomes(lane, *(poison(member) if n == 4 else change(member) for n, member in enumerate(members)))

    answers = in_lane(database_url, story)
    assert isinstance(answers[4], Exception)
    assert not isinstance(answers[4], Busy | DatabaseUnavailable), "the caller would repeat it for ever"
    assert [answer.body for answer in answers if isinstance(answer, Answer)] == [{"version": 2}] * 6
    assert rows(database_url, "select count(*) from ledger_events where originator_version = 2") == [6]


def test_acts_that_found_no_room_beside_a_poison_act_are_done_once(database_url: str) -> None:
    member, full, poison = uuid4(), uuid4(), uuid4()

    def fills_the_batch(desk: Desk) -> Body:
        for _ in range(EVENTS_MAX):
            desk.member(full).change_profile(("phone",))
        return {}

    async def story(lane: Lane) -> list[Any]:
        await outcomes(lane, *(enrol(each) for each in (member, full, poison)))
        bad = with_row(poison, "credentials", owner=poison, kind="bad", generation=1, key_id="k", verifier=b"v")
        return await outcomes(lane, bad, Act(order(), (full,), fills_the_batch), *(change(member) for _ in range(3)))

    failed, _, *changed = in_lane(database_url, story)
    assert isinstance(failed, psycopg.errors.CheckViolation)
    assert [answer.body["version"] for answer in changed] == [2, 3, 4]
    assert topics(database_url, member) == ["member.member-enrolled", *["member.profile-changed"] * 3]
    assert_dense(database_url)


def test_a_stream_that_cannot_be_read_fails_alone(database_url: str) -> None:
    damaged, sound = uuid4(), uuid4()

    async def story(lane: Lane) -> list[Any]:
        await lane.execute(enrol(sound))
        insert = "insert into ledger_events values (%s, 1, 'member.member-enrolled', 'no JSON', 3)"
        rows(database_url, insert, damaged)
        return await outcomes(lane, change(sound), change(damaged), change(sound))

    first, failed, second = in_lane(database_url, story)
    assert isinstance(failed, Exception)
    assert (first.body, second.body) == ({"version": 2}, {"version": 3})


def test_two_acts_of_one_batch_may_end_the_sessions_of_one_card(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[str]:
        card = await holder(ledger)
        return await all_told(ledger.stop(order(), card.card_id, reason) for reason in ("lost", "stolen"))

    assert with_ledgers(database_url, story) == ["ok", "ok"]
    assert rows(database_url, "select epoch from epochs") == [2]


def test_two_acts_of_one_batch_may_change_one_address_and_the_later_one_stands(database_url: str) -> None:
    member = uuid4()

    async def story(lane: Lane) -> list[Any]:
        await lane.execute(enrol(member))
        addresses = (with_row(member, "email_index", member_id=member, email_index=each) for each in (b"1", b"2"))
        return await outcomes(lane, *addresses)

    assert [answer.body for answer in in_lane(database_url, story)] == [{"version": 2}, {"version": 3}]
    assert rows(database_url, "select email_index from email_index") == [b"2"]


# Callers --------------------------------------------------------------------------------------------------------------


def test_the_act_of_a_caller_who_went_away_stands_and_its_key_answers_later(database_url: str) -> None:
    member_id = uuid4()

    async def story(lane: Lane) -> Answer:
        gone = asyncio.create_task(lane.execute(enrol(member_id, key="k")))
        await asyncio.sleep(0)
        assert lane.depth == 1
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        while True:
            try:
                return await lane.execute(enrol(uuid4(), key="k"))
            except IdempotencyKeyInUse:
                await asyncio.sleep(0.01)

    answer = in_lane(database_url, story)
    assert answer == Answer(2, {"member_id": str(member_id)}, replayed=True)
    assert rows(database_url, "select count(*) from ledger_events") == [2]


def test_a_refusal_of_a_caller_who_went_away_is_nobodys_error(database_url: str) -> None:
    reported: list[Body] = []

    async def story(lane: Lane) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        gone = asyncio.create_task(lane.execute(change(uuid4())))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        del gone
        await lane.execute(enrol(uuid4()))
        gc.collect()

    in_lane(database_url, story)
    assert reported == []


def test_a_full_queue_answers_busy_and_records_nothing(database_url: str) -> None:
    async def story(lane: Lane) -> list[Any]:
        return await outcomes(lane, *(enrol(uuid4(), key=str(n)) for n in range(15)))

    answers = in_lane(database_url, story, queue_max=10)
    assert [type(answer) for answer in answers] == [Answer] * 10 + [Busy] * 5
    assert rows(database_url, "select count(*) from ledger_events where topic ^@ 'member.'") == [10]
    assert rows(database_url, "select count(*) from idempotency") == [10]


def test_a_lane_that_stops_finishes_what_waits_and_takes_nothing_more(database_url: str) -> None:
    async def story() -> list[Any]:
        lane = Lane(Log(database_url), BOOK)
        await lane.start()
        waiting = [asyncio.create_task(lane.execute(enrol(uuid4()))) for _ in range(600)]
        await asyncio.sleep(0)
        stopping = asyncio.create_task(lane.stop())
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await lane.execute(enrol(uuid4()))
        await stopping
        assert all(each.done() for each in waiting)
        return await asyncio.gather(*waiting)

    assert len(asyncio.run(story())) == 600
    assert rows(database_url, "select count(*) from ledger_events where topic ^@ 'member.'") == [600]


# Keys -----------------------------------------------------------------------------------------------------------------


def test_an_act_under_a_key_is_done_once_and_answered_alike(database_url: str) -> None:
    member_id = uuid4()

    async def story(lane: Lane) -> list[Any]:
        await lane.execute(enrol(member_id))
        return [await lane.execute(change(member_id, key="k")) for _ in range(3)]

    first, *repeated = in_lane(database_url, story)
    assert first == Answer(3, {"version": 2})
    assert repeated == [Answer(3, {"version": 2}, replayed=True)] * 2
    assert topics(database_url, member_id) == ["member.member-enrolled", "member.profile-changed"]


def test_a_key_is_in_use_until_its_act_is_answered(database_url: str) -> None:
    member_id = uuid4()

    async def story(lane: Lane) -> list[Any]:
        await lane.execute(enrol(member_id))
        return await outcomes(lane, *(change(member_id, key="k") for _ in range(5)))

    answers = in_lane(database_url, story)
    assert [type(answer) for answer in answers] == [Answer] + [IdempotencyKeyInUse] * 4
    assert topics(database_url, member_id) == ["member.member-enrolled", "member.profile-changed"]


def test_two_processes_with_one_key_record_one_fact(database_url: str) -> None:
    member_id = uuid4()

    async def story(one: Lane) -> list[Any]:
        await one.execute(enrol(member_id))
        async with lane_on(database_url) as other:
            acts = [lane.execute(change(member_id, key=str(n))) for n in range(30) for lane in (one, other)]
            return await asyncio.gather(*acts)

    answers = in_lane(database_url, story)
    for one, other in zip(answers[::2], answers[1::2], strict=True):
        assert (one.position, one.body) == (other.position, other.body)
        assert one.replayed != other.replayed
    assert len(topics(database_url, member_id)) == 1 + 30


def test_a_key_of_another_request_is_refused(database_url: str) -> None:
    async def story(lane: Lane) -> None:
        await lane.execute(enrol(uuid4(), key="k"))
        with pytest.raises(IdempotencyKeyReused):
            await lane.execute(enrol(uuid4(), key="k", fingerprint=b"another".ljust(32)))
        await lane.execute(enrol(uuid4(), key="k", caller=BANK))  # everybody has keys of one's own

    in_lane(database_url, story)
    assert rows(database_url, "select count(*) from idempotency") == [2]


def test_a_refusal_under_a_key_is_given_again_with_its_details_its_remedy_and_position(database_url: str) -> None:
    def refused() -> Act:
        def decide(desk: Desk) -> Body:
            raise CardLocked(remedy=CALL_CENTRE, tries_left=0)

        return Act(order(key="k"), (), decide)

    async def story(lane: Lane) -> list[Any]:
        await lane.execute(enrol(uuid4()))
        first = await outcomes(lane, refused())
        await lane.execute(enrol(uuid4()))
        return first + await outcomes(lane, refused())

    first, again = in_lane(database_url, story)
    assert (first.code, first.details, first.position, first.replayed) == ("card-locked", {"tries_left": 0}, 2, False)
    assert first.remedy == again.remedy == CALL_CENTRE
    assert (again.code, again.details, again.position, again.replayed) == ("card-locked", {"tries_left": 0}, 2, True)


def test_a_refusal_that_is_not_kept_leaves_the_key_free(database_url: str) -> None:
    member_id = uuid4()

    async def story(lane: Lane) -> Answer:
        with pytest.raises(NotFound):
            await lane.execute(change(member_id, key="k"))
        await lane.execute(enrol(member_id))
        return await lane.execute(change(member_id, key="k"))

    assert not in_lane(database_url, story).replayed


# Races ----------------------------------------------------------------------------------------------------------------


def test_two_processes_on_one_card_stay_exact(database_url: str) -> None:
    async def story(one: Ledger, other: Ledger) -> tuple[int, Card, list[Answer]]:
        card = await holder(one)
        await borrowed(one, card, 200_000)
        made = await asyncio.gather(
            *(
                ledger.repay(order(BANK, key=f"{name}-{n}"), card.card_id, 200 + n, "bank-transfer", None)
                for n in range(120)
                for name, ledger in (("one", one), ("other", other))
            )
        )
        folded = one.repository.get(card.card_id)
        assert isinstance(folded, Card)
        return 200_000, folded, made

    drawn, card, made = with_ledgers(database_url, story, processes=2)
    paid = sum(answer.body["allocation"]["principal"] for answer in made)
    assert paid == 2 * sum(200 + n for n in range(120))
    assert card.account.standing.principal == drawn - paid
    assert len({answer.position for answer in made}) == len(made)
    recorded = topics(database_url, card.id)
    assert recorded.count("card.repayment-made") == len(made)
    ids = rows(
        database_url,
        "select convert_from(state, 'UTF8')::json->'data'->>'repayment_id' from ledger_events"
        " where topic = 'card.repayment-made'",
    )
    assert sorted(ids) == sorted(answer.body["repayment_id"] for answer in made)
    assert_dense(database_url)


def test_an_act_that_clashes_again_and_again_is_decided_under_the_lock(database_url: str) -> None:
    """Another process moves the stream each time that the act is decided, until it cannot any more."""
    member_id, decided = uuid4(), []

    async def story(lane: Lane) -> Answer:
        await lane.execute(enrol(member_id))
        act = change(member_id, key="k")
        inner = act.decide

        def decide(desk: Desk) -> Body:
            decided.append(desk.member(member_id).version)
            with psycopg.connect(database_url, autocommit=True) as rival:
                rival.execute("set lock_timeout = '100ms'")
                try:
                    rival.execute("select from log_head for update")
                except psycopg.errors.LockNotAvailable:
                    return inner(desk)
                rival.execute(
                    "insert into ledger_events select originator_id, originator_version + 1, 'member.profile-changed',"
                    " state, (select max(notification_id) + 1 from ledger_events) from ledger_events"
                    " where originator_id = %s order by originator_version desc limit 1",
                    (member_id,),
                )
            return inner(desk)

        act.decide = decide
        await lane.execute(change(member_id))
        return await lane.execute(act)

    answer = in_lane(database_url, story)
    # Presumed, asked for twice, and under the lock.
    assert decided == [2, 3, 4, 5]
    assert answer.body == {"version": 6}
    assert topics(database_url, member_id)[-1] == "member.profile-changed"
    assert_dense(database_url)


REFUSE_COMMIT = """
create function refuse_commit() returns trigger language plpgsql as $$ begin raise exception 'at the commit'; end $$;
create constraint trigger refused after insert on recorded_batches deferrable initially deferred
    for each row execute function refuse_commit();
"""


def test_an_act_decided_under_the_lock_is_answered_after_its_commit(database_url: str) -> None:
    """The record itself succeeds and the commit does not: nobody may have been told that the act stands."""
    member = uuid4()

    async def story(lane: Lane) -> Any:
        await lane.execute(enrol(member))
        rows(database_url, REFUSE_COMMIT)
        waiting = Waiting(change(member), asyncio.get_running_loop().create_future(), clashes=2)
        lane._queue.append(waiting)
        lane._wake.set()
        return (await asyncio.gather(waiting.future, return_exceptions=True))[0]

    assert isinstance(in_lane(database_url, story), psycopg.errors.RaiseException)
    assert topics(database_url, member) == ["member.member-enrolled"]


def test_a_card_number_that_is_taken_is_drawn_again(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(ledger: Ledger) -> tuple[Holder, Holder]:
        first = await holder(ledger)
        drawn = iter([first.number, first.number, "9" + "5" * 15])
        monkeypatch.setattr("ledger.application.cards._draw_number", lambda pin: next(drawn))
        return first, await holder(ledger)

    first, second = with_ledgers(database_url, story)
    assert second.number == "9" + "5" * 15
    assert rows(database_url, "select count(*) from cards") == [2]
    assert first.card_id != second.card_id


# Sessions in a batch --------------------------------------------------------------------------------------------------


def test_an_act_of_a_session_behind_the_lock_in_the_same_batch_is_refused(database_url: str) -> None:
    async def story(ledger: Ledger) -> list[str]:
        card = await holder(ledger)
        caller = await caller_of(ledger, await session(ledger, card))

        def draw(key: str) -> Any:
            return told(ledger.draw_advance(order(caller, key=key), card.card_id, 10_000, "transfer"))

        def wrong(desk: Desk) -> Any:
            return desk.card(card.card_id).decide_pin_attempt(
                attempt_id=uuid4(), right=False, generation=1, terms=desk.terms
            )

        attempts = [told(ledger.lane.execute(Act(order(ATM), (card.card_id,), wrong))) for _ in range(3)]
        return await asyncio.gather(draw("before"), *attempts, draw("behind"), draw("too"))

    answers = with_ledgers(database_url, story)
    assert answers == ["ok", "bad-credentials", "bad-credentials", "card-locked", "session-ended", "session-ended"]
    # Enrolled with its account, issued, logged in, and then all of the story at one time.
    assert batches(database_url) == 4
    assert rows(database_url, "select count(*) from idempotency") == [1]


# The database goes away -----------------------------------------------------------------------------------------------


def test_what_was_acknowledged_survives_the_loss_of_every_connection(database_url: str) -> None:
    """Under load from two processes: answered acts are in the log once, the others are settled by repeating."""

    async def story(one: Ledger, other: Ledger) -> tuple[UUID, dict[str, Answer]]:
        card = await holder(one)
        await borrowed(one, card, 400_000)
        answered: dict[str, Answer] = {}
        unclear: list[str] = []

        async def client(ledger: Ledger, name: str) -> None:
            for n in range(40):
                key = f"{name}-{n}"
                try:
                    answered[key] = await ledger.repay(order(BANK, key=key), card.card_id, 201, "bank-transfer", None)
                except (DatabaseUnavailable, Busy):
                    unclear.append(key)

        clients = [client(ledger, f"{n}") for n, ledger in enumerate([one, other] * 6)]
        running = asyncio.gather(*clients)
        for _ in range(8):
            await asyncio.sleep(0.05)
            await asyncio.to_thread(terminate_backends, database_url)
        await running
        assert unclear, "the connections were lost under load"
        for key in unclear:
            async with asyncio.timeout(20):
                while key not in answered:
                    try:
                        answered[key] = await one.repay(order(BANK, key=key), card.card_id, 201, "bank-transfer", None)
                    except DatabaseUnavailable:
                        await asyncio.sleep(0.05)
        return card.card_id, answered

    card_id, answered = with_ledgers(database_url, story, processes=2)
    ids = rows(
        database_url,
        "select convert_from(state, 'UTF8')::json->'data'->>'repayment_id' from ledger_events"
        " where topic = 'card.repayment-made' and originator_id = %s",
        card_id,
    )
    assert len(answered) == 12 * 40
    assert sorted(ids) == sorted(answer.body["repayment_id"] for answer in answered.values())
    positions = rows(database_url, "select position from idempotency where subject = %s and key ~ '-'", "bank")
    assert sorted(positions) == sorted(answer.position for answer in answered.values())
    assert_dense(database_url)


def test_a_batch_whose_answer_was_lost_is_found_by_its_id(database_url: str) -> None:
    """The connection dies after the commit and before the answer: each act is answered as it was recorded."""

    async def story() -> list[Any]:
        async with lane_on(database_url, LosingLog(database_url)) as lane:
            members = [uuid4(), uuid4()]
            await lane.execute(enrol(members[0]))
            acts = change(members[0], key="a"), change(uuid4(), key="b"), enrol(members[1], key="c")
            return await outcomes(lane, *acts)

    changed, refused, enrolled = asyncio.run(story())
    assert (changed.body, changed.position, changed.replayed) == ({"version": 2}, 3, False)
    assert isinstance(refused, NotFound)
    assert (enrolled.position, enrolled.replayed) == (4, False)
    assert rows(database_url, "select count(*) from ledger_events") == [4]


def test_a_lane_without_a_database_answers_so_and_goes_on_when_it_is_back(database_url: str) -> None:
    async def story(lane: Lane) -> None:
        await lane.execute(enrol(uuid4()))
        name = conninfo_to_dict(database_url)["dbname"]
        server = make_conninfo(database_url, dbname="postgres")
        rows(server, f"alter database {name} with allow_connections false")
        rows(server, "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", name)
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                await lane.execute(enrol(uuid4()))
        rows(server, f"alter database {name} with allow_connections true")
        await lane.execute(enrol(uuid4()))

    in_lane(database_url, story)
    assert rows(database_url, "select count(*) from ledger_events where topic ^@ 'member.'") == [2]


# Memory ---------------------------------------------------------------------------------------------------------------


def test_the_streams_kept_in_memory_are_bounded_and_a_stream_that_left_is_folded_again(database_url: str) -> None:
    members = [uuid4() for _ in range(40)]

    async def story(lane: Lane) -> tuple[int, int, Answer]:
        for member in members:
            await lane.execute(enrol(member))
        await outcomes(lane, *(change(member) for member in members))
        await lane.execute(change(members[0]))
        return len(lane._folds._kept), len(lane.acknowledged), await lane.execute(change(members[0]))

    kept, acknowledged, answer = in_lane(database_url, story, streams_max=8)
    assert kept <= 8 + 1
    assert acknowledged <= 8
    assert answer.body == {"version": 4}
