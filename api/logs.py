"""The log: one JSON line for each request, on standard error; in colours where a person is looking.

What must stay true: a line holds ids, codes and times. No body, no header, no query, no name, no exception text.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

NAMED_LEVELS = logging.getLevelNamesMapping()


def request_log(level: str = "info", stream: Any = None) -> FilteringBoundLogger:
    """The log that requests are told to; lines below `level` are dropped."""
    out = stream or sys.stderr
    watched = stream is None and out.isatty()
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    renderer = structlog.dev.ConsoleRenderer() if watched else _json_line
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(out),
        processors=[structlog.processors.add_log_level, stamp, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(NAMED_LEVELS[level.upper()]),
        context_class=dict,
    )
    return log


def _json_line(_logger: WrappedLogger, _method: str, line: EventDict) -> str:
    return msgspec.json.encode(line).decode()
