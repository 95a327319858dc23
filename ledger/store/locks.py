"""Locks between processes, as `flock` on a file. A process that dies, however it dies, gives up its locks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FileLock:
    """A lock on one file: many hold it shared, or one holds it alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def share(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def try_alone(self) -> bool:
        """Take the lock alone if nobody else holds it. A share held before is lost when this fails."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody else holds the lock, and hold it alone."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def write(self, text: str) -> None:
        """Leave a note in the file for those who find it locked."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def read(self) -> str:
        return os.pread(self._descriptor, 4096, 0).decode(errors="replace")

    def close(self) -> None:
        """Give up the lock and the file."""
        os.close(self._descriptor)
