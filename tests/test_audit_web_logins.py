"""Web logins decided again: what barred a right password, or did not, is the card's state as it stood then."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest
from ledgers import ATM, BOOK, PASSWORD, WRONG_PIN, holder, opened, order, rows, told

from ledger.audit.recompute import Recomputed
from ledger.audit.shares import recompute_all
from ledger.instruction import ANONYMOUS

WEB_ID = "hanako.yamada"
_POSITIONS = "select notification_id from ledger_events where topic = %s order by 1"
_BEND = (
    "update ledger_events set topic = %s, state = convert_to(jsonb_set(convert_from(state, 'UTF8')::jsonb, '{data}',"
)
_BEND += " %s::jsonb)::text, 'UTF8') where notification_id = %s"
_DATA = "select convert_from(state, 'UTF8')::jsonb->'data' from ledger_events where notification_id = %s"


def recomputed(dsn: str, stream: UUID | None = None) -> Recomputed:
    async def run() -> Recomputed:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            (head,) = rows(dsn, "select max(notification_id) from ledger_events")
            return await recompute_all(connection, BOOK, head, stream=stream)

    return asyncio.run(run())


@pytest.fixture
def logins(database_url: str) -> str:
    """Let in, locked out by three wrong PINs at a machine, let in by a member who has no card."""

    async def story() -> None:
        async with opened(database_url) as ledger:
            card = await holder(ledger)
            await ledger.set_web_credentials(order(), card.member_id, WEB_ID, PASSWORD, None)
            answers = [await told(ledger.log_in_by_web(order(ANONYMOUS), WEB_ID, PASSWORD))]
            for _ in range(3):
                await told(ledger.log_in_by_card(order(ATM), card.number, WRONG_PIN))
            answers.append(await told(ledger.log_in_by_web(order(ANONYMOUS), WEB_ID, PASSWORD)))
            assert answers == ["ok", "card-locked"]

    asyncio.run(story())
    return database_url


def bend(dsn: str, position: int, topic: str, data: dict[str, Any]) -> None:
    rows(dsn, "alter table ledger_events disable trigger ledger_events_append_only")
    rows(dsn, _BEND, topic, psycopg.types.json.Jsonb(data), position)


def test_a_login_that_the_card_barred_is_decided_again_like_any_other(logins: str) -> None:
    done = recomputed(logins)

    assert (done.findings, done.undecided) == ([], [])
    # What holds no decision at all: the terms, the member, and what was told of the Web-ID.
    assert done.facts == rows(logins, "select count(*) from ledger_events where topic ~ '(card|login|web)'")[0]


def test_a_login_that_was_let_in_while_the_card_was_locked_is_found(logins: str) -> None:
    (let_in,) = rows(logins, _POSITIONS, "member.login-succeeded")
    (refused,) = rows(logins, _POSITIONS, "member.login-refused")
    bend(logins, refused, "member.login-succeeded", rows(logins, _DATA, let_in)[0])

    (finding,) = recomputed(logins).findings

    assert (finding.what, finding.position) == ("web-login", refused)
    assert (finding.stored, finding.replayed) == (None, "card-locked")


@pytest.mark.parametrize(("at", "code", "said"), [(1, "card-stopped", "card-locked"), (0, "card-locked", None)])
def test_a_login_refused_for_a_state_that_the_card_was_not_in_is_found(
    logins: str, at: int, code: str, said: str | None
) -> None:
    attempt = {"attempt_id": "11111111-2222-4333-8444-555555555555", "code": code}
    position = (*rows(logins, _POSITIONS, "member.login-succeeded"), *rows(logins, _POSITIONS, "member.login-refused"))[
        at
    ]
    bend(logins, position, "member.login-refused", attempt)

    found = recomputed(logins).findings

    assert ("web-login", position, code, said) in [
        (each.what, each.position, each.stored, each.replayed) for each in found
    ]


def test_the_cards_part_of_a_login_is_asked_for_one_member_alone_too(logins: str) -> None:
    (refused,) = rows(logins, _POSITIONS, "member.login-refused")
    first = "select originator_id from ledger_events where topic = %s limit 1"
    member, card = (rows(logins, first, topic)[0] for topic in ("member.member-enrolled", "card.card-issued"))
    bend(logins, refused, "member.login-refused", {**rows(logins, _DATA, refused)[0], "code": "card-stopped"})

    assert [each.position for each in recomputed(logins, member).findings] == [refused]
    assert recomputed(logins, card).findings == []
