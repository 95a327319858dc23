"""The role matrix: every operation for every role, asked over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stand_in import ATM_MEMBER, ENDED, OTHER_ID, StandIn, bearer, path_of, request_of, serving
from starlette.testclient import TestClient

from api.bodies import METHODS, STOP_REASONS
from api.operation import Operation
from api.operations import operations
from api.roles import ANONYMOUS, MATRIX, ROLES
from api.routes.money import METHODS_OF_ROLE

ROWS = operations(in_sandbox=True)
EVERY_CALLER = (*ROLES, ANONYMOUS)
CELLS = [(row, role) for row in ROWS for role in EVERY_CALLER]
OWN = [row for row in ROWS if "member" in row.roles and ("{card_id}" in row.path or "{member_id}" in row.path)]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[TestClient, StandIn]]:
    with serving() as both:
        yield both


@pytest.mark.parametrize(("row", "role"), CELLS, ids=[f"{row.operation_id}-{role}" for row, role in CELLS])
def test_only_the_roles_of_the_matrix_pass(served: tuple[TestClient, StandIn], row: Operation, role: str) -> None:
    asked = request_of(row, role)
    if row.operation_id == "takeRepayment":
        asked["json"] = {"amount": 1, "method": min(METHODS_OF_ROLE.get(role, {"internet"}))}

    answer = served[0].request(**asked)

    if role in row.roles:
        assert answer.status_code == row.status, answer.text
    elif role == ANONYMOUS:
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "role-not-permitted")


@pytest.mark.parametrize("row", OWN, ids=[row.operation_id for row in OWN])
def test_what_belongs_to_another_member_is_as_unknown_as_a_random_id(
    served: tuple[TestClient, StandIn], row: Operation
) -> None:
    asked = request_of(row, "member") | {"url": path_of(row, card_id=OTHER_ID, member_id=OTHER_ID)}

    answer = served[0].request(**asked)

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize("role", [role for role in ROLES if role in METHODS_OF_ROLE])
@pytest.mark.parametrize("method", METHODS)
def test_how_money_comes_in_follows_from_who_brings_it(
    served: tuple[TestClient, StandIn], role: str, method: str
) -> None:
    row = next(row for row in ROWS if row.operation_id == "takeRepayment")

    answer = served[0].request(**(request_of(row, role) | {"json": {"amount": 1, "method": method}}))

    assert answer.status_code == (201 if f"`{method}`" in MATRIX["take a repayment"][role] else 403)


@pytest.mark.parametrize("reason", STOP_REASONS)
@pytest.mark.parametrize("role", ["member", "counter", "call-centre", "credit"])
def test_only_the_credit_desk_stops_a_card_for_more_than_its_loss(
    served: tuple[TestClient, StandIn], role: str, reason: str
) -> None:
    row = next(row for row in ROWS if row.operation_id == "stopCard")

    answer = served[0].request(**(request_of(row, role) | {"json": {"reason": reason}}))

    assert answer.status_code == (201 if role == "credit" or reason in ("lost", "stolen") else 403)


def test_cash_is_drawn_only_in_a_session_that_an_atm_opened(served: tuple[TestClient, StandIn]) -> None:
    row = next(row for row in ROWS if row.operation_id == "drawAdvance")
    asked = request_of(row, "member") | {"json": {"amount": 1000, "purpose": "cash"}}

    on_the_web = served[0].request(**asked)
    at_an_atm = served[0].request(**asked | {"headers": {"Authorization": f"Bearer {ATM_MEMBER}",
                                                         "Idempotency-Key": "k-1"}})  # fmt: skip

    assert (on_the_web.status_code, on_the_web.json()["code"]) == (403, "channel-not-permitted")
    assert at_an_atm.status_code == 201


def test_an_ended_session_is_told_apart_from_a_token_that_never_was(served: tuple[TestClient, StandIn]) -> None:
    codes = [
        served[0].get("/v1/sessions", headers={"Authorization": f"Bearer {told}"}).json()["code"]
        for told in (ENDED, "ms_" + "x" * 32, "st_", "nobody", "ms_" + "x" * 9000)
    ]

    assert codes == ["session-ended", *["unauthenticated"] * 4]


def test_a_token_that_is_not_needed_is_not_judged(served: tuple[TestClient, StandIn]) -> None:
    answer = served[0].get("/v1/login-help", headers={"Authorization": f"Bearer {ENDED}"})

    assert answer.status_code == 200


@pytest.mark.parametrize("role", ["atm", "call-centre"])
def test_machines_and_telephones_read_the_lockout_by_codes_only(served: tuple[TestClient, StandIn], role: str) -> None:
    row = next(row for row in ROWS if row.operation_id == "readLockout")

    told = served[0].request(**request_of(row, role)).json()

    assert told["locks"] == [{"code": "card-locked"}]
    assert "pin_failures" not in told


def test_a_member_reads_the_lockout_without_credit_reasons(served: tuple[TestClient, StandIn]) -> None:
    row = next(row for row in ROWS if row.operation_id == "readLockout")

    assert served[0].request(**request_of(row, "member")).json()["discreet"] is True
    assert served[0].request(**request_of(row, "credit")).json()["discreet"] is False


def test_outside_a_sandbox_its_routes_do_not_exist() -> None:
    with serving(sandbox=False) as (client, _):
        answer = client.get("/v1/sandbox/clock", headers=bearer("operator"))

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
