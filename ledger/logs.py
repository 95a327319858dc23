"""The log: one JSON line for each request, on standard error; in colours where a person is looking.

What must stay true: a line holds ids, codes and times. No body, no header, no query, no name, no exception text.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

NAMED_LEVELS = logging.getLevelNamesMapping()
_STAMP: Final = structlog.processors.TimeStamper(fmt="iso", utc=True)


def request_log(level: str = "info", stream: Any = None) -> FilteringBoundLogger:
    """The log that requests are told to; lines below `level` are dropped."""
    out = structlog.WriteLogger(stream or sys.stderr)
    log: FilteringBoundLogger = structlog.wrap_logger(out, **_manner(level, stream)).bind()  # once, not for each line
    return log


def configure(level: str = "info") -> None:
    """Let every other line of this process look the same: the lane's, the projector's, the sender's."""
    structlog.configure(logger_factory=lambda *_: structlog.WriteLogger(sys.stderr), **_manner(level, None))


def _manner(level: str, stream: Any) -> dict[str, Any]:
    watched = stream is None and sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if watched else _json_line
    return {
        "processors": [structlog.processors.add_log_level, _STAMP, renderer],
        "wrapper_class": structlog.make_filtering_bound_logger(NAMED_LEVELS[level.upper()]),
        "context_class": dict,
    }


def _json_line(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    return msgspec.json.encode(line).decode()
