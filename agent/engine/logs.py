"""Diffs and reasons of failures from pyinfra's log records: pyinfra gives them nowhere else."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections import deque
from dataclasses import dataclass

OUTPUT_LIMIT = 64 * 1024
"""The most characters of output, and of errors, that are kept of an operation: the last ones have the reason."""

DIFF_LIMIT = 256 * 1024
"""The most characters of a diff that are kept: the first ones. Nobody reads more, and the host stores it."""

_KEPT_RECORDS = 1000
_DIFF_LINE = "  %s"
_DIFF_TITLE = re.compile(r"Will (?:create|modify|replace lines in|remove lines in) (?P<path>.+)$", re.IGNORECASE)
_HOST_PREFIX = re.compile(r"^\[[^\]]*\]\s+(?:nested\s+)?")
_COUNTED = re.compile(r"^Error(?: \(.*?\))?: executed \d+ commands")


@dataclass(frozen=True, slots=True)
class Diff:
    """A unified diff of one file. ``private``: not every user of the host may read the file."""

    text: str
    private: bool


class LogCapture(logging.Handler):
    """A handler that collects the records of the logger ``pyinfra`` until it is cleared."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._path: str | None = None
        self._diff: list[str] = []
        self._complaints: deque[str] = deque(maxlen=_KEPT_RECORDS)

    def install(self) -> None:
        logger = logging.getLogger("pyinfra")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(self)

    def clear(self) -> None:
        self._path = None
        self._diff.clear()
        self._complaints.clear()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.levelno >= logging.WARNING:
            self._complaints.append(_HOST_PREFIX.sub("", message))
        elif record.msg == _DIFF_LINE:
            self._diff.append(_unified(message.removeprefix("  ")))
        elif title := _DIFF_TITLE.search(message):
            self._path = title["path"]

    @property
    def complaints(self) -> list[str]:
        """Warnings and errors, without the host's name and without the line that only counts commands."""
        return [text for text in self._complaints if text.strip() and not _COUNTED.match(text)]

    def diff(self) -> Diff | None:
        if self._path is None or not self._diff:
            return None
        text = "\n".join((f"--- {self._path}", f"+++ {self._path}", *self._diff))
        if len(text) > DIFF_LIMIT:
            text = text[: text.rindex("\n", 0, DIFF_LIMIT)] + "\n\\ and more"
        return Diff(text + "\n", private=not _world_readable(self._path))

    def binary_diff(self) -> Diff | None:
        """A line in place of the diff of a file that is no text; None where no file was named."""
        if self._path is None:
            return None
        return Diff(f"Binary files {self._path} differ\n", private=not _world_readable(self._path))


def tail(text: str) -> str:
    """The last ``OUTPUT_LIMIT`` characters."""
    return text[-OUTPUT_LIMIT:]


def _unified(line: str) -> str:
    # pyinfra puts a space between the sign and the line.
    return line if line.startswith("@@") else line[:1] + line[2:]


def _world_readable(path: str) -> bool:
    # A missing file has no mode, and pyinfra creates it with 0600: so it counts as private.
    try:
        status = os.stat(path)  # noqa: PTH116  # the path comes as text from a log line
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & stat.S_IROTH)
