"""Requests made up from the OpenAPI document that the server tells, sent in every role: none finds a defect.

What must stay true: no answer is a 5xx other than 503, and its status, headers and body are those of the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import schemathesis
from conftest import NewDatabase
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from people import Person, by_card, logged_in, with_web_id
from schemathesis import Case
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi import checks
from serving import Client, served

from api.operation import Operation
from api.operations import operations
from api.roles import ROLES

EXAMPLES, MANY_EXAMPLES = 2, 300
CALLERS = (*ROLES, "anonymous")
WANTED = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
OF_TIME = ("setClock", "closeDays")
"""They move time for everybody, or work for as long as they are told to: not in a sandbox that others use."""
ROWS = [row for row in operations(in_sandbox=True) if row.operation_id not in OF_TIME]


@pytest.fixture(scope="module")
def server(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with new_database("fuzz") as dsn, served(dsn, tmp_path_factory.mktemp("fuzz")) as client:
        yield client


@pytest.fixture(scope="module")
def told(server: Client) -> BaseSchema:
    """The document as it is served."""
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")


@dataclass
class Victim:
    """Whom the requests are about; somebody else as soon as they have brought it about that he is not let in."""

    server: Client
    person: Person

    def headers(self, caller: str) -> dict[str, str]:
        if caller == "anonymous":
            return {}
        token = self.session() if caller == "member" else self.server.token(caller)
        return {"Authorization": f"Bearer {token}"}

    def session(self) -> str:
        opened = self.server.post("/v1/sessions", None, by_card(self.person.number))
        if opened.status != 201:
            self.person = with_web_id(self.server)
            return logged_in(self.server, by_card(self.person.number))
        return str(opened.body["token"])


def sent(case: Case, victim: Victim, caller: str, real_ids: bool) -> None:
    """Send the case in the role, about the victim where `real_ids`, and hold the answer against the document."""
    headers = victim.headers(caller)
    if real_ids and case.path_parameters:
        known = {"card_id": victim.person.card_id, "member_id": victim.person.member_id}
        case.path_parameters.update({name: each for name, each in known.items() if name in case.path_parameters})
    if case.headers and "Ledger-Min-Position" in case.headers:
        headers["Prefer"] = "wait=0"  # a position that will never come is not waited for
    answer = case.call(headers=headers, timeout=20)
    assert answer.status_code < 500 or answer.status_code == 503, (case.operation.label, answer.status_code)
    case.validate_response(answer, checks=WANTED)


def fuzz(server: Client, told: BaseSchema, row: Operation, examples: int) -> None:
    """Make up requests for the operation and send each in every role."""
    victim = Victim(server, with_web_id(server))

    @settings(max_examples=examples, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=told[row.path][row.method].as_strategy(), real_ids=st.booleans())
    def send_all(case: Case, real_ids: bool) -> None:
        for caller in CALLERS:
            sent(case, victim, caller, real_ids)

    send_all()


@pytest.mark.parametrize("row", ROWS, ids=[row.operation_id for row in ROWS])
def test_no_request_finds_a_defect(server: Client, told: BaseSchema, row: Operation) -> None:
    fuzz(server, told, row, EXAMPLES)


@pytest.mark.campaign
@pytest.mark.parametrize("row", ROWS, ids=[row.operation_id for row in ROWS])
def test_no_request_of_many_finds_a_defect(server: Client, told: BaseSchema, row: Operation) -> None:
    fuzz(server, told, row, MANY_EXAMPLES)
