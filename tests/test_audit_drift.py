"""Drift: a row that is not what the log says is found and named, and mended by a rebuild alone."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import psycopg
import pytest
from conftest import NewDatabase
from histories import LIVES, side_by_side, told_history, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import project, rows

from ledger.audit.drift import Verified, verify
from ledger.projections.projector import READ_MODELS
from ledger.projections.rebuild import rebuild
from ledger.store import schema
from ledger.store.pages import Recorded


def verified(dsn: str) -> Verified:
    async def run() -> Verified:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            return await verify(connection, READ_MODELS)

    return asyncio.run(run())


def rebuilt(dsn: str, name: str) -> bool:
    async def run() -> bool:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            model = next(model for model in READ_MODELS if model.name == name)
            return (await rebuild(connection, model)).as_before

    return asyncio.run(run())


@pytest.fixture
def projected(database_url: str) -> str:
    """A log with a member, a card, advances, repayments and failed PINs, and read models that have followed it."""
    asyncio.run(told_history(database_url))
    asyncio.run(project(database_url))
    return database_url


def stored_state(dsn: str) -> dict[str, Any]:
    return msgspec.json.decode(bytes(rows(dsn, "select state from balances")[0]))


def test_read_models_that_followed_the_log_are_what_the_log_says(projected: str) -> None:
    found = verified(projected)

    assert found.findings == []
    assert found.position == rows(projected, "select max(notification_id) from ledger_events")[0]
    assert min(found.rows.values()) >= 1
    assert set(found.rows) == {model.name for model in READ_MODELS}


def test_a_yen_too_much_in_a_folded_account_is_named_with_card_field_and_position(projected: str) -> None:
    state = stored_state(projected)
    right = state["account"]["standing"]["principal"]
    state["account"]["standing"]["principal"] = right + 1
    rows(projected, "update balances set state = %s", msgspec.json.encode(state))

    (finding,) = verified(projected).findings

    card_id, last_repaid = rows(
        projected,
        "select originator_id, max(notification_id) from ledger_events where topic = 'card.repayment-made' group by 1",
    )[0]
    assert finding.subject == card_id
    assert finding.field == "state.account.standing.principal"
    assert (finding.stored, finding.replayed) == (right + 1, right)
    assert finding.position == last_repaid


def test_a_row_that_missed_an_event_diverges_at_that_event(projected: str) -> None:
    first_repaid, second_repaid = rows(
        projected, "select notification_id from ledger_events where topic = 'card.repayment-made' order by 1"
    )
    assert first_repaid < second_repaid
    before = rows(projected, "select principal_before from transactions where position = %s", second_repaid)[0]
    rows(projected, "update balances set principal = %s", before)

    (finding,) = verified(projected).findings

    assert (finding.field, finding.position) == ("principal", second_repaid)


@pytest.mark.parametrize("table", ["journal", "transactions"])
def test_a_line_that_was_changed_or_removed_is_found_at_its_own_position(projected: str, table: str) -> None:
    first, last = rows(projected, "select min(position), max(position) from table".replace("table", table))[0]
    rows(projected, "update table set amount = amount + 1 where position = %s".replace("table", table), first)
    rows(projected, "delete from table where position = %s".replace("table", table), last)

    findings = verified(projected).findings

    changed = [finding for finding in findings if finding.position == first]
    removed = [finding for finding in findings if finding.position == last]
    assert {finding.field for finding in changed} == {"amount"}
    assert {finding.replayed - finding.stored for finding in changed} == {-1}
    assert [(finding.stored, finding.replayed) for finding in removed] == [(None, "a row")] * len(removed)
    assert len(changed) + len(removed) == len(findings)


def test_a_wrong_row_is_mended_by_a_rebuild_and_by_nothing_that_verifies(projected: str) -> None:
    rows(projected, "update balances set principal = principal + 1")

    assert verified(projected).findings
    assert verified(projected).findings  # looking twice mends nothing
    assert not rebuilt(projected, "balances")
    assert verified(projected).findings == []


def test_a_read_model_that_lags_is_compared_where_it_stands(projected: str) -> None:
    asyncio.run(told_history(projected, name="second"))

    found = verified(projected)

    assert found.findings == []
    assert found.position > rows(projected, "select position from projections where name = 'journal'")[0]


def test_a_read_model_that_stopped_is_a_finding(projected: str) -> None:
    rows(
        projected,
        "update projections set state = 'failed', failed_position = 9, failed_type = 'x', failed_error = 'y'"
        " where name = 'lockouts'",
    )

    (finding,) = verified(projected).findings

    assert (finding.what, finding.row) == ("read-model-failed", "lockouts")


def test_a_read_model_that_says_it_is_where_the_log_has_not_come_is_a_finding(projected: str) -> None:
    head = verified(projected).position
    rows(projected, "update projections set position = position + 7 where name = 'transactions'")

    (finding,) = verified(projected).findings

    assert (finding.what, finding.row, finding.field) == ("read-model-ahead", "transactions", "position")
    assert (finding.stored, finding.replayed) == (head + 7, head)
    rebuilt(projected, "transactions")
    assert verified(projected).findings == []


def test_verifying_leaves_every_table_as_it_was(projected: str) -> None:
    tables = "select array_agg(relname order by relname) from pg_class where relkind = 'r'"
    contents = """
        select md5(string_agg(row, '' order by row)) from (
            select e::text as row from ledger_events e union all select b::text from balances b
            union all select t::text from transactions t union all select l::text from lockouts l
            union all select j::text from journal j union all select p::text from projections p) r"""
    before = rows(projected, tables), rows(projected, contents)

    verified(projected)

    assert (rows(projected, tables), rows(projected, contents)) == before


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(lives=st.lists(LIVES, min_size=1, max_size=3), cut=st.integers(0, 40))
def test_followed_bit_by_bit_rebuilt_and_replayed_are_the_same_rows(
    new_database: NewDatabase, lives: list[list[Recorded]], cut: int
) -> None:
    recorded = side_by_side(lives)
    with new_database("bits") as dsn:
        schema.migrate(dsn)
        for part in (recorded[:cut], recorded[cut:]):
            write(dsn, part)
            asyncio.run(project(dsn))

        assert verified(dsn).findings == []
        assert all(rebuilt(dsn, model.name) for model in READ_MODELS)
        assert verified(dsn).findings == []
