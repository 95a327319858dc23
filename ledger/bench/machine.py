"""What this machine is and how it does: CPU seconds of process trees, and the time that its disk takes to sync.

What must stay true: a tree's CPU counts children that have ended, once their parent has collected them.
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ledger.faults import EnvironmentFault

PROC = Path("/proc")


def require_linux() -> None:
    """Raise EnvironmentFault where CPU seconds of other processes cannot be read."""
    if not (PROC / "self" / "stat").exists():
        raise EnvironmentFault("The bench reads /proc, and there is none.", "Run it on Linux.")


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    seconds: float


def cpu_seconds(root: int) -> float:
    """CPU seconds that a process and all its descendants have used, those that ended included."""
    processes = _processes()
    return sum(processes[number].seconds for number in _tree(root, processes) if number in processes)


def memory_mib(root: int, kind: str) -> float:
    """Memory of a process and all its descendants: `VmRSS`, or `RssAnon` for what they share with nobody."""
    return sum(_kibibytes(number, kind) for number in _tree(root, _processes())) / 1024


def _kibibytes(number: int, kind: str) -> int:
    found = [line for line in _lines(f"/proc/{number}/status") if line.startswith(kind + ":")]
    return int(found[0].split()[1]) if found else 0


def _tree(root: int, processes: dict[int, _Process]) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for number, process in processes.items():
        children.setdefault(process.parent, []).append(number)
    found = [root]
    for number in found:
        found += children.get(number, ())
    return found


def _processes() -> dict[int, _Process]:
    tick = os.sysconf("SC_CLK_TCK")
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            # utime, stime, and the same of collected children: fields 14 to 17 of proc(5).
            found[int(folder.name)] = _Process(int(fields[1]), sum(map(int, fields[11:15])) / tick)
    return found


def sync_milliseconds(folder: Path, seconds: float = 0.1) -> float:
    """The median time of an fdatasync of one 8 KiB page."""
    path = folder / "sync"
    times = []
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            os.pwrite(descriptor, os.urandom(8192), 0)
            before = time.perf_counter()
            os.fdatasync(descriptor)
            times.append((time.perf_counter() - before) * 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    return median(times)


def description() -> dict[str, Any]:
    """The machine as the table names it; no host name, no path."""
    models = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "model": models[0] if models else platform.machine(),
        "memory_gib": round(int(memory) / 2**20),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
