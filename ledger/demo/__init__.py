"""`cardledger demo`: the story of a card, told against a server that is started for it.

What must stay true: however this ends, by its end, Ctrl-C, SIGTERM or a closed terminal, what it started has ended too.
"""

from __future__ import annotations

import signal
import sys
from datetime import timedelta
from types import FrameType

import psycopg

from ledger.demo.client import Client
from ledger.demo.page import Page
from ledger.demo.server import Server
from ledger.demo.story import Story, StoryBroken
from ledger.settings import Settings
from ledger.store import location, tokens

TOKENS_LIVE = timedelta(hours=8)
INTERRUPTED = 128 + signal.SIGINT


def tell(settings: Settings) -> int:
    """Start the service, tell the story, leave it up for whoever sits at the terminal; the exit code."""
    embedded = settings.model_copy(update={"database_url": None})
    signal.signal(signal.SIGHUP, _hung_up)
    page = Page.on_terminal()
    told = False
    try:
        page.opening(embedded.data / embedded.place.name)
        with Server.started(embedded) as server:
            issued = issued_tokens(embedded)
            story = Story(Client(server.url, issued), page)
            story.tell()
            told = True
            stays = sys.stdin.isatty()
            page.closing(server.url, story.names, issued, stays=stays)
            if not stays or server.wait():
                return 0
        page.say(f"The service has ended by itself; {server.log} says why.")
    except StoryBroken as broken:
        page.say(f"The story breaks off: {broken}")
    except KeyboardInterrupt:
        page.say("Stopped; nothing runs on.")
        return 0 if told else INTERRUPTED
    return 1


def issued_tokens(settings: Settings) -> dict[str, str]:
    """A token for each role, as `cardledger token` issues them."""
    with location.opened(settings) as ready, psycopg.connect(ready.dsn) as connection:
        return {role: tokens.issue(connection, role, role, TOKENS_LIVE)[1] for role in tokens.ROLES}


def _hung_up(number: int, _: FrameType | None) -> None:
    """A closed terminal ends the demo like Ctrl-C does."""
    raise SystemExit(128 + number)
