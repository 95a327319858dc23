"""The record function by itself: order of the log, and everything it answers with a clash instead of writing it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from ledgers import assert_dense, rows

from ledger.store.batch import RECORD, Batch

REAL = timedelta(0)
Outcomes = list[tuple[str | None, int | None]]


class Writer:
    """One writing connection, and batches in short words."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)

    def record(self, batch: Batch) -> Outcomes:
        """Clash and last position of every act in order."""
        answer = self.connection.execute(RECORD, batch.arguments(), binary=True).fetchone()
        assert answer is not None
        return [(outcome.clash, outcome.position) for outcome in batch.outcomes(*answer)]

    def append(self, stream: UUID, version: int, **rows_: dict[str, Any]) -> Outcomes:
        """One act of one event that follows `version` of the stream."""
        return self.record(act_of(batch_of(1), 1, stream, version, **rows_))


def batch_of(acts: int, clock_offset: timedelta = REAL) -> Batch:
    return Batch(uuid4(), clock_offset, acts=acts)


def act_of(batch: Batch, act: int, stream: UUID, version: int, **rows_: dict[str, Any]) -> Batch:
    """Let an act write one event after `version` of the stream."""
    batch.look(stream, version)
    batch.touch(act, stream, writes=True)
    batch.add_event(act, stream, version + 1, "test.happened", b"{}")
    for table, row in rows_.items():
        batch.add_row(act, table, row)
    return batch


def reading(batch: Batch, act: int, stream: UUID, version: int) -> Batch:
    """Let an act rest on `version` of a stream that it does not write."""
    batch.look(stream, version)
    batch.touch(act, stream, writes=False)
    return batch


def keyed(batch: Batch, act: int, key: str, refusal: str | None = None) -> Batch:
    batch.add_key(act, "subject", key, b"f" * 32, refusal, b"{}")
    return batch


def card_row(member_id: UUID, number: bytes, *, card_id: UUID, closed: bool = False) -> dict[str, Any]:
    return {"card_id": card_id, "member_id": member_id, "number_index": number, "closed": closed}


@pytest.fixture
def writer(database_url: str) -> Iterator[Writer]:
    made = Writer(database_url)
    with made.connection:
        yield made


def move_clock(dsn: str, by: timedelta) -> None:
    rows(dsn, "select move_clock(business_now() + %s)", by)


# Order ----------------------------------------------------------------------------------------------------------------


def append_with_retries(dsn: str, seed: int, acts: int) -> list[int]:
    """Append to new streams, one to five events at a time; the positions answered. A moved clock is looked up."""
    positions, writer = [], Writer(dsn)
    with writer.connection:
        for act in range(acts):
            stream, events = uuid4(), 1 + (seed + act) % 5
            while True:
                offset = writer.connection.execute("select clock_offset from log_head").fetchone()
                assert offset is not None
                batch = batch_of(1, offset[0])
                for version in range(events):
                    act_of(batch, 1, stream, version)
                ((clash, position),) = writer.record(batch)
                if clash is None:
                    break
                assert clash == "clock"
            assert position is not None
            positions.append(position)
    return positions


def tail(dsn: str, stop: threading.Event) -> list[int]:
    """Follow the log by position, as a projector does."""
    seen: list[int] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        while True:
            last = stop.is_set()
            after = seen[-1] if seen else 0
            query = "select notification_id from ledger_events where notification_id > %s order by 1 limit 50"
            page = [row[0] for row in connection.execute(query, (after,)).fetchall()]
            seen += page
            if last and not page:
                return seen


def test_positions_are_dense_in_commit_order_and_a_tailing_reader_misses_nothing(database_url: str) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        reader = pool.submit(tail, database_url, stop)
        writers = [pool.submit(append_with_retries, database_url, seed, 120) for seed in range(6)]
        try:
            for _ in range(8):
                move_clock(database_url, timedelta(days=20))
            answered = [position for each in writers for position in each.result()]
        finally:
            stop.set()
        seen = reader.result()
    assert seen == list(range(1, len(seen) + 1))
    assert len(set(answered)) == 6 * 120
    assert max(answered) == len(seen)
    assert_dense(database_url)


def test_recorded_time_follows_the_business_clock_and_never_runs_backward(database_url: str, writer: Writer) -> None:
    stream = uuid4()
    writer.append(stream, 0)
    move_clock(database_url, timedelta(days=400))
    (offset,) = rows(database_url, "select clock_offset from log_head")
    assert writer.record(act_of(batch_of(1, offset), 1, stream, 1)) == [(None, 2)]
    first, second = rows(database_url, "select recorded_at from ledger_events order by notification_id")
    assert timedelta(days=400) <= second - first < timedelta(days=401)
    assert_dense(database_url)


def test_recorded_time_stands_still_where_the_servers_clock_is_behind(database_url: str, writer: Writer) -> None:
    stream = uuid4()
    move_clock(database_url, timedelta(days=400))
    (offset,) = rows(database_url, "select clock_offset from log_head")
    writer.record(act_of(batch_of(1, offset), 1, stream, 0))
    rows(database_url, "update log_head set clock_offset = '0'")  # the server's own clock was set back
    assert writer.append(stream, 1) == [(None, 2)]
    first, second = rows(database_url, "select recorded_at from ledger_events order by notification_id")
    assert second == first


def test_the_clock_is_moved_backward_only_before_the_first_event(database_url: str, writer: Writer) -> None:
    past = datetime(1995, 1, 1, tzinfo=UTC)
    assert rows(database_url, "select move_clock(%s)", past) == [past]
    (offset,) = rows(database_url, "select clock_offset from log_head")
    writer.record(act_of(batch_of(1, offset), 1, uuid4(), 0))
    assert rows(database_url, "select move_clock(%s)", past) == [None]
    assert rows(database_url, "select move_clock(%s)", past - timedelta(days=1)) == [None]


# Clashes --------------------------------------------------------------------------------------------------------------


def test_an_act_on_a_stream_that_moved_is_stale_and_leaves_nothing(database_url: str, writer: Writer) -> None:
    stream = uuid4()
    assert writer.append(stream, 0) == [(None, 1)]
    assert writer.append(stream, 0, epochs={"subject": stream, "epoch": 1}) == [("stale", 1)]
    assert writer.append(stream, 2) == [("stale", 1)]
    assert rows(database_url, "select count(*) from ledger_events") == [1]
    assert rows(database_url, "select * from epochs") == []


def test_an_act_that_only_read_a_stream_that_moved_is_stale(database_url: str, writer: Writer) -> None:
    """Otherwise two acts that each read what the other one writes would both stand: write skew."""
    card, member = uuid4(), uuid4()
    on_the_card = reading(act_of(batch_of(1), 1, card, 0), 1, member, 0)
    on_the_member = reading(act_of(batch_of(1), 1, member, 0), 1, card, 0)
    assert writer.record(on_the_card) == [(None, 1)]
    assert writer.record(on_the_member) == [("stale", 1)]


def test_an_act_that_clashes_spoils_its_streams_for_later_acts_of_the_batch_alone(
    database_url: str, writer: Writer
) -> None:
    taken, other, third = uuid4(), uuid4(), uuid4()
    writer.append(taken, 0)
    batch = batch_of(6)
    act_of(batch, 1, taken, 0)  # stale: writes `taken` and `other`
    act_of(batch, 1, other, 0)
    act_of(batch, 2, third, 0)  # independent
    act_of(batch, 3, other, 1)  # follows act 1
    act_of(batch, 3, uuid4(), 0)
    reading(act_of(batch, 4, uuid4(), 0), 4, other, 1)  # rests on act 1
    act_of(batch, 5, third, 1)  # follows act 2
    reading(batch, 6, taken, 0)  # no event, but decided on what is no longer so
    assert writer.record(batch) == [("stale", 1), (None, 2), ("stale", 2), ("stale", 2), (None, 3), ("stale", 3)]
    assert rows(database_url, "select originator_id from ledger_events order by notification_id") == [
        taken,
        third,
        third,
    ]
    assert_dense(database_url)


def test_an_act_without_a_fact_stands_at_the_position_of_what_was_recorded_before_it(
    database_url: str, writer: Writer
) -> None:
    writer.append(uuid4(), 0)
    batch = batch_of(3)
    act_of(batch, 1, uuid4(), 0)
    keyed(batch, 2, "refused", "card-locked")
    act_of(batch, 3, uuid4(), 0)
    assert writer.record(batch) == [(None, 2), (None, 2), (None, 3)]
    assert rows(database_url, "select position, refusal from idempotency") == [(2, "card-locked")]


def test_a_key_is_taken_once(database_url: str, writer: Writer) -> None:
    assert writer.record(keyed(act_of(batch_of(1), 1, uuid4(), 0), 1, "k")) == [(None, 1)]
    assert writer.record(keyed(act_of(batch_of(1), 1, uuid4(), 0), 1, "k")) == [("key", 1)]
    assert rows(database_url, "select count(*) from ledger_events") == [1]


def test_a_web_id_belongs_to_one_member_who_may_change_it(database_url: str, writer: Writer) -> None:
    one, other = uuid4(), uuid4()
    assert writer.append(one, 0, web_ids={"web_id_index": b"name", "member_id": one}) == [(None, 1)]
    assert writer.append(other, 0, web_ids={"web_id_index": b"name", "member_id": other}) == [("web-id", 1)]
    assert writer.append(one, 1, web_ids={"web_id_index": b"new name", "member_id": one}) == [(None, 2)]
    assert writer.append(other, 0, web_ids={"web_id_index": b"name", "member_id": other}) == [(None, 3)]
    assert rows(database_url, "select count(*) from web_ids") == [2]


def test_a_card_number_belongs_to_one_card(database_url: str, writer: Writer) -> None:
    one, other = uuid4(), uuid4()
    assert writer.append(one, 0, cards=card_row(uuid4(), b"number", card_id=one)) == [(None, 1)]
    assert writer.append(other, 0, cards=card_row(uuid4(), b"number", card_id=other)) == [("card-number", 1)]


def test_a_member_has_one_card_that_is_not_closed(database_url: str, writer: Writer) -> None:
    member_id, first, second = uuid4(), uuid4(), uuid4()
    assert writer.append(first, 0, cards=card_row(member_id, b"1", card_id=first)) == [(None, 1)]
    assert writer.append(second, 0, cards=card_row(member_id, b"2", card_id=second)) == [("card-exists", 1)]
    assert writer.append(first, 1, cards=card_row(member_id, b"1", card_id=first, closed=True)) == [(None, 2)]
    assert writer.append(second, 0, cards=card_row(member_id, b"2", card_id=second)) == [(None, 3)]


def test_a_reset_token_is_spent_once(database_url: str, writer: Writer) -> None:
    member_id = uuid4()
    issued = {"token_hash": b"t", "member_id": member_id, "reset_id": uuid4(), "expires": datetime.now(UTC)}
    assert writer.append(member_id, 0, reset_tokens=issued) == [(None, 1)]
    spent = {"token_hash": b"t", "member_id": member_id}
    assert writer.append(member_id, 1, spent_reset_tokens=spent) == [(None, 2)]
    assert writer.append(member_id, 2, spent_reset_tokens=spent) == [("reset-token", 2)]


def test_every_act_decided_before_the_clock_moved_is_decided_again(database_url: str, writer: Writer) -> None:
    batch = batch_of(2)
    act_of(batch, 1, uuid4(), 0)
    keyed(batch, 2, "k", "card-locked")
    move_clock(database_url, timedelta(days=1))
    assert writer.record(batch) == [("clock", 0), ("clock", 0)]
    assert rows(database_url, "select count(*) from ledger_events") == [0]
    assert rows(database_url, "select count(*) from idempotency") == [0]
    assert rows(database_url, "select count(*) from recorded_batches") == [0]


def test_a_batch_is_recorded_whole_or_not_at_all(database_url: str, writer: Writer) -> None:
    """A row that the database refuses takes the events, the keys and the batch's id with it."""
    one = uuid4()
    bad = {"owner": one, "kind": "no such kind", "generation": 1, "key_id": "k1", "verifier": b"v"}
    with pytest.raises(psycopg.errors.CheckViolation):
        writer.record(keyed(act_of(batch_of(1), 1, one, 0, credentials=bad), 1, "k"))
    for empty in ("ledger_events", "idempotency", "recorded_batches", "credentials"):
        assert rows(database_url, f"table {empty}") == [], empty


# The log itself -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "update ledger_events set topic = 'test.never'",
        "delete from ledger_events",
        "delete from ledger_events where false",
        "truncate ledger_events",
    ],
)
def test_the_log_is_append_only(database_url: str, writer: Writer, statement: str) -> None:
    writer.append(uuid4(), 0)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        writer.connection.execute(statement.encode())
    assert rows(database_url, "select topic from ledger_events") == ["test.happened"]


def test_a_writer_waits_for_the_one_before_it(database_url: str, writer: Writer) -> None:
    """While somebody holds the one row, nobody records; afterwards the waiting act sees what the holder committed."""
    stream = uuid4()
    with psycopg.connect(database_url) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute("select from log_head for update")
        waiting = pool.submit(writer.append, stream, 0)
        waits = "select count(*) from pg_locks where not granted"
        while rows(database_url, waits) == [0]:
            assert not waiting.done()
        Writer.record(_over(holder), act_of(batch_of(1), 1, stream, 0))
        holder.commit()
        assert waiting.result() == [("stale", 1)]


def _over(connection: psycopg.Connection) -> Writer:
    writer = Writer.__new__(Writer)
    writer.connection = connection
    return writer
