"""Kernel settings for the ledger: owned is the line in our file, and with it the value that it gives the kernel.

A setting always has a value, so "was there before" is asked of the line. The value from before stands in the file
itself, as a comment on the line (``Line.was``), and so in what a cycle left.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from agent.deploys.kind import Kind, State, state_before
from agent.deploys.sysctl import keys
from agent.deploys.sysctl.host import Kernel
from agent.deploys.sysctl.keys import Line
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError


class KernelSettings(Kind):
    """``sysctl:``. A state is ``line`` (our file's value), ``optional``, ``was`` (the kernel's
    value before), ``value`` (the kernel's)."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel or Kernel()

    def look(self, name: str) -> Seen | None:
        line = self._kernel.lines().get(name)
        if line is None:
            return None
        value = self._kernel.value(name)
        return Seen({"line": line.value, "optional": line.optional, "was": line.was, "value": value})

    def changed(self, left: State, now: Seen) -> str:
        """Another value in the kernel alone is no reason to keep the line: it would not last anyway."""
        return "" if left.get("line") == now.state.get("line") else f"its line now says {now.state.get('line')}"

    def remove_one(self, entry: LedgerEntry, *, purge: bool) -> None:  # noqa: ARG002 - all of it goes
        """The line goes. The kernel gets the value that the next boot would give it by the other files, or else the
        one that it had before; where somebody has set another value since, that stays."""
        line = self._kernel.lines().get(entry.name)
        if line is None:
            return
        self._kernel.write(entry.name, None)
        said = keys.said_last(self._kernel.files(after_ours=False), entry.name)
        before = said[1] if said else line.was or _text(entry.left, "was")
        with suppress(OSError, DeployError):  # the line is gone: at the next boot at the latest it is as before
            if before is not None and self._kernel.value(entry.name) == line.value:
                self._kernel.set(entry.name, before)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:  # noqa: ARG002 - a line has no image
        before = state_before(entry)
        line, value = _text(before, "line"), _text(before, "value")
        if line is None:
            raise DeployError(f"{entry.key}: the ledger does not say what it was before")
        self._kernel.write(entry.name, Line(line, bool(before.get("optional")), _text(before, "was")))
        if value is not None:
            self._kernel.set(entry.name, value)


def _text(state: Mapping[str, JSON] | None, word: str) -> str | None:
    value = (state or {}).get(word)
    return value if isinstance(value, str) else None
