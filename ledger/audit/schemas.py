"""JSON Schemas of the facts, one file for each type and version that was ever written.

What must stay true: a schema that is here never changes. A fact that gets other fields gets another version, with an
upcast from the one before, and its schema becomes a further file. `python -m ledger.audit.schemas` writes new files.
"""

from __future__ import annotations

import json
import pkgutil
from functools import cache
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import msgspec

from ledger import aggregates
from ledger.aggregates.fact import FACTS, Fact
from ledger.audit.events import SCHEMAS, type_outside

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DEFINED_HERE = "#/$defs/{name}"


def know_every_fact() -> None:
    """Import every module that declares facts: a topic is known once its module is."""
    for module in pkgutil.iter_modules(aggregates.__path__):
        import_module(f"{aggregates.__name__}.{module.name}")


def schema_of(fact: type[Fact]) -> dict[str, Any]:
    """The schema of the fields of a fact in its present version."""
    (root,), defined = msgspec.json.schema_components([fact], ref_template=_DEFINED_HERE)
    own = defined.pop(root["$ref"].rpartition("/")[2])
    schema = {"$schema": _DIALECT, "$id": SCHEMAS + type_outside(fact.topic, fact.schema_version), **own}
    bare: dict[str, Any] = _without_prose({**schema, "$defs": defined} if defined else schema)
    return {**bare, "title": type_outside(fact.topic, fact.schema_version)}


def _without_prose(part: Any) -> Any:
    """Names and docstrings of classes are no part of what is promised."""
    if isinstance(part, list | tuple):
        return [_without_prose(each) for each in part]
    if not isinstance(part, dict):
        return part
    prose = {name for name in ("title", "description") if isinstance(part.get(name), str)}
    return {name: _without_prose(each) for name, each in part.items() if name not in prose}


@cache
def published() -> dict[str, dict[str, Any]]:
    """Every schema that is served, by the type as it is told outside."""
    folder = resources.files("ledger.audit").joinpath("schemas.d")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return {file.name.removesuffix(".json"): json.loads(file.read_text("utf-8")) for file in files}


def publish_new(folder: Path) -> list[str]:
    """Write the schemas that have no file yet; returns their types."""
    know_every_fact()
    written = []
    for topic, fact in sorted(FACTS.items()):
        type_ = type_outside(topic, fact.schema_version)
        file = folder / f"{type_}.json"
        if not file.exists():
            file.write_text(json.dumps(schema_of(fact), indent=2, ensure_ascii=False) + "\n", "utf-8")
            written.append(type_)
    return written


if __name__ == "__main__":
    publish_new(Path(__file__).with_name("schemas.d"))
