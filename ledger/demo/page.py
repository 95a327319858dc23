"""How the story looks: one sentence of what happens, then who asked what, and the telling part of what came back.

What must stay true: no PIN, password or card number is printed; colour only where a person looks at a terminal.
"""

from __future__ import annotations

import io
import json
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import typer

WIDTH = 100
MARGIN = " " * 22
SECRET = {"pin", "new_pin", "password", "card_number"}
REFUSED = 400


class Page:
    """Writes the story down, chapter by chapter."""

    def __init__(self, out: TextIO | None, *, coloured: bool = False) -> None:
        """`out=None` keeps quiet."""
        self._out = out
        self._coloured = coloured
        self._chapters = 0
        self._told: set[str] = set()

    @classmethod
    def on_terminal(cls) -> Page:
        """The standard output; what its encoding lacks is shown as a question mark."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        return cls(sys.stdout, coloured=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))

    def say(self, text: str = "") -> None:
        """One line as it is."""
        if self._out is not None:
            print(text, file=self._out, flush=True)  # noqa: T201 - this is where the demo prints

    def opening(self, place: Path) -> None:
        self.say(self._bright("Card Ledger: the life of a card, over real HTTP requests."))
        self.say(f"A PostgreSQL of its own and the service are starting, with their data in {place} …")

    def chapter(self, sentence: str) -> None:
        self._chapters += 1
        self.say()
        self.say(self._bright(textwrap.fill(sentence, WIDTH, initial_indent=f"{self._chapters:2}. ",
                                            subsequent_indent="    ")))  # fmt: skip

    def request(self, caller: str, method: str, path: str, body: Mapping[str, Any] | None) -> None:
        shown = f"{method} {path}" + (f" {_shown(body)}" if body else "")
        self.say(f"    {caller:<18}" + self._tinted(textwrap.shorten(shown, WIDTH - 22, placeholder=" …")))

    def reply(self, status: int, told: str) -> None:
        """The status and what is worth telling of the answer."""
        told = told.partition(": ")[0] + ", as before" if status >= REFUSED and told in self._told else told
        self._told.add(told)
        words = textwrap.fill(told, WIDTH - 22, break_on_hyphens=False).replace("\n", "\n" + MARGIN)
        colour = typer.colors.GREEN if status < REFUSED else typer.colors.YELLOW
        self.say(" " * 17 + self._styled(f"{status}", fg=colour) + f"  {words}")

    def rows(self, rows: Iterable[tuple[str, ...]], widths: tuple[int, ...]) -> None:
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
            self.say("    " + "  ".join((*cells, *row[len(widths) :])).rstrip())

    def closing(self, url: str, names: Mapping[str, str], tokens: Mapping[str, str], *, stays: bool) -> None:
        """Where the service is, what to try with which token, and how it ends."""
        of_roles = {role.upper().replace("-", "_"): token for role, token in tokens.items()}
        self.say()
        self.say(self._bright(f"The service is up at {url}, its documentation at {url}/docs"))
        self.say("Paste these lines into another terminal; the tokens live for eight hours:")
        self.say()
        for name, value in {"LEDGER": url, "MEMBER": names["MEMBER"], "CARD": names["CARD"], **of_roles}.items():
            self.say(f"  export {name}={value}")
        self.say()
        for line in SUGGESTIONS:
            self.say("  " + line)
        self.say()
        if stays:
            self.say(self._bright("Ctrl-C stops the service and its database. ") + AGAIN)
        else:
            self.say(f"There is no terminal to wait at, so the service stops now. {AGAIN}")

    def _bright(self, text: str) -> str:
        return self._styled(text, bold=True)

    def _tinted(self, text: str) -> str:
        return self._styled(text, fg=typer.colors.CYAN)

    def _styled(self, text: str, **style: Any) -> str:
        return typer.style(text, **style) if self._coloured else text


AGAIN = "A second run enrols another member in the\nsame ledger and goes on from where its clock stands."
SUGGESTIONS = (
    '''curl -s -H "Authorization: Bearer $AUDITOR" "$LEDGER/v1/cards/$CARD/balance"''',
    '''curl -s -H "Authorization: Bearer $CALL_CENTRE" "$LEDGER/v1/cards/$CARD/lockout"''',
    '''curl -s -H "Authorization: Bearer $AUDITOR" -H "Accept: application/x-ndjson" "$LEDGER/v1/events"''',
)


def _shown(body: Mapping[str, Any]) -> str:
    """The body as JSON, without what is secret."""
    return json.dumps({name: "…" if name in SECRET else value for name, value in body.items()}, ensure_ascii=False)
