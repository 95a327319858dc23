"""What is removed once it has served its time, and what is not: the sealed mails that nobody sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from ledgers import enrolled, order, rows, with_ledgers
from test_logins import WEB_ID, mailed_token, the_member, with_web_id

from ledger.application import Ledger
from ledger.store.housekeeping import sweep

BOXES = "select box is not null from outbox where kind = 'password-reset' order by written_at"


async def swept(dsn: str, **later: float) -> None:
    """So much later on the business clock, the tables are swept."""
    rows(dsn, "update log_head set clock_offset = clock_offset + %s", timedelta(**later))
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await sweep(connection)


def test_the_token_of_a_mail_that_nobody_sent_is_dropped_a_day_after_it_was_written(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await with_web_id(ledger)
        token = await mailed_token(ledger)
        await swept(database_url, hours=23)
        assert rows(database_url, BOXES) == [True]
        newest = (await ledger.outbox.newest())[0]
        assert newest["token"] == token
        await swept(database_url, hours=2)
        assert rows(database_url, BOXES) == [False]
        newest = (await ledger.outbox.newest())[0]
        assert set(newest) == {"mail_id", "member_id", "kind", "written_at"}

    with_ledgers(database_url, story)


def test_a_box_stays_while_a_token_of_its_member_lives(database_url: str) -> None:
    async def story(ledger: Ledger) -> None:
        await with_web_id(ledger)
        await mailed_token(ledger)
        rows(database_url, "update reset_tokens set expires = expires + interval '2 days'")
        await swept(database_url, hours=30)
        assert rows(database_url, BOXES) == [True]
        await ledger.set_web_credentials(order(), await the_member(ledger), WEB_ID, "a new horse battery", None)
        await swept(database_url)
        assert rows(database_url, BOXES) == [False]

    with_ledgers(database_url, story)


def test_a_mail_without_its_box_is_not_sent_and_a_notice_of_any_age_is(database_url: str) -> None:
    sent: list[dict[str, str]] = []

    async def story(ledger: Ledger) -> None:
        await with_web_id(ledger)
        await mailed_token(ledger)
        await swept(database_url, hours=30)
        while await ledger.outbox.send_some(sent.append):
            pass

    with_ledgers(database_url, story)
    assert [mail["subject"] for mail in sent] == ["お知らせ / Notice"]
    unsent = "select kind from outbox where sent_at is null"
    assert rows(database_url, unsent) == ["password-reset"]


def test_a_box_that_does_not_open_holds_up_no_other_mail(database_url: str) -> None:
    sent: list[Any] = []

    async def story(ledger: Ledger) -> None:
        await with_web_id(ledger)
        await mailed_token(ledger)
        rows(database_url, "update outbox set box = set_byte(box, 20, 255 - get_byte(box, 20)) where box is not null")
        other: UUID = await enrolled(ledger, email="other@example.com")
        await ledger.set_web_credentials(order(), other, "another.name", "correct horse battery", None)
        await ledger.outbox.send_some(sent.append)

    with_ledgers(database_url, story)
    assert [mail["to"] for mail in sent] == ["taro@example.com", "other@example.com"]
