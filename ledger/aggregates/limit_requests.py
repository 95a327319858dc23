"""Requests of a member for another credit limit, from the asking to the decision.

What must stay true: a request is decided once. The new limit itself is a fact of the card, not of the member.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from ledger import refusals
from ledger.aggregates.fact import Aggregate, Fact
from ledger.money import Yen
from ledger.terms import Terms

REQUESTED: Final = "requested"
APPROVED: Final = "approved"
DECLINED: Final = "declined"


@dataclass(frozen=True, slots=True)
class LimitRequest:
    """`state` is `requested`, `approved` or `declined`; `limit` is the limit given once it is approved."""

    requested_limit: Yen
    since: datetime
    state: str = REQUESTED
    limit: Yen | None = None


class LimitChangeRequested(Fact, topic="member.limit-change-requested"):
    request_id: UUID
    requested_limit: Yen

    def evolve(self, member: MemberLimitRequests, at: datetime) -> None:
        member.limit_requests[self.request_id] = LimitRequest(self.requested_limit, at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A rule that decided in place of a person, with everything that it looked at."""

    rule: str
    present_limit: Yen
    requested_limit: Yen
    terms_version: str


def policy_for(requested_limit: Yen, present_limit: Yen, terms: Terms) -> Policy | None:
    """The rule that grants a request without a person: a cut, where the terms say so. None: a person decides."""
    if not terms.limit.cuts_need_no_person or requested_limit >= present_limit:
        return None
    return Policy(
        rule="cut-on-wish",
        present_limit=present_limit,
        requested_limit=requested_limit,
        terms_version=terms.version,
    )


class LimitChangeApproved(Fact, topic="member.limit-change-approved"):
    """The reason given is sealed under `sealed_version`; `policy` is there where no person decided."""

    request_id: UUID
    limit: Yen
    sealed_version: int
    policy: Policy | None = None

    def evolve(self, member: MemberLimitRequests, at: datetime) -> None:
        request = member.limit_requests[self.request_id]
        member.limit_requests[self.request_id] = replace(request, state=APPROVED, limit=self.limit)


class LimitChangeDeclined(Fact, topic="member.limit-change-declined"):
    """The reason given is sealed under `sealed_version`."""

    request_id: UUID
    sealed_version: int

    def evolve(self, member: MemberLimitRequests, at: datetime) -> None:
        request = member.limit_requests[self.request_id]
        member.limit_requests[self.request_id] = replace(request, state=DECLINED)


class MemberLimitRequests(Aggregate):
    """The part of a member that asks for another credit limit."""

    limit_requests: dict[UUID, LimitRequest]

    def begin(self) -> None:
        self.limit_requests = {}

    def request_limit_change(self, requested_limit: Yen) -> UUID:
        """Ask for another limit; whether the amount is one the product has is found by `limits`."""
        request_id = self.new_id("limit-request")
        self.record(LimitChangeRequested(request_id=request_id, requested_limit=requested_limit))
        return request_id

    def approve_limit_change(
        self, request_id: UUID, limit: Yen | None = None, *, policy: Policy | None = None
    ) -> tuple[Yen, int]:
        """Approve, in full if no limit is named; returns the limit given and the version to seal the reason under."""
        request = self.open_limit_request(request_id)
        given, sealed_version = limit or request.requested_limit, self.version + 1
        self.record(
            LimitChangeApproved(request_id=request_id, limit=given, sealed_version=sealed_version, policy=policy)
        )
        return given, sealed_version

    def decline_limit_change(self, request_id: UUID) -> int:
        """Decline a request: the version to seal the reason under."""
        self.open_limit_request(request_id)
        sealed_version = self.version + 1
        self.record(LimitChangeDeclined(request_id=request_id, sealed_version=sealed_version))
        return sealed_version

    def open_limit_request(self, request_id: UUID) -> LimitRequest:
        """The request, if it can still be decided; raises NotFound or RequestNotOpen."""
        request = self.limit_requests.get(request_id)
        if request is None:
            raise refusals.NotFound
        if request.state != REQUESTED:
            raise refusals.RequestNotOpen
        return request
