"""Where bugs are planted: the real classes and terms, changed for the time of one trial."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ledger.terms import TermsBook

MISSING = object()


@dataclass
class Soil:
    """Changes that are taken back in the end."""

    terms: TermsBook = field(default_factory=TermsBook.load)
    _undo: list[Callable[[], None]] = field(default_factory=list)

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Put something in the place of a class's or a module's own."""
        before = vars(owner).get(name, MISSING)
        setattr(owner, name, value)
        self._undo.append(lambda: delattr(owner, name) if before is MISSING else setattr(owner, name, before))

    def around(self, owner: Any, name: str, outside: Callable[..., Any]) -> None:
        """Put `outside(original, *given, **named)` around a method or function."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*given: Any, **named: Any) -> Any:
            return outside(original, *given, **named)

        self.put(owner, name, wrapped)

    def change(self, section: str | None, **values: Any) -> None:
        """Other terms, in every version."""
        versions = []
        for terms in self.terms.versions:
            changes = {section: replace(getattr(terms, section), **values)} if section else values
            versions.append(replace(terms, **changes, earlier=versions[-1] if versions else None))
        self.terms = TermsBook(tuple(versions), self.terms.digest)

    def restore(self) -> None:
        while self._undo:
            self._undo.pop()()


@dataclass(frozen=True)
class Bug:
    """What is wrong, in one line, and the life that meets it."""

    name: str
    says: str
    life: str
    plant: Callable[[Soil], None]


BUGS: dict[str, Bug] = {}


LIVES = {"lockout": "access", "access": "access", "account": "account", "schedule": "account"}
"""The life that meets the bugs of a module, where a bug does not say otherwise."""


def bug(says: str, life: str | None = None) -> Callable[[Callable[[Soil], None]], Callable[[Soil], None]]:
    """Name a planted bug after its function."""

    def register(plant: Callable[[Soil], None]) -> Callable[[Soil], None]:
        name = plant.__name__.replace("_", "-")
        assert name not in BUGS, name
        BUGS[name] = Bug(name, says, life or LIVES[plant.__module__.rpartition(".")[2]], plant)
        return plant

    return register


@contextmanager
def planted(found: Bug | None) -> Iterator[TermsBook]:
    """The terms to test with while the bug is planted; none for a healthy policy."""
    soil = Soil()
    try:
        if found is not None:
            found.plant(soil)
        yield soil.terms
    finally:
        soil.restore()
