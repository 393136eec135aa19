"""The kind ``tool``: looked at, removed and given back outside of any deploy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from agent.deploys.kind import Kind, State
from agent.deploys.tools.links import Wrong, described, linked, put_right, wrong
from agent.deploys.tools.store import Active, Store, damage, read_active, read_mark, write_active
from agent.domain.ownership import LedgerEntry, Seen
from agent.errors import DeployError


class Tools(Kind):
    """A tool's state: ``version`` that is linked, ``commands`` with what is in the place of each, and ``damage``."""

    calm = True

    def __init__(self, store: Store | None = None) -> None:
        self._store = store or Store()

    def look(self, name: str) -> Seen | None:
        active = read_active(self._store, name)
        places = linked(self._store, name)
        if active is None and not places and not self._store.versions(name):
            return None
        commands = sorted({*places, *(active.commands if active else ())})
        version = active.version if active else ""
        folder = self._store.version(name, version)
        mark = read_mark(folder) if version else None
        return Seen(
            {
                "version": version,
                "commands": {command: described(self._store, command) for command in commands},
                "damage": damage(folder, mark) if mark else "it is not whole",
            }
        )

    def changed(self, left: State, now: Seen) -> str:
        if now.state["version"] != left["version"]:
            return f"version {now.state['version'] or 'none'} is linked"
        there = cast("Mapping[str, str]", now.state["commands"])
        before = cast("Mapping[str, str]", left["commands"])
        own = set(map(self._tool_of, before.values()))
        for command in sorted({*there, *before}):
            place = there.get(command, "nothing")
            # Another tool may have the command now: that is no person's doing.
            if place != before.get(command) and self._tool_of(place) in {"", *own}:
                return f"{command} is {place} now"
        return f"{now.state['damage']}" if now.state["damage"] != left["damage"] else ""

    def _tool_of(self, target: str) -> str:
        """The name of the tool that a link leads into; empty for none of the store's."""
        tools = f"{self._store.tools}/"
        return target.removeprefix(tools).partition("/")[0] if target.startswith(tools) else ""

    def remove_one(self, entry: LedgerEntry, *, purge: bool) -> None:  # noqa: ARG002 - nothing of it is configuration
        """The links, then all versions."""
        put_right(self._store, (Wrong(command, "", "") for command in linked(self._store, entry.name)))
        self._store.take_away(self._store.tool(entry.name))

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:  # noqa: ARG002 - a tool has no image
        """Back to the version that was linked, which has to be on the host still: nothing else says what it was."""
        version = f"{(entry.before or {}).get('version', '')}"
        folder = self._store.version(entry.name, version)
        mark = read_mark(folder) if version else None
        if mark is None or damage(folder, mark):
            raise DeployError(
                f"{entry.name} {version or 'of before'} is not on this host any more",
                hint="pin that version again in lock.yaml and have a deploy want it",
            )
        put_right(self._store, wrong(self._store, entry.name, version, mark.commands))
        write_active(self._store, entry.name, Active(version, sorted(mark.commands)))
