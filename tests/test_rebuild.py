"""Rebuilding a read model: from the whole log by the same code, beside the live one, changed over in one commit."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from ledgers import BANK, Holder, all_told, borrowed, holder, order, project, rows, with_ledgers
from test_projector import Choking, assert_rows_are_replays, following, head, positions, retry, shown, statuses, until

from ledger.application import Ledger
from ledger.projections.projector import READ_MODELS, Projector
from ledger.projections.read_model import ReadModel
from ledger.projections.rebuild import Rebuilt, rebuild, rebuild_all

MODELS = {model.name: model for model in READ_MODELS}


async def rebuilt(dsn: str, model: ReadModel) -> Rebuilt:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        return await rebuild(connection, model)


async def some_history(ledger: Ledger) -> list[Holder]:
    cards = [await holder(ledger, email=f"{n}@example.com") for n in range(4)]
    for card in cards:
        await borrowed(ledger, card, 200_000)
    return cards


@pytest.mark.parametrize("name", MODELS)
def test_a_sound_read_model_is_rebuilt_as_it_was_as_often_as_one_likes(database_url: str, name: str) -> None:
    async def story(ledger: Ledger) -> None:
        await some_history(ledger)
        await project(database_url)
        before = sorted(map(str, rows(database_url, f"table {name}")))
        for _ in range(3):
            done = await rebuilt(database_url, MODELS[name])
            assert (done.as_before, done.position, done.rows) == (True, head(database_url), len(before))
            assert sorted(map(str, rows(database_url, f"table {name}"))) == before
        assert rows(database_url, "select to_regclass(%s)", f"{name}_rebuilt") == [None]

    with_ledgers(database_url, story)


DAMAGE = {
    "balances": "update balances set principal = principal + 1",
    "transactions": "delete from transactions where position = (select max(position) from transactions)",
    "lockouts": "update lockouts set state = '{}'",
    "journal": "update journal set amount = amount + 1",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_read_model_is_mended_and_that_it_was_damaged_is_told(database_url: str, name: str) -> None:
    async def story(ledger: Ledger) -> None:
        await some_history(ledger)
        await project(database_url)
        sound = sorted(map(str, rows(database_url, f"table {name}")))
        rows(database_url, DAMAGE[name])
        assert not (await rebuilt(database_url, MODELS[name])).as_before
        assert sorted(map(str, rows(database_url, f"table {name}"))) == sound
        assert (await rebuilt(database_url, MODELS[name])).as_before

    with_ledgers(database_url, story)


def test_a_sound_read_model_that_lags_behind_the_log_is_found_sound(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        cards = await some_history(ledger)
        await project(database_url)
        before = head(database_url)
        await ledger.repay(order(BANK), cards[0].card_id, 5_000, "bank-transfer", None)
        for name, model in MODELS.items():
            done = await rebuilt(database_url, model)
            assert (done.as_before, done.position) == (True, before), name
        await project(database_url)
        assert_rows_are_replays(ledger, database_url)

    with_ledgers(database_url, story)


def test_several_read_models_are_rebuilt_at_once_each_in_a_process_of_its_own(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await some_history(ledger)
        await project(database_url)
        rows(database_url, DAMAGE["journal"])
        done = dict(zip(MODELS, await rebuild_all(database_url, READ_MODELS), strict=True))
        assert {each.position for each in done.values()} == {head(database_url)}
        assert {name for name, each in done.items() if not each.as_before} == {"journal"}
        assert_rows_are_replays(ledger, database_url)

    with_ledgers(database_url, story)


def test_a_projector_writes_nothing_from_memory_over_rows_that_a_rebuild_has_mended(database_url: str) -> None:
    """It folded the damaged row before; at the same position and version the mended one is another."""
    projector = Projector(database_url)

    async def story(ledger: Ledger) -> None:
        card = (await some_history(ledger))[0]
        await project(database_url)
        damage = (
            "update balances set state = convert_to(replace(convert_from(state, 'utf8'), '500000', '500001'), 'utf8')"
        )
        rows(database_url, damage)
        await ledger.repay(order(BANK), card.card_id, 5_000, "bank-transfer", None)
        await project(database_url, projector)
        assert not (await rebuilt(database_url, MODELS["balances"])).as_before
        await ledger.repay(order(BANK), card.card_id, 5_000, "bank-transfer", None)
        await project(database_url, projector)
        assert_rows_are_replays(ledger, database_url)
        assert (await rebuilt(database_url, MODELS["balances"])).as_before

    with_ledgers(database_url, story)


def test_a_rebuilt_table_keeps_the_storage_options_of_the_one_before(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await some_history(ledger)
        options = "select relname, reloptions from pg_class where relname = any(%s) order by relname"
        before = rows(database_url, options, list(MODELS))
        assert any(given for _, given in before)
        for model in MODELS.values():
            await rebuilt(database_url, model)
        assert rows(database_url, options, list(MODELS)) == before

    with_ledgers(database_url, story)


def test_a_read_model_that_never_ran_is_built(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await some_history(ledger)
        await rebuilt(database_url, MODELS["balances"])
        assert positions(database_url) == {"balances": head(database_url)}
        assert_rows_are_replays(ledger, database_url)

    with_ledgers(database_url, story)


def test_rebuilding_while_the_projector_follows_a_busy_log_loses_and_doubles_nothing(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        cards = await some_history(ledger)
        async with following(database_url):
            writing = True

            async def writes() -> int:
                n = 0
                while writing:
                    repays = [(order(BANK), card.card_id, 200, "bank-transfer", None) for card in cards]
                    n += (await all_told(ledger.repay(*each) for each in repays)).count("ok")
                return n

            task = asyncio.create_task(writes())
            for _ in range(2):
                for name, model in MODELS.items():
                    assert (await rebuilt(database_url, model)).as_before, name
            writing = False
            written = await task
            await until(lambda: shown(database_url))
        assert {each.state for each in statuses(database_url).values()} == {"following"}
        assert rows(database_url, "select count(*) from transactions where kind = 'repayment'") == [written]
        assert_rows_are_replays(ledger, database_url)
        for name, model in MODELS.items():
            assert (await rebuilt(database_url, model)).as_before, name

    with_ledgers(database_url, story)


def test_a_rebuild_mends_a_read_model_that_had_stopped(database_url: str) -> None:
    choking = Choking("card.advance-confirmed")

    async def story(ledger: Ledger) -> None:
        await some_history(ledger)
        models = [choking if model.name == choking.name else model for model in READ_MODELS]
        await project(database_url, Projector(database_url, models))
        assert statuses(database_url)[choking.name].state == "failed"
        with pytest.raises(ZeroDivisionError):  # the code is not mended: the live table stays
            await rebuilt(database_url, choking)
        assert statuses(database_url)[choking.name].state == "failed"
        await rebuilt(database_url, MODELS[choking.name])
        assert statuses(database_url)[choking.name].state == "following"
        assert shown(database_url)
        assert not retry(database_url, choking.name)
        assert rows(database_url, "select count(*) from transactions") == [4]

    with_ledgers(database_url, story)


def test_a_rebuild_that_was_broken_off_is_begun_anew(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await some_history(ledger)
        await project(database_url)
        rows(database_url, "create table balances_rebuilt (like balances including all)")
        rows(database_url, "insert into balances_rebuilt select * from balances")
        assert (await rebuilt(database_url, MODELS["balances"])).as_before
        assert_rows_are_replays(ledger, database_url)

    with_ledgers(database_url, story)
