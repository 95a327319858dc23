"""The closing of days: in order, each once, over every card that is due, on the write side's word alone."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

import pytest
from closing_days import DUE, LAST_FREE_DAY, OPERATOR, START, borrower, close, closed, facts, found, go_to, opened
from ledgers import BANK, Holder, enrolled, holder, order, rows, told, topics

from ledger.aggregates.closed_days import Calendar
from ledger.application import Ledger
from ledger.application.scheduler import Scheduler
from ledger.projections import due as due_module
from ledger.store.closings import causation_of

# Which days -----------------------------------------------------------------------------------------------------------


def test_days_are_closed_in_their_order_each_once_and_only_when_they_are_over(database_url: str) -> None:
    async def story() -> None:
        async with opened(database_url) as (ledger, day_close):
            assert await told(day_close.close_day(order(OPERATOR), START - timedelta(days=1))) == "day-not-open"
            await enrolled(ledger)
            assert await told(day_close.close_day(order(OPERATOR), START)) == "day-not-over"
            await go_to(ledger, START + timedelta(days=2), 0)
            after = START + timedelta(days=1)
            assert await told(day_close.close_day(order(OPERATOR), START - timedelta(days=1))) == "day-not-open"
            assert await told(day_close.close_day(order(OPERATOR), after)) == "day-out-of-order"
            assert await told(day_close.close_day(order(OPERATOR), START)) == "ok"
            assert await told(day_close.close_day(order(OPERATOR), START)) == "day-not-open"
            assert await told(day_close.close_day(order(OPERATOR), after)) == "ok"
            assert await told(day_close.close_day(order(OPERATOR), after + timedelta(days=1))) == "day-not-over"

    asyncio.run(story())
    assert [each["day"] for each in closed(database_url)] == ["2023-01-10", "2023-01-11"]


def test_every_open_day_is_closed_and_a_day_that_is_closed_is_left_alone(database_url: str) -> None:
    async def story() -> None:
        async with opened(database_url) as (ledger, day_close):
            await go_to(ledger, date(2023, 1, 20))
            empty = await day_close.close_days(order(OPERATOR), date(2023, 1, 19))
            assert (empty.position, empty.body) == (0, {"closed_through": None})  # no first event: no day is open
            await enrolled(ledger)
            await go_to(ledger, date(2024, 1, 1), 0)
            first = await day_close.close_days(order(OPERATOR, "night"), date(2023, 12, 31))
            again = await day_close.close_days(order(OPERATOR), date(2023, 12, 31))
            replayed = await day_close.close_days(order(OPERATOR, "night"), date(2023, 12, 31))
            assert first.body == again.body == replayed.body == {"closed_through": "2023-12-31"}
            assert first.position == again.position == replayed.position
            assert replayed.replayed
            assert await told(day_close.close_days(order(OPERATOR, "night", b"g" * 32), START)) == (
                "idempotency-key-reused"
            )

    asyncio.run(story())
    days = [date.fromisoformat(each["day"]) for each in closed(database_url)]
    assert days == [date(2023, 1, 20) + timedelta(days=n) for n in range(346)]


# What closing a day finds ---------------------------------------------------------------------------------------------


def test_an_instalment_is_missed_at_the_close_of_its_shifted_due_date(database_url: str) -> None:
    async def story() -> Holder:
        async with opened(database_url) as (ledger, day_close):
            card = await borrower(ledger)
            await close(ledger, day_close, DUE - timedelta(days=1))
            assert "card.instalment-missed" not in topics(database_url, card.card_id)
            await close(ledger, day_close, DUE)
            return card

    card = asyncio.run(story())
    assert topics(database_url, card.card_id)[-3:] == [
        "card.instalment-missed",
        "card.due-date-set",
        "card.borrowing-suspended",
    ]
    (missed,) = facts(database_url, card.card_id, "card.instalment-missed")
    assert (missed["due"], missed["minimum"], missed["paid"]) == ("2023-02-06", 4000, 0)
    (suspended,) = facts(database_url, card.card_id, "card.borrowing-suspended")
    assert (suspended["reason"], suspended["by_rule"]) == ("late", True)


def test_an_instalment_that_was_paid_is_not_missed(database_url: str) -> None:
    async def story() -> Holder:
        async with opened(database_url) as (ledger, day_close):
            card = await borrower(ledger)
            await go_to(ledger, DUE, 23)
            await ledger.repay(order(BANK), card.card_id, 4000, "bank-transfer", None)
            await close(ledger, day_close, DUE)
            return card

    card = asyncio.run(story())
    assert "card.instalment-missed" not in topics(database_url, card.card_id)


def test_lateness_ends_with_the_cure_and_several_missed_instalments_stop_the_card(database_url: str) -> None:
    async def story() -> Holder:
        async with opened(database_url) as (ledger, day_close):
            card = await borrower(ledger)
            for _ in range(2):
                await close(ledger, day_close, await due_of(ledger, card))
                await ledger.repay(order(BANK), card.card_id, 4000, "bank-transfer", None)
            assert "card.card-stopped" not in topics(database_url, card.card_id)
            await close(ledger, day_close, await due_of(ledger, card))
            return card

    card = asyncio.run(story())
    told_of = topics(database_url, card.card_id)
    assert told_of.count("card.borrowing-suspended") == 3
    assert told_of.count("card.borrowing-resumed") == 2
    (stop,) = facts(database_url, card.card_id, "card.card-stopped")
    assert (stop["reason"], stop["by_rule"]) == ("repeated-lateness", True)
    assert closed(database_url)[-1]["found"] == found(cards=1, instalments_missed=1, suspensions=1, stops=1)


async def due_of(ledger: Ledger, card: Holder) -> date:
    folded = ledger.repository.get(card.card_id)
    due = folded.account.standing.due  # type: ignore[attr-defined]
    assert due is not None
    day: date = due.day
    return day


def test_the_last_free_day_ends_the_interest_free_period_and_the_month_end_books_its_income(database_url: str) -> None:
    async def story() -> Holder:
        async with opened(database_url) as (ledger, day_close):
            card = await borrower(ledger, web_statements=True)
            await ledger.repay(order(BANK), card.card_id, 4000, "bank-transfer", None)
            await close(ledger, day_close, date(2023, 2, 28))
            return card

    card = asyncio.run(story())
    (ended,) = facts(database_url, card.card_id, "card.interest-free-ended")
    assert ended == {"last_day": LAST_FREE_DAY.isoformat(), "reason": "expired"}
    (posted,) = facts(database_url, card.card_id, "card.interest-posted")
    interest = 96_000 * 1780 * 19 // (10_000 * 365)  # 10 to 28 February
    assert (posted["through"], posted["interest"], posted["late_damages"]) == ("2023-02-28", interest, 0)
    by_day = {each["day"]: each for each in closed(database_url)}
    assert by_day["2023-02-09"]["found"] == found(cards=1, interest_free_ended=1)
    assert by_day["2023-02-28"]["found"] == found(cards=1, interest_posted=interest)
    assert by_day["2023-02-27"]["found"] == found()


def test_an_act_of_money_judges_by_itself_and_the_close_finds_it_done(database_url: str) -> None:
    async def story() -> Holder:
        async with opened(database_url) as (ledger, day_close):
            card = await borrower(ledger)
            await go_to(ledger, DUE + timedelta(days=1))
            await ledger.repay(order(BANK), card.card_id, 1000, "bank-transfer", None)
            await day_close.close_days(order(OPERATOR), DUE)
            return card

    card = asyncio.run(story())
    assert topics(database_url, card.card_id).count("card.instalment-missed") == 1
    assert closed(database_url)[-1]["found"] == found()


def test_counts_and_totals_can_be_counted_again_from_the_log(database_url: str) -> None:
    async def story() -> list[Holder]:
        async with opened(database_url) as (ledger, day_close):
            cards = [await borrower(ledger, 10_000 * n) for n in (1, 2, 3)]
            await holder(ledger)  # owes nothing
            await close(ledger, day_close, DUE)
            return cards

    asyncio.run(story())
    told_of = closed(database_url)[-1]
    assert told_of["found"] == found(cards=3, instalments_missed=3, suspensions=3)
    by_causation = """
        select count(*) from ledger_events where topic = 'card.instalment-missed'
        and convert_from(state, 'UTF8')::jsonb->'cause'->>'causation_id' = %s"""
    assert rows(database_url, by_causation, causation_of(DUE)) == [3]
    position = told_of["books"]["position"]
    at_close = "select notification_id from ledger_events where topic = 'calendar.day-closed' order by 1 desc limit 1"
    assert rows(database_url, at_close) == [position + 1]
    assert told_of["books"] == {"position": position, "cards": 4, "principal": 60_000}


# Whatever happens meanwhile -------------------------------------------------------------------------------------------


def test_while_the_read_model_is_behind_no_day_is_closed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_module, "WAIT_SECONDS", 0.05)

    async def story() -> None:
        async with opened(database_url, projector=False) as (ledger, day_close):
            await borrower(ledger)
            await go_to(ledger, DUE + timedelta(days=1))
            assert await told(day_close.close_days(order(OPERATOR), DUE)) == "projection-behind"

    asyncio.run(story())
    assert closed(database_url) == []


def test_a_close_that_ended_after_its_last_card_is_counted_by_the_next_one(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def killed(*_: object) -> None:
        raise Killed

    async def story() -> None:
        async with opened(database_url) as (ledger, day_close):
            await borrower(ledger)
            await close(ledger, day_close, DUE - timedelta(days=1))
            await go_to(ledger, DUE + timedelta(days=3))
            with monkeypatch.context() as patch:
                patch.setattr(Calendar, "close_day", killed)
                with pytest.raises(Killed):
                    await day_close.close_days(order(OPERATOR), DUE)
            await day_close.close_days(order(OPERATOR), DUE + timedelta(days=2))

    asyncio.run(story())
    told = {each["day"]: each["found"] for each in closed(database_url)[-3:]}
    assert told == {
        "2023-02-06": found(cards=1, instalments_missed=1, suspensions=1),
        "2023-02-07": found(),
        "2023-02-08": found(),
    }


def test_two_who_close_the_same_days_leave_what_one_leaves(database_url: str) -> None:
    async def story() -> None:
        async with opened(database_url) as (ledger, day_close):
            for _ in range(5):
                await borrower(ledger)
            await go_to(ledger, date(2023, 4, 1))
            async with opened(database_url, projector=False) as (_, other):
                both = (day_close.close_days(order(OPERATOR), date(2023, 3, 31)) for day_close in (day_close, other))
                assert [answer.body for answer in await asyncio.gather(*both)] == [{"closed_through": "2023-03-31"}] * 2

    asyncio.run(story())
    days = [each["day"] for each in closed(database_url)]
    assert days == sorted(set(days))
    assert {each["day"]: each["found"]["instalments_missed"] for each in closed(database_url)}["2023-02-06"] == 5


def test_the_scheduler_closes_what_has_been_over_for_so_long_and_one_process_does_it(database_url: str) -> None:
    async def story() -> None:
        async with opened(database_url) as (ledger, day_close):
            await borrower(ledger)
            scheduler = Scheduler(day_close, ledger.pool, timedelta(hours=3))
            await go_to(ledger, DUE + timedelta(days=1), 2)
            await scheduler.look()
            assert closed(database_url)[-1]["day"] == "2023-02-05"
            await go_to(ledger, DUE + timedelta(days=1), 4)
            async with ledger.pool.connection() as other_process:
                await other_process.execute("select pg_advisory_lock(7010112203)")
                await scheduler.look()
                assert closed(database_url)[-1]["day"] == "2023-02-05"
                await other_process.execute("select pg_advisory_unlock(7010112203)")
            await scheduler.look()

    asyncio.run(story())
    assert closed(database_url)[-1]["day"] == "2023-02-06"
    query = "select distinct convert_from(state, 'UTF8')::jsonb->'cause'->>'actor' from ledger_events where topic = %s"
    assert rows(database_url, query, "calendar.day-closed") == ["scheduler"]
