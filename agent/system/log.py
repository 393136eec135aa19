"""Log lines: a record becomes one line, escaped, so that it cannot control a terminal or feign another line."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from agent.domain.text import escaped
from agent.system.mask import masked


class LineFormatter(logging.Formatter):
    """The message on one line, escaped; the lines of a traceback are indented below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        return escaped(masked(super().formatMessage(record)))

    def formatException(  # noqa: N802 - the library's name
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return "\n".join(f"  {escaped(line)}" for line in masked(super().formatException(ei)).splitlines())


def log_to_stderr(level: int) -> None:
    """Have all loggers of this process write records of ``level`` and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler])
