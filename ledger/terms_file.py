"""Reading the file of terms: TOML tables into frozen dataclasses, strictly.

What must stay true: an unknown key, a missing one or a value of another type is a fault with a line; nothing is guessed
and nothing has a silent default.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

FindLine = Callable[[str, str], int]
"""The line of a key in a section ("" = none) of one version, or of the version's heading."""

NOT_IN_FILE = frozenset({"earlier"})


class TermsInvalid(ValueError):
    """The file of terms has a fault."""

    def __init__(self, name: str, line: int, reason: str) -> None:
        super().__init__(f"{name}, line {line}: {reason}")
        self.line, self.reason = line, reason


class _Fault(Exception):
    """A fault at a key, before its line is known."""

    def __init__(self, section: str, key: str, reason: str) -> None:
        self.section, self.key, self.reason = section, key, reason


def read_versions(content: bytes, name: str, version_type: type[T]) -> Iterator[tuple[T, FindLine]]:
    """Each version in the order of the file, over the keys of those before it, with its line finder."""
    document, lines = _parsed(content, name)
    versions = document.get("version")
    if set(document) != {"version"} or not isinstance(versions, list) or not versions:
        raise TermsInvalid(name, 1, "the file holds [[version]] tables and nothing else")
    inherited: dict[str, Any] = {}
    for index, table in enumerate(versions):
        find_line = _line_finder(lines, index)
        inherited = _over(inherited, table)
        try:
            yield _read(version_type, inherited, ""), find_line
        except _Fault as fault:
            raise TermsInvalid(name, find_line(fault.section, fault.key), fault.reason) from None


def _parsed(content: bytes, name: str) -> tuple[dict[str, Any], list[str]]:
    try:
        text = content.decode()
        return tomllib.loads(text), text.splitlines()
    except UnicodeDecodeError as error:
        raise TermsInvalid(name, content[: error.start].count(b"\n") + 1, "not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        last_line = content.count(b"\n") + 1
        raise TermsInvalid(name, int(line[1]) if line else last_line, str(error)) from None


def _over(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The old tables with the keys of the new ones put over them."""
    merged = dict(old)
    for key, value in new.items():
        merged[key] = _over(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def _line_finder(lines: list[str], index: int) -> FindLine:
    """Sections are headed `[version.NAME]` or `[[version.NAME]]`, keys start a line: the file is written for people."""
    headings = [number for number, line in enumerate(lines, 1) if re.match(r"\s*\[\[\s*version\s*\]\]", line)]
    start = headings[index]
    end = headings[index + 1] if index + 1 < len(headings) else len(lines) + 1

    def find_line(section: str, key: str) -> int:
        found, current = start, ""
        for number in range(start, end):
            heading = re.match(r"\s*\[{1,2}\s*version(?:\.(\w+))?\s*\]", lines[number - 1])
            if heading:
                current = heading[1] or ""
                found = number if current in (section, key) else found
            elif current == section and re.match(rf"\s*{re.escape(key)}\s*=", lines[number - 1]):
                return number
        return found

    return find_line


def _read(wanted: type[T], table: object, section: str, key: str = "") -> T:
    if not isinstance(table, dict):
        raise _Fault(section, key, f"{key or section} must be a table")
    hints = get_type_hints(wanted)
    known = {each.name: each for each in fields(wanted) if each.name not in NOT_IN_FILE}  # type: ignore[arg-type]
    for unknown in table.keys() - known.keys():
        raise _Fault(section, key or unknown, f"unknown key {unknown}")
    values: dict[str, Any] = {}
    for field_name, field in known.items():
        if field_name in table:
            values[field_name] = _value(hints[field_name], table[field_name], section, key or field_name, field_name)
        elif field.default is MISSING:
            raise _Fault(section, key or field_name, f"missing key {field_name}")
    return wanted(**values)


def _value(wanted: Any, value: Any, section: str, key: str, name: str) -> Any:
    """A value of the type that the dataclass asks for; `key` is the one that starts a line, `name` the field."""
    if is_dataclass(wanted):
        return _read(wanted, value, section or name, "" if not section else key)  # type: ignore[arg-type]
    if get_origin(wanted) is tuple:
        if not isinstance(value, list):
            raise _Fault(section, key, f"{name} must be a list")
        return tuple(_item(get_args(wanted)[0], each, section, key, name) for each in value)
    options = get_args(wanted) if isinstance(wanted, UnionType) else (wanted,)
    if type(value) not in options:  # not isinstance: a bool is no number and a datetime no date here
        raise _Fault(section, key, f"{name} must be {' or '.join(each.__name__ for each in options)}")
    return value


def _item(wanted: Any, value: Any, section: str, key: str, name: str) -> Any:
    if is_dataclass(wanted):
        return _read(wanted, value, section, key)  # type: ignore[arg-type]
    return _value(wanted, value, section, key, name)
