"""Stopping: what waits for the process must hear of the signal before the server starts to wait for it.

What must stay true: a server drains requests before it ends the lifespan, so an open stream would hold it up. The
signal itself must set the event that streams watch. A worker does not outlive the process that supervises it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def told_of_signals(stopping: asyncio.Event) -> Iterator[None]:
    """Set `stopping` on SIGTERM and SIGINT, and then do what the server would have done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def heard(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.set)
        _pass_on(before[signal.Signals(number)], number, frame)

    for number in before:
        signal.signal(number, heard)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ended_with_the_supervisor() -> Iterator[None]:
    """Stop as on SIGTERM when the process that started this worker is gone, killed without a word to its children.

    Orphans would go on serving, and hold the port against the next start.
    """
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def gone() -> None:
        loop.remove_reader(supervisor.sentinel)
        signal.raise_signal(signal.SIGTERM)

    loop.add_reader(supervisor.sentinel, gone)
    try:
        yield
    finally:
        loop.remove_reader(supervisor.sentinel)


def _pass_on(handler: Any, number: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
    elif handler == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
