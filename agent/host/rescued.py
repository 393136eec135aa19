"""The event of a rebuilt environment, made from the mark that ``rescue.sh build`` leaves."""

from __future__ import annotations

from agent.domain.event import Event, EventKind
from agent.domain.text import printable
from agent.host.events import Events
from agent.host.paths import Paths
from agent.system.files import discard, read_bounded

_MARK_LIMIT = 100
"""Bytes of the mark, which is the version of a Python."""


def tell_of_rescue(paths: Paths, events: Events, now: int) -> None:
    """Add an event for the mark, if there is one, and remove the mark. Raises OSError."""
    mark = paths.rescued
    try:
        version = printable(read_bounded(mark, _MARK_LIMIT).decode(errors="replace").strip(), _MARK_LIMIT)
    except FileNotFoundError:
        return
    events.add(
        [Event(now, EventKind.RESCUED, f"the agent's Python was gone; its environment was built anew for {version}")]
    )
    discard(mark)
