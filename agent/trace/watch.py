"""When to ask the questions of a trace because something has stirred: soon, not at once, and not all the time.

The kernel tells that something has changed in a folder, which may hold much besides what was asked about. Asking again
costs milliseconds, so that is how it is found out. Who writes to such a folder all the time has it asked ever more
seldom, until that is as seldom as by the clock.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from selectors import EVENT_READ, BaseSelector

from agent.system.inotify import FolderWatch
from agent.trace.answers import unescaped

DEBOUNCE_S = 0.2
"""An editor writes a file in several steps."""

PATIENCE_S = 1.0
"""From one look that found nothing to the next; twice as long each time."""

FOLDERS_MOST = 4096
"""The kernel's default for all programs of a user is 8,192 or more (fs.inotify.max_user_watches)."""


def folders(lines: Iterable[bytes]) -> list[bytes]:
    """Return the folders in which the paths of a trace lie, each once, at most ``FOLDERS_MOST``."""
    found: dict[bytes, None] = {}
    for line in lines:
        kind, subject, _ = line.split(b"\t")
        if kind in (b"path", b"folder"):
            found[posixpath.dirname(unescaped(subject))] = None
    return list(found)[:FOLDERS_MOST]


class Watching:
    """Moments are seconds by a clock that nobody sets. ``longest_s``: seconds from one look to the next at most.

    ``selector`` tells of the first stir after each look, and of no other: whoever may write to a watched folder could
    keep the daemon awake else.
    """

    def __init__(self, longest_s: float, selector: BaseSelector) -> None:
        """Raises OSError where the kernel has no more to give."""
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
        """Something may have changed somewhere."""
        if self._stirred is None and self.kernel.drain():
            self._stirred = now
            self._selector.unregister(self)

    def wait_s(self, now: float) -> float | None:
        """Seconds until it is time to look; None while nothing has stirred."""
        if self._stirred is None:
            return None
        return max(0.0, self._stirred + DEBOUNCE_S - now, self._not_before - now)

    def look(self) -> None:
        """A look begins: it sees whatever has stirred by now."""
        if self._stirred is not None:
            self.kernel.drain()

    def looked(self, now: float, *, by_clock: bool) -> None:
        """Nothing that counts was found. ``by_clock``: the look came anyway."""
        quiet = by_clock and self._stirred is None
        longer = min(self._longest_s, max(PATIENCE_S, 2 * self._patience_s))
        self._patience_s = 0.0 if quiet else longer
        self._not_before = now + self._patience_s
        if self._stirred is not None:
            self._stirred = None
            self._selector.register(self, EVENT_READ)
