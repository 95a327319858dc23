"""Where secrets are hashed: threads of their own, one hash at a time for each owner, and a bounded wait.

What must stay true: whoever finds no room is told so before anything was tested or counted.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar
from uuid import UUID, uuid4

from ledger.meters import HashMeters
from ledger.refusals import Busy
from ledger.store.credentials import CredentialVault

T = TypeVar("T")


class HashRoom:
    """One thread per two cores; `wait_seconds_max` bounds what a caller waits at the calibrated rate."""

    def __init__(self, vault: CredentialVault, *, wait_seconds_max: float = 0.4, threads: int | None = None) -> None:
        self.vault = vault
        self._threads = threads or max(1, (os.cpu_count() or 1) // 2)
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="hash")
        self._wait_max = wait_seconds_max
        self._inside = 0
        self._turns: dict[UUID, tuple[asyncio.Lock, int]] = {}
        self.seconds_per_hash = 0.05
        self.meters = HashMeters()

    def calibrate(self) -> float:
        """Time a few hashes; seconds per hash of a PIN."""
        self.vault.decoy("pin")
        began = time.perf_counter()
        for _ in range(3):
            self.vault.decoy("pin")
        self.seconds_per_hash = (time.perf_counter() - began) / 3
        return self.seconds_per_hash

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def turn(self, owner: UUID | None) -> AsyncIterator[None]:
        """The owner's turn: nobody else tests a secret of the same owner in this process meanwhile.

        Raises Busy when the wait would be too long; an unknown identifier (None) waits for nobody.
        """
        place, asked = owner or uuid4(), time.perf_counter()
        lock, waiting = self._turns.get(place, (asyncio.Lock(), 0))
        self._turns[place] = (lock, waiting + 1)
        try:
            try:
                await asyncio.wait_for(lock.acquire(), self._wait_max + self.seconds_per_hash)
            except TimeoutError:
                self.meters.busy += 1
                raise Busy(retry_after=1) from None
            self.meters.turn_seconds.add(time.perf_counter() - asked)
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, waiting = self._turns[place]
            if waiting == 1:
                del self._turns[place]
            else:
                self._turns[place] = (lock, waiting - 1)

    async def run(self, work: Callable[[], T]) -> T:
        """Do one hash's work on a thread; raises Busy when those before it would take too long."""
        if self._inside * self.seconds_per_hash / self._threads > self._wait_max:
            self.meters.busy += 1
            raise Busy(retry_after=1)
        self._inside += 1
        asked = time.perf_counter()
        try:
            began, done = await asyncio.get_running_loop().run_in_executor(
                self._executor, lambda: (time.perf_counter(), work())
            )
            self.meters.thread_seconds.add(began - asked)
            return done
        finally:
            self._inside -= 1
