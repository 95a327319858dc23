"""Look-ups that share queries: keys that come while a query runs are asked for together by the next one.

One caller gets a plain query; sixty-four share one. No timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lookup(Generic[K, V]):
    """`fetch` is given distinct keys and answers those that it found."""

    def __init__(self, fetch: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, keys_max: int = 256) -> None:
        self._fetch = fetch
        self._keys_max = keys_max
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._running: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """The value of the key, or None; raises what the query raised."""
        future: asyncio.Future[V | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if self._running is None:
            self._running = asyncio.create_task(self._serve())
        return await future

    async def _serve(self) -> None:
        try:
            while self._waiting:
                keys = list(self._waiting)[: self._keys_max]
                asked = {key: self._waiting.pop(key) for key in keys}
                await self._answer(asked)
        finally:
            self._running = None

    async def _answer(self, asked: dict[K, list[asyncio.Future[V | None]]]) -> None:
        try:
            found = await self._fetch(list(asked))
        except Exception as error:  # noqa: BLE001  # whatever it was, each caller gets it and decides
            for future in (f for futures in asked.values() for f in futures if not f.done()):
                future.set_exception(error)
            return
        for key, futures in asked.items():
            for future in futures:
                if not future.done():
                    future.set_result(found.get(key))
