"""The embedded PostgreSQL: a server of our own in a data folder, shared by all of our processes that use the folder.

What must stay true: however many processes use one folder, one server runs on it, and the last of them to leave stops
it. `gate.lock` is held while the server is started or stopped; `users.lock` is shared by everyone who uses it. The
kernel gives both up when a process dies. A server whose users were all killed runs on and serves whoever comes next.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from ledger.faults import EnvironmentFault
from ledger.store.cluster import PORT, USER, Cluster
from ledger.store.locks import FileLock

LONGEST_SOCKET_FOLDER = 85
"""Bytes. The kernels take paths of 103 (macOS) or 107 (Linux) bytes, and PostgreSQL appends the name of the socket."""


class EmbeddedPostgres:
    """One use of the server of a folder; starting it attaches to the server that runs already."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder.expanduser().absolute()
        self._durable = durable
        self._use: ExitStack | None = None
        self._dsn = ""

    @classmethod
    def at(cls, folder: Path, *, durable: bool = True) -> Self:
        """The server of `folder`, for a `with` statement. `durable=False`: a power cut may lose everything."""
        return cls(folder, durable=durable)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """The connection URL; it holds no secret."""
        assert self._use is not None, "the server is not started"
        return self._dsn

    def start(self) -> None:
        """Start the server, or attach to the one that runs. Raises EnvironmentFault."""
        assert self._use is None, "already started"
        with ExitStack() as use:
            gate, users = self._locks(use)
            with gate.alone(), _signals_deferred():
                socket_folder = use.enter_context(_short_path(self.folder / "postgres"))
                cluster = Cluster(self.folder, durable=self._durable)
                use.callback(_leave, gate, users, cluster)
                users.share()
                cluster.ensure_running(socket_folder)
            self._dsn = f"postgresql://{USER}@/postgres?host={quote(str(socket_folder), safe='')}&port={PORT}"
            self._use = use.pop_all()

    def stop(self) -> None:
        """Leave the server; the last user to leave stops it. Leaving twice is fine."""
        if self._use is not None:
            use, self._use = self._use, None
            use.close()

    def _locks(self, use: ExitStack) -> tuple[FileLock, FileLock]:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            gate, users = (FileLock(self.folder / name) for name in ("gate.lock", "users.lock"))
        except OSError as error:
            raise EnvironmentFault(
                f"The data folder {self.folder} cannot be used ({error.strerror}).",
                "Give another folder with --data, or one that this user may write to.",
            ) from error
        use.callback(gate.close)
        use.callback(users.close)
        return gate, users


def _leave(gate: FileLock, users: FileLock, cluster: Cluster) -> None:
    """Give up the share. Nobody can come while the gate is held, so who finds no other share is the last."""
    with gate.alone(), _signals_deferred():
        if users.try_alone():
            cluster.stop()
        users.release()


@contextmanager
def _short_path(folder: Path) -> Iterator[Path]:
    """The folder itself, or a link to it where its path is too long for a socket."""
    if len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER:
        yield folder
        return
    parent = next((p for p in (tempfile.gettempdir(), "/tmp") if len(p) < LONGEST_SOCKET_FOLDER - 30), None)  # noqa: S108
    with tempfile.TemporaryDirectory(prefix="cardledger-", dir=parent) as private:
        link = Path(private, "db")
        link.symlink_to(folder)
        yield link


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until a server is wholly started or wholly stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _: waiting.append(number)) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
        for caught in waiting:
            signal.raise_signal(caught)
