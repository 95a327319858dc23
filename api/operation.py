"""One operation of the interface: what it takes, who may ask for it, and what answers.

What must stay true: routes, authorisation, the OpenAPI document and the generated tests all come from these rows, so
that none of them can say something else than the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel
from starlette.responses import Response

from api.bodies import Body
from api.exchange import Exchange, Reply
from api.roles import ANONYMOUS, MATRIX, PERMITTED
from ledger import forms
from ledger.forms import Judge
from ledger.instruction import Answer
from ledger.refusals import InputRefused

THE_LOG = "log"
"""What answers where no read model stands between: it is always as fresh as it gets, but it may not be far enough."""
Handler = Callable[[Exchange], Awaitable[Answer | Reply | Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryParameter:
    """One query parameter, judged like a field; `schema` tells it to clients."""

    name: str
    judge: Judge
    schema: Mapping[str, Any]
    description: str
    convert: Callable[[str], Any] = str
    default: Any = None
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row of the table of operations."""

    method: str
    path: str
    operation_id: str
    summary: str
    tag: str
    permission: str
    handler: Handler
    description: str = ""
    body: type[Body] | None = None
    query: tuple[QueryParameter, ...] = ()
    keyed: bool = False
    """Whether an Idempotency-Key is needed."""
    takes_key: bool = False
    """Whether one is honoured where it is sent: a PUT or PATCH can be repeated without, but not for nothing."""
    status: int = 200
    answer: type[BaseModel] | None = None
    refusals: tuple[str, ...] = ()
    narrow: Callable[[Exchange], None] | None = None
    """Refuses what the role may not do with this very body."""
    outage: str | None = None
    """The scope whose outage is told before the form of the fields."""
    at_login: bool = False
    reads: str | None = None
    """The read model that answers, or THE_LOG: the request waits until that one is fresh enough."""
    media: tuple[str, ...] = ("application/json",)
    defaults: Mapping[str, Any] = field(init=False)
    parameters: Mapping[str, QueryParameter] = field(init=False)
    roles: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "defaults", {parameter.name: parameter.default for parameter in self.query})
        object.__setattr__(self, "parameters", {parameter.name: parameter for parameter in self.query})
        object.__setattr__(self, "roles", PERMITTED[self.permission])

    @property
    def open(self) -> bool:
        """Whether nobody is asked who he is."""
        return MATRIX[self.permission]["member"] == "anyone"

    @property
    def public(self) -> bool:
        """Whether a caller without a token may ask for it."""
        return ANONYMOUS in self.roles

    def read_query(self, query_string: bytes) -> Mapping[str, Any]:
        """The query parameters by name; raises InputRefused for an unknown, repeated or malformed one."""
        if not query_string and not any(parameter.required for parameter in self.query):
            return self.defaults
        given = _pairs(query_string)
        errors = [*self._faults(given), *self._missing(given)]
        if errors:
            raise InputRefused(errors=errors)
        return {**self.defaults, **{name: self.parameters[name].convert(value) for name, value in given}}

    def _faults(self, given: list[tuple[str, str]]) -> list[dict[str, str]]:
        seen: set[str] = set()
        errors = []
        for name, value in given:
            if name not in self.parameters:
                errors.append({"pointer": "", "code": forms.UNKNOWN_FIELD})
            elif code := forms.FORMAT if name in seen else self.parameters[name].judge(value):
                errors.append({"pointer": f"/{name}", "code": code})
            seen.add(name)
        return errors

    def _missing(self, given: list[tuple[str, str]]) -> list[dict[str, str]]:
        names = {name for name, _ in given}
        wanted = (parameter.name for parameter in self.query if parameter.required)
        return [{"pointer": f"/{name}", "code": forms.REQUIRED} for name in wanted if name not in names]


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except (UnicodeDecodeError, ValueError):
        raise InputRefused(errors=[{"pointer": "", "code": forms.FORMAT}]) from None
