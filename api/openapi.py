"""The OpenAPI 3.1 document, built from the table of operations and the models of bodies and answers.

What must stay true: nothing is told here that the table does not say; a route that is not in the table is not in the
document, and the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.answers import AnswerBody, Problem
from api.bodies import Body
from api.operation import Operation
from api.problems import catalogue, remedy_members, status_of
from api.reading import PAGING
from api.roles import ANONYMOUS, MATRIX
from ledger.refusals import REFUSALS

Json = dict[str, Any]
TEMPLATE = "#/components/schemas/{model}"
UUID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
TAGS = {
    "money": "Advances and repayments.",
    "reads": "Balance, passbook, lockout and explanation, each at a position of the log.",
    "sessions": "Logging in and out.",
    "members": "Members and their web login.",
    "cards": "Cards, PINs, suspensions and stops.",
    "limits": "Credit limits and what they rest on.",
    "public": "For anybody.",
    "audit": "The log and the books.",
    "operation": "The process and its read models.",
    "sandbox": "Only with `--sandbox`.",
}
DESCRIPTION = """
A ledger of revolving card loans: a member logs in, draws and repays; everyone reads the same facts.

* Money is whole yen as a JSON integer. `value_date` is the day interest uses, in Asia/Tokyo; `recorded_at` is UTC.
* Every POST that changes state takes an `Idempotency-Key`; the same request again is answered as before.
* A write answers `Ledger-Position`. A read waits up to a second for what was written through the same process;
  `Ledger-Min-Position` asks for more and `Prefer: wait=S` sets the time.
* Errors are RFC 9457 problems with a stable `code` and a `remedy`. `Accept-Language: ja` or `en` picks their words.
  `errors[].pointer` names a field of the body or a query parameter.
* Lists may gain fields, and lists of codes may gain codes.
"""
HEADERS: Json = {
    "Ledger-Position": {
        "description": "Position of the last event written, or the one an answer stands at; 0 is before the first.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Idempotent-Replayed": {
        "description": "The answer is the stored one of the first request.",
        "schema": {"type": "string", "const": "true"},
    },
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"description": "The scheme.", "schema": {"type": "string"}},
}
PARAMETERS: Json = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "Names this act; kept for ever with an answer 2xx, 90 days with a refusal.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "example": "8e03978e-40d5-43e8-bc93-6894a57f9324",
    },
    "AcceptLanguage": {
        "name": "Accept-Language",
        "in": "header",
        "description": "`ja` or `en` for titles, details and remedies.",
        "schema": {"type": "string"},
        "example": "ja",
    },
    "LedgerMinPosition": {
        "name": "Ledger-Min-Position",
        "in": "header",
        "description": "The answer shall stand at this position or a later one.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,15}$"},
        "example": "48213",
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=S`, 0 to 10 seconds.",
        "schema": {"type": "string"},
        "example": "wait=5",
    },
}


def document(rows: Sequence[Operation], version: str) -> Json:
    """The whole document."""
    paths: Json = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    used = {row.tag for row in rows}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Card Ledger",
            "version": version,
            "description": DESCRIPTION.strip(),
            "contact": {"name": "Card Ledger"},
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This process."}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items() if name in used],
        "paths": paths,
        "components": {
            "schemas": _schemas(rows),
            "headers": HEADERS,
            "parameters": PARAMETERS,
            "examples": {code: {"value": _example(code)} for code in sorted(REFUSALS)},
            "securitySchemes": {
                "memberSession": {"type": "http", "scheme": "bearer", "description": "Token of a member's session."},
                "roleToken": {"type": "http", "scheme": "bearer", "description": "Token of a subject in one role."},
            },
        },
    }


def _operation(row: Operation) -> Json:
    told: Json = {
        "operationId": row.operation_id,
        "summary": row.summary,
        "description": row.description or f"{row.summary}.",
        "tags": [row.tag],
        "parameters": list(_parameters(row)),
        "responses": {str(row.status): _success(row), **_problems(row)},
        "security": _security(row),
        "x-roles": {role: cell for role, cell in MATRIX[row.permission].items() if cell != "–"},
    }
    if row.body is not None:
        content = {"schema": _body_schema(row.body), "example": dict(row.body.example)}
        told["requestBody"] = {"required": True, "content": {"application/json": content}}
    return told


def _parameters(row: Operation) -> Iterable[Json]:
    for name in re.findall(r"{(\w+)}", row.path):
        schema = {"type": "string", "pattern": UUID_PATTERN}
        description = f"Id of the {name.removesuffix('_id').replace('_', ' ')}."
        yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}
    for parameter in row.query:
        yield {"name": parameter.name, "in": "query", "required": parameter.required,
               "description": parameter.description, "schema": dict(parameter.schema)}  # fmt: skip
    if row.takes_key:
        yield {**PARAMETERS["IdempotencyKey"], "required": False}
    waiting = ["LedgerMinPosition", "Prefer"] if row.reads else []
    names = ["IdempotencyKey"] * row.keyed + waiting + ["AcceptLanguage"]
    yield from ({"$ref": f"#/components/parameters/{name}"} for name in names)


def _security(row: Operation) -> list[Json]:
    if row.open:
        return []
    schemes: list[Json] = [{}] if row.public else []
    if "member" in row.roles:
        schemes.append({"memberSession": []})
    if row.roles - {"member", ANONYMOUS}:
        schemes.append({"roleToken": []})
    return schemes


def _success(row: Operation) -> Json:
    told: Json = {"description": f"{row.summary}: done.", "headers": _header_refs(row)}
    if row.status == 204:
        return told
    if row.answer is None:
        told["content"] = {media: {"schema": {"type": "string"}} for media in row.media}
        return told
    told["content"] = {media: {"schema": {"type": "string"}} for media in row.media[1:]}
    example = row.answer.example if issubclass(row.answer, AnswerBody) else {}
    told["content"][row.media[0]] = {"schema": _ref(row.answer), "example": example}
    return told


def _header_refs(row: Operation) -> Json:
    names = ["Ledger-Position"] + ["Idempotent-Replayed"] * (row.keyed or row.takes_key)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _problems(row: Operation) -> Json:
    by_status: dict[int, list[str]] = {}
    for code in codes(row):
        by_status.setdefault(status_of(code, row.at_login), []).append(code)
    return {str(status): _problem(status, found) for status, found in sorted(by_status.items())}


def codes(row: Operation) -> list[str]:
    """The codes of every refusal that the operation may answer."""
    return sorted({
        "header-repeated", "headers-too-large", "not-acceptable", "input-format", "system-error",
        "database-unavailable",
        *(("malformed-json", "duplicate-key", "body-too-large", "media-type", "request-timeout") if row.body else ()),
        *(("not-found",) if "{" in row.path else ()),
        *(() if row.open else ("unauthenticated", "session-ended", "role-not-permitted")),
        *(("idempotency-key-missing", "idempotency-key-reused", "idempotency-key-in-use")
          if row.keyed or row.takes_key else ()),
        *(("busy",) if row.method != "GET" else ()),
        *(("projection-behind",) if row.reads else ()),
        *(("cursor-invalid",) if PAGING[1] in row.query else ()),
        *row.refusals,
    })  # fmt: skip


def _problem(status: int, found: list[str]) -> Json:
    names = ["Ledger-Position"] * (status in (409, 422)) + ["Retry-After"] * (status in (429, 503))
    names += ["WWW-Authenticate"] * (status == 401)
    return {
        "description": ", ".join(f"`{code}`" for code in found) + ".",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            "application/problem+json": {
                "schema": _ref(Problem),
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in found},
            }
        },
    }


def _example(code: str) -> Json:
    told = next(entry for entry in catalogue() if entry["code"] == code)
    refusal = REFUSALS[code]
    example: Json = {
        "type": f"/problems/{code}",
        "title": told["en"]["title"],
        "status": told["status"],
        "detail": f"{told['en']['title']} {refusal.remedy.en}",
        "instance": "/requests/2f9c2f1e-6c1b-4a0e-9e70-4c1d1f6f0a51",
        "code": code,
        "remedy": remedy_members(refusal.remedy, "en"),
    }
    if code == "input-format":
        example["errors"] = [{"pointer": "/amount", "code": "range"}]
    if code == "credit-limit-exceeded":
        example["available_credit"] = 470_000
    return example


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": TEMPLATE.format(model=model.__name__)}


def _body_schema(body: type[Body]) -> Json:
    if not body.variants:
        return _ref(body)
    return {
        "oneOf": [_ref(each) for each in body.variants.values()],
        "discriminator": {
            "propertyName": body.discriminator,
            "mapping": {name: _ref(each)["$ref"] for name, each in body.variants.items()},
        },
    }


def _schemas(rows: Sequence[Operation]) -> Json:
    bodies = {each for row in rows if row.body for each in (row.body.variants.values() or (row.body,))}
    answers = {row.answer for row in rows if row.answer} | {Problem}
    models = sorted(bodies | answers, key=lambda model: model.__name__)
    _, told = models_json_schema([(model, "validation") for model in models], ref_template=TEMPLATE)
    schemas: Json = told["$defs"]
    return {name: _tidy(schema) for name, schema in sorted(schemas.items())}


def _tidy(schema: Any) -> Any:
    """Without the titles that repeat names, and without defaults that stand for an absent field."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    absent = schema.get("default", 0) in (None, "", 0, []) and schema.get("default") is not False
    dropped = {"title"} if isinstance(schema.get("title"), str) else set()
    return {
        name: _tidy(part)
        for name, part in schema.items()
        if name not in dropped and not (name == "default" and absent)
    }
