"""The moment to look at the questions of a trace because something has stirred: soon, not at once, and not always.

The kernel reports a change in a folder, which may hold more than the trace asks about. A look costs milliseconds, so
the daemon looks to find out. Where somebody writes to such a folder all the time, each look that finds nothing doubles
the wait for the next one, until the daemon looks as seldom as by the clock.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from selectors import EVENT_READ, BaseSelector

from agent.system.inotify import FolderWatch
from agent.trace.answers import unescaped

DEBOUNCE_S = 0.2
"""Seconds from a stir to the look: an editor writes a file in several steps."""

PATIENCE_S = 1.0
"""Seconds from a first look that found nothing to the next one; they double with each such look."""

FOLDERS_MOST = 4096
"""The most folders that are watched. The kernel's default for all programs of a user is 8,192 or more
(fs.inotify.max_user_watches)."""


def folders(lines: Iterable[bytes]) -> list[bytes]:
    """Return the folders that hold the paths of a trace, each once, at most ``FOLDERS_MOST``."""
    found: dict[bytes, None] = {}
    for line in lines:
        kind, subject, _ = line.split(b"\t")
        if kind in (b"path", b"folder"):
            found[posixpath.dirname(unescaped(subject))] = None
    return list(found)[:FOLDERS_MOST]


class Watching:
    """A watch on folders that says when to look. Moments are seconds of a monotonic clock. ``longest_s``: the most
    seconds from one look to the next.

    ``selector`` reports the first stir after each look, and no other: otherwise anybody who may write to a watched
    folder could keep the daemon awake.
    """

    def __init__(self, longest_s: float, selector: BaseSelector) -> None:
        """Begin to watch. Raises OSError where the kernel has no inotify instance left."""
        self.kernel = FolderWatch()
        self._longest_s = longest_s
        self._selector = selector
        self._patience_s = 0.0
        self._not_before = 0.0
        self._stirred: float | None = None
        selector.register(self, EVENT_READ)

    def fileno(self) -> int:
        return self.kernel.fileno()

    def close(self) -> None:
        if self._stirred is None:
            self._selector.unregister(self)
        self.kernel.close()

    def stir(self, now: float) -> None:
        """Note that something may have changed in a watched folder."""
        if self._stirred is None and self.kernel.drain():
            self._stirred = now
            self._selector.unregister(self)

    def wait_s(self, now: float) -> float | None:
        """Seconds until it is time to look; None while nothing has stirred."""
        if self._stirred is None:
            return None
        return max(0.0, self._stirred + DEBOUNCE_S - now, self._not_before - now)

    def look(self) -> None:
        """Note that a look begins. It covers all that has stirred by now."""
        if self._stirred is not None:
            self.kernel.drain()

    def looked(self, now: float, *, by_clock: bool) -> None:
        """Note that the look found nothing. ``by_clock``: True where it was due without a stir."""
        quiet = by_clock and self._stirred is None
        longer = min(self._longest_s, max(PATIENCE_S, 2 * self._patience_s))
        self._patience_s = 0.0 if quiet else longer
        self._not_before = now + self._patience_s
        if self._stirred is not None:
            self._stirred = None
            self._selector.register(self, EVENT_READ)
