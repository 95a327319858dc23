"""The OpenAPI document: complete, consistent with the table, and with examples that fit their schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from stand_in import serving

from api.openapi import codes, document
from api.operation import Operation
from api.operations import operations
from api.problems import status_of
from ledger.refusals import REFUSALS

ROWS = operations(in_sandbox=True)
DOCUMENT = document(ROWS, "1")
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
BODY_NAMES = {each.__name__ for row in ROWS if row.body for each in (row.body, *row.body.variants.values())} | {
    "PayoutAccount",
    "IdentityDocument",
}
PROPERTIES = {
    f"{name}.{field}": schema
    for name, whole in SCHEMAS.items()
    for field, schema in whole.get("properties", {}).items()
}


def told(row: Operation) -> dict[str, Any]:
    operation: dict[str, Any] = DOCUMENT["paths"][row.path][row.method.lower()]
    return operation


def faults_of(value: object, schema: dict[str, Any]) -> list[str]:
    whole = {**schema, "components": DOCUMENT["components"]}
    return [fault.message for fault in Draft202012Validator(whole).iter_errors(value)]


def every_part(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from every_part(part)


def by_row(test: Any) -> Any:
    return pytest.mark.parametrize("row", ROWS, ids=[row.operation_id for row in ROWS])(test)


@by_row
def test_an_operation_is_named_explained_and_guarded(row: Operation) -> None:
    operation = told(row)

    assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", operation["operationId"])
    assert operation["summary"]
    assert not operation["summary"].endswith(".")
    assert operation["description"].endswith(".")
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    assert bool(operation["security"]) != row.open


def test_no_operation_id_stands_twice() -> None:
    assert len({row.operation_id for row in ROWS}) == len(ROWS)


@by_row
def test_a_request_and_its_answer_have_examples_that_fit(row: Operation) -> None:
    operation = told(row)
    media = [operation["requestBody"]["content"]["application/json"]] if row.body else []
    answer = operation["responses"][str(row.status)].get("content", {}).get("application/json")
    media += [answer] if answer else []

    assert [faults_of(each["example"], each["schema"]) for each in media] == [[]] * len(media)


@by_row
def test_every_refusal_is_a_problem_with_an_example(row: Operation) -> None:
    responses = told(row)["responses"]

    for code in codes(row):
        content = responses[str(status_of(code, row.at_login))]["content"]
        assert content.keys() == {"application/problem+json"}
        assert code in content["application/problem+json"]["examples"]


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_the_example_of_a_problem_fits_its_schema(code: str) -> None:
    example = document(ROWS, "1")["components"]["examples"][code]["value"]

    assert faults_of(example, {"$ref": "#/components/schemas/Problem"}) == []


@by_row
def test_every_answer_tells_its_position(row: Operation) -> None:
    assert "Ledger-Position" in told(row)["responses"][str(row.status)]["headers"]


@by_row
def test_a_variable_of_the_path_is_described(row: Operation) -> None:
    named = {each["name"]: each for each in told(row)["parameters"] if each.get("in") == "path"}

    assert named.keys() == set(re.findall(r"{(\w+)}", row.path))
    assert all("pattern" in each["schema"] for each in named.values())


@pytest.mark.parametrize("schema", PROPERTIES.values(), ids=PROPERTIES.keys())
def test_every_field_is_described(schema: dict[str, Any]) -> None:
    telling = {"description", "examples", "$ref", "const"}

    assert telling & schema.keys() or any(telling & each.keys() for each in schema["anyOf"])


def test_every_list_has_an_end() -> None:
    lists = [part for part in every_part(SCHEMAS) if part.get("type") == "array"]

    assert all("maxItems" in part for part in lists)


@pytest.mark.parametrize("name", sorted(BODY_NAMES & SCHEMAS.keys()))
def test_a_request_takes_no_field_that_it_does_not_name(name: str) -> None:
    assert SCHEMAS[name]["additionalProperties"] is False


def test_every_reference_leads_somewhere() -> None:
    for part in every_part(DOCUMENT):
        if "$ref" in part:
            found: Any = DOCUMENT
            for step in part["$ref"].removeprefix("#/").split("/"):
                found = found[step]


def test_the_service_serves_the_document_that_the_table_makes() -> None:
    with serving() as (client, _):
        served = client.get("/openapi.json").json()

    assert served["paths"] == DOCUMENT["paths"]


def test_outside_a_sandbox_the_document_does_not_name_it() -> None:
    paths = document(operations(in_sandbox=False), "1")["paths"]

    assert not [path for path in paths if "sandbox" in path]


class Sources(HTMLParser):
    """Every address that a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_documents_load_nothing_from_elsewhere() -> None:
    with serving() as (client, _):
        page = client.get("/docs")
        sources = Sources()
        sources.feed(page.text)
        statuses = [client.get(address).status_code for address in sources.found if not address.startswith("data:")]

    assert statuses == [200, 200, 200]
    assert not [address for address in sources.found if "//" in address]
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_vendored_files_are_the_ones_that_were_named() -> None:
    from hashlib import sha256

    static = Path(__file__).parents[1] / "api" / "static"
    named = re.findall(r"\| `([\w.-]+)` \| .* \| `([0-9a-f]{64})` \|", (static / "VENDORED.md").read_text())

    assert len(named) == 2
    assert [sha256((static / name).read_bytes()).hexdigest() for name, _ in named] == [digest for _, digest in named]
