"""The whole log decided again: its streams in shares, each by a process of its own, and what lies between two streams.

What must stay true: every stream is in exactly one share, so any number of processes finds what one does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from ledger.audit.fold import collect_seldom
from ledger.audit.recompute import ALL, Recomputed, Share, recompute
from ledger.audit.schemas import know_every_fact
from ledger.audit.web_logins import web_logins
from ledger.store.pages import Connection
from ledger.terms import TermsBook


async def recompute_all(
    connection: Connection, book: TermsBook, until: int, processes: int = 1, stream: UUID | None = None
) -> Recomputed:
    """Decide every act up to a position again, or those of one stream; findings in the order of the log."""
    if processes == 1 or stream is not None:
        done = await recompute(connection, book, until, ALL if stream is None else (stream, stream))
    else:
        done = await _in_processes(connection, book, until, processes)
    async for found in web_logins(connection, book, until):
        if stream in (None, found.subject):
            done.findings.append(found)
    done.findings.sort(key=lambda found: found.position or 0)
    return done


async def _in_processes(connection: Connection, book: TermsBook, until: int, processes: int) -> Recomputed:
    done, loop = Recomputed(), asyncio.get_running_loop()
    dsn = make_conninfo(connection.info.dsn, password=connection.info.password or None)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        parts = [loop.run_in_executor(pool, _recompute, dsn, book, until, share) for share in shares(processes)]
        for part in await asyncio.gather(*parts):
            done.add(part)
    return done


def shares(number: int) -> Iterator[Share]:
    """All ids in so many ranges of one size; ids of streams are random, so each holds about as many."""
    edges = [2**128 * each // number for each in range(number + 1)]
    for first, end in zip(edges, edges[1:], strict=False):
        yield UUID(int=first), UUID(int=end - 1)


def _recompute(dsn: str, book: TermsBook, until: int, share: Share) -> Recomputed:
    know_every_fact()
    collect_seldom()

    async def connected() -> Recomputed:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            return await recompute(connection, book, until, share)

    return asyncio.run(connected())
