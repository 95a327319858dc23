"""The readers behind the routes: read models and replays as the plain JSON that clients get, each with its position.

What must stay true: nothing here decides or writes, and every amount that grows by the day is computed by the domain.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec

from api.ports import AsOf, Page
from ledger.aggregates.card import Card
from ledger.aggregates.limit_requests import LimitRequest
from ledger.aggregates.member import Member
from ledger.aggregates.web_login import WebLogin
from ledger.audit.events import instant
from ledger.audit.replay import Replay
from ledger.calendar import business_day
from ledger.instruction import Answer
from ledger.lockout import Lockout, lockout
from ledger.projections.balances import BalanceReader
from ledger.projections.freshness import Freshness
from ledger.projections.lockouts import LockoutReader, LockoutRow
from ledger.projections.transactions import TransactionReader
from ledger.refusals import NotFound, ProjectionBehind, ValueDateRefused
from ledger.store.directory import Directory
from ledger.terms import TermsBook

FORECAST_DAYS_MAX = 366


class CardReads:
    """Balance, settlement quote, lockout and transactions of a card."""

    def __init__(
        self,
        balances: BalanceReader,
        lockouts: LockoutReader,
        transactions: TransactionReader,
        replay: Replay,
        terms: TermsBook,
        freshness: Freshness,
    ) -> None:
        self._balances = balances
        self._lockouts = lockouts
        self._transactions = transactions
        self._replay = replay
        self._terms = terms
        self._freshness = freshness

    async def balance(self, card_id: UUID, value_date: date | None, as_of: AsOf) -> Answer:
        """The figures of a day: today, a day ahead as a forecast, or a day past as it is known at the position."""
        position, card, known_on = await self._card(card_id, as_of)
        day = value_date or known_on
        if day < card.account.issued_on or day > known_on + timedelta(days=FORECAST_DAYS_MAX):
            raise ValueDateRefused
        account = card.account
        if day < account.standing.day:
            # An earlier day is the account without the entries that came after it by value date.
            full = await self._replayed(card_id, position)
            account = full.account_on(day, self._terms.at(day))
        figures = account.figures(day, self._terms, card.borrowing_barred)
        return Answer(position, {**msgspec.to_builtins(figures), "position": position})

    async def settlement_quote(self, card_id: UUID, day: date | None) -> Answer:
        position, card, today = await self._card(card_id, None)
        on = day or today
        if on < max(today, card.account.standing.day) or on > today + timedelta(days=FORECAST_DAYS_MAX):
            raise ValueDateRefused
        quote = card.account.settlement_quote(on, self._terms)
        return Answer(position, {**msgspec.to_builtins(quote), "position": position})

    async def lockout(self, card_id: UUID, as_of: AsOf, *, discreet: bool, wait_seconds: float) -> Answer:
        """The view with `remedy` as a Remedy or None; `discreet` hides the credit reasons."""
        if as_of is None:
            row = await self._lockout_row(card_id, wait_seconds)
            if row.access is None:
                raise NotFound
            position, now, access, web = row.position, row.now, row.access, row.web
        else:
            position = await self._replay.position_of(as_of)
            card, now = await self._replayed(card_id, position), await self._replay.instant_of(as_of, position)
            member = await self._replay.aggregate(Member, card.member_id, position)
            access, web = card.access, member.web if member is not None else None
        terms = self._terms.at(business_day(now))
        view = lockout(access, web or WebLogin(), at=now, terms=terms, discreet=discreet)
        return Answer(position, {"card_id": str(card_id), **_lockout(view), "position": position})

    async def _lockout_row(self, card_id: UUID, wait_seconds: float) -> LockoutRow:
        """The row; the view is the member's too, so what was acknowledged on that stream is waited for as well."""
        row = await self._lockouts.read(card_id)
        if not wait_seconds or row.member_id is None:
            return row
        if row.position >= self._freshness.acknowledged_on(row.member_id):
            return row
        if not await self._freshness.reached("lockouts", row.member_id, None, wait_seconds):
            raise ProjectionBehind
        return await self._lockouts.read(card_id)

    async def transactions(
        self,
        card_id: UUID,
        *,
        kind: str | None,
        since: date | None,
        until: date | None,
        as_of: AsOf,
        after: str | None,
        limit: int,
    ) -> Page:
        """Newest first, without what was recorded after the position or the instant `as_of`."""
        before = None
        if after is not None:
            position, _, line = after.partition(".")
            before = (int(position), int(line))
        last = None
        if as_of is not None:
            await self._refuse_unknown(card_id)
            last = await self._replay.position_of(as_of)
        page = await self._transactions.page(
            card_id, before=before, as_of=last, kind=kind, since=since, until=until, limit=limit
        )
        if page.rows == b"[]":
            await self._refuse_unknown(card_id)
        if last is not None and page.position < last:
            raise ProjectionBehind
        following = f"{page.last[0]}.{page.last[1]}" if page.last is not None else None
        return Page(page.position if last is None else last, msgspec.Raw(page.rows), following)

    async def _refuse_unknown(self, card_id: UUID) -> None:
        if (await self._balances.read(card_id)).card is None:
            raise NotFound

    async def _card(self, card_id: UUID, as_of: AsOf) -> tuple[int, Card, date]:
        """The card with its position and the business day of the view."""
        if as_of is None:
            row = await self._balances.read(card_id)
            if row.card is None:
                raise NotFound
            return row.position, row.card, business_day(row.now)
        position = await self._replay.position_of(as_of)
        card, then = await self._replayed(card_id, position), await self._replay.instant_of(as_of, position)
        return position, card, business_day(then)

    async def _replayed(self, card_id: UUID, position: int) -> Card:
        card = await self._replay.aggregate(Card, card_id, position)
        if card is None:
            raise NotFound
        return card


def _lockout(view: Lockout) -> dict[str, Any]:
    return {
        "can_log_in": {"card": view.can_log_in_card, "web": view.can_log_in_web},
        "can_borrow": view.can_borrow,
        "can_repay": view.can_repay,
        "locks": [
            {
                "code": lock.code,
                "since": instant(lock.since),
                "released_by": lock.released_by,
                **({"id": str(lock.id)} if lock.id is not None else {}),
            }
            for lock in view.locks
        ],
        "pin_failures": view.pin_failures,
        "pin_failures_allowed": view.pin_failures_allowed,
        "web_failures": view.web_failures,
        "remedy": view.remedy,
    }


class MemberReads:
    """A member's profile as far as the caller may see it, cards and limit requests."""

    def __init__(self, directory: Directory, replay: Replay) -> None:
        self._directory = directory
        self._replay = replay

    async def member(self, member_id: UUID, role: str) -> Answer:
        """Personal facts for the member and for those who deal with the person; ids and dates alone for the others."""
        position, member = await self._member(member_id)
        body: dict[str, Any] = {
            "member_id": str(member_id),
            "enrolled_at": instant(member.enrolled_at) if member.enrolled_at else None,
            "web_statements": member.web_statements,
            "web_login": member.web.registered,
            "payout_account": member.has_payout_account,
        }
        if role in ("member", "counter"):
            personal = await self._directory.personal(member_id)
            facts = personal.facts if personal is not None else {}
            named = ("name", "kana", "birth_date", "email", "phone", "address", "workplace", "annual_income")
            body |= {name: facts[name] for name in named if name in facts}
        return Answer(position, body)

    async def cards(self, member_id: UUID, after: str | None, limit: int) -> Page:
        position, _ = await self._member(member_id)
        rows = [
            {"card_id": str(card_id), "state": "closed" if closed else "open"}
            for card_id, closed in await self._directory.cards(member_id)
        ]
        return _cut(position, rows, after, limit)

    async def limit_change_requests(self, member_id: UUID, after: str | None, limit: int) -> Page:
        """The requests, newest first."""
        position, member = await self._member(member_id)
        rows = [_request(request_id, request) for request_id, request in reversed(member.limit_requests.items())]
        return _cut(position, rows, after, limit)

    async def _member(self, member_id: UUID) -> tuple[int, Member]:
        position = await self._replay.head()
        member = await self._replay.aggregate(Member, member_id, position)
        if member is None:
            raise NotFound
        return position, member


def _request(request_id: UUID, request: LimitRequest) -> dict[str, Any]:
    row = {
        "request_id": str(request_id),
        "state": request.state,
        "requested_limit": request.requested_limit,
        "requested_at": instant(request.since),
    }
    return row if request.limit is None else {**row, "credit_limit": request.limit}


def _cut(position: int, rows: list[dict[str, Any]], after: str | None, limit: int) -> Page:
    begin = int(after or 0)
    page = Page(position, rows[begin : begin + limit])
    return replace(page, after=str(begin + limit)) if begin + limit < len(rows) else page
