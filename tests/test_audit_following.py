"""The stream of server-sent events: to whom it is given, from where, and when it ends."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from ledgers import rows
from serving import Client, served
from test_audit_streams import borrower, raw, service  # noqa: F401 - fixtures


@pytest.mark.parametrize(
    "accept", ["application/json, text/event-stream;q=0", "application/json, application/x-ndjson;q=0.0"]
)
def test_a_form_that_the_reader_rules_out_is_not_sent(service: Client, accept: str) -> None:  # noqa: F811
    with raw(service, "/v1/events", accept) as answer:
        assert answer.getheader("content-type") == "application/json"
        answer.read()


@pytest.mark.parametrize(
    ("accept", "sent"), [("Text/Event-Stream", "text/event-stream"), ("APPLICATION/X-NDJSON", "application/x-ndjson")]
)
def test_the_name_of_a_form_may_be_written_in_capitals(service: Client, accept: str, sent: str) -> None:  # noqa: F811
    with raw(service, "/v1/events?limit=1", accept) as answer:
        assert answer.getheader("content-type", "").startswith(sent)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_a_head_is_answered_without_beginning_the_stream(service: Client, accept: str) -> None:  # noqa: F811
    asked = {"Accept": accept, "Authorization": f"Bearer {service.token('auditor')}"}
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
        connection.request("HEAD", "/v1/events", headers=asked)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200


@pytest.mark.parametrize("named", ["abc", "-1", "3.0", "9" * 19, "9" * 5000, "\uff13"])
def test_a_stream_is_not_begun_anew_where_the_id_to_resume_after_names_none(service: Client, named: str) -> None:  # noqa: F811
    with raw(service, "/v1/events", "text/event-stream", Last_Event_ID=named.encode().decode("latin-1")) as answer:
        told = json.loads(answer.read())
    assert (answer.status, told["code"]) == (422, "input-format")
    assert [error["pointer"] for error in told["errors"]] == ["/Last-Event-ID"]


@pytest.mark.parametrize(
    "end",
    ["update role_tokens set revoked_at = now()", "update role_tokens set expires_at = issued_at"],
)
def test_a_stream_ends_with_the_token_that_began_it(empty_database_url: str, tmp_path: Path, end: str) -> None:
    with (
        served(empty_database_url, tmp_path, CARDLEDGER_HEARTBEAT_SECONDS="1") as client,
        raw(client, "/v1/events", "text/event-stream") as stream,
    ):
        assert stream.readline() == b"retry: 2000\n"
        rows(empty_database_url, end)
        assert stream.read().replace(b": still here\n\n", b"").strip() == b""
        assert client.get("/v1/events", "auditor").status == 401
