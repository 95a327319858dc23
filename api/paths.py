"""The quick way to a resource: its path is looked up by shape in one step, past the framework's layers and its router.

What must stay true: this finds what the router would find, or nothing; whatever it does not know goes the long way.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Scope

ID_LENGTH = 36
"""Of an id in its one spelling; no other part of a path in the table is as long."""


class Paths:
    """Resources by the shape of their paths: `/v1/cards/{}/repayments`."""

    def __init__(self, resources: Mapping[str, ASGIApp]) -> None:
        self._by_shape: dict[str, tuple[ASGIApp, tuple[str, ...]]] = {}
        for path, resource in resources.items():
            parts = path.split("/")
            assert all(len(part) != ID_LENGTH for part in parts), path
            names = tuple(part.strip("{}") for part in parts if part.startswith("{"))
            shape = "/".join("{}" if part.startswith("{") else part for part in parts)
            assert shape not in self._by_shape, f"{path} has the shape of another path"
            self._by_shape[shape] = resource, names

    def find(self, scope: Scope) -> ASGIApp | None:
        """The resource of the path, whose parameters are then in the scope; None for one that the router must judge."""
        parts = scope["path"].split("/")
        ids = [part for part in parts if len(part) == ID_LENGTH]
        found = self._by_shape.get("/".join(["{}" if len(part) == ID_LENGTH else part for part in parts]))
        if found is None or scope.get("root_path"):
            return None
        resource, names = found
        scope["path_params"] = dict(zip(names, ids, strict=True))
        return resource
