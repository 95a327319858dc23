"""What an act saw of its card and its member: the few folded values that refusals come from.

What must stay true: everything here follows from facts alone, never from the clock, so that the same facts are always
seen the same; and nothing of it is personal or secret.
"""

from __future__ import annotations

from typing import Any

from ledger.aggregates.card import Card
from ledger.aggregates.member import Member


def seen_of_card(card: Card) -> dict[str, Any]:
    """`available_credit` is 0 where anything bars borrowing, as the balance tells it; reasons are codes."""
    access, account = card.access, card.account
    return {
        "version": card.version,
        "available_credit": 0 if card.borrowing_barred else int(account.available),
        "credit_limit": int(account.credit_limit),
        "principal": int(account.principal),
        "locked": access.locked,
        "closed": access.closed,
        "stops": sorted(stop.reason for stop in access.stops.values()),
        "suspensions": sorted(suspension.reason for suspension in access.suspensions.values()),
    }


def seen_of_member(member: Member) -> dict[str, Any]:
    return {
        "version": member.version,
        "web_locked": member.web.locked,
        "payout_account": member.has_payout_account,
    }
