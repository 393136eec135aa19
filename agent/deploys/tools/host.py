"""The kind ``tool``: a program at an exact version, whose commands are linked."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import cast

from agent.deploys import questions as about
from agent.deploys.correction import Correction, each_alone
from agent.deploys.kind import Kind, ResourceState
from agent.deploys.tools import python
from agent.deploys.tools.install import asset_for, bin_of, flaw, install, platform
from agent.deploys.tools.links import WrongLink, described, linked, put_right, refuse_blocked, wrong
from agent.deploys.tools.store import MARK, Active, ToolStore, damage, read_active, read_mark, write_active
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.domain.pins import Asset, ToolPin
from agent.domain.plan import WantedChange
from agent.domain.question import Question, QuestionKind
from agent.errors import DeployError


class Tool(Kind):
    """State: the ``version`` that is linked, the ``commands`` with the thing in the place of each, and ``damage``, in
    words."""

    calm = True

    def __init__(self, store: ToolStore | None = None, machine: str = "") -> None:
        """``machine``: the platform as pins call it; by default this machine's."""
        self._store = store or ToolStore()
        self._machine = machine or platform()

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

    def corrections(self, arguments: Mapping[str, JSON], _root: Path = Path("/")) -> list[Correction]:
        """The correction of each tool that differs. A tool that has no pin for this platform is refused alone."""
        return each_alone({f"tool:{pin.name}": partial(self._correction, pin) for pin in _pins(arguments)})

    def questions(self, arguments: Mapping[str, JSON]) -> Iterator[Question]:
        """The questions that ``corrections`` rests on."""
        yield from about.at(self._store.commands)
        for place in python.PLACES:
            yield from about.through(place)
        for pin in _pins(arguments):
            folder = self._store.version(pin.name, pin.version)
            yield from about.at(self._store.active(pin.name))
            yield from about.at(folder / MARK)
            mark = read_mark(folder)
            for entry in mark.entries if mark else ():
                kind = QuestionKind.FOLDER if stat.S_ISDIR(entry.type) else QuestionKind.PATH
                yield Question(kind, f"{folder / entry.path}")

    def _correction(self, pin: ToolPin) -> Correction | None:
        operation = self.difference(pin)
        return Correction(WantedChange(f"tool:{pin.name}", operation), self.make, pin) if operation else None

    def difference(self, pin: ToolPin) -> str:
        """The steps that make the tool as pinned, in words; empty if it is so. Raises DeployError for a platform
        without a pin, UnsafePath and OSError where nobody may look."""
        asset = asset_for(pin, self._machine)
        mark = read_mark(self._store.version(pin.name, pin.version))
        reason = flaw(self._store, pin, asset, mark)
        commands = mark.commands if mark and not reason else dict.fromkeys(bin_of(pin, asset))
        links = wrong(self._store, pin.name, pin.version, commands)
        words = [self._installing(pin, asset, reason)] if reason else []
        return ", ".join([*words, *(link.operation for link in links)])

    def make(self, pin: ToolPin) -> None:
        """Install and link the tool as pinned. The links come last: the commands stay as they were until all else is in
        place. Raises DeployError, SourceError, ArchiveError for a thing that cannot be had, is not as pinned, or is in
        the way; OSError."""
        store = self._store
        asset = asset_for(pin, self._machine)
        refuse_blocked(wrong(store, pin.name, pin.version, dict.fromkeys(bin_of(pin, asset))))
        mark = read_mark(store.version(pin.name, pin.version))
        if mark is None or flaw(store, pin, asset, mark):
            mark = install(store, pin, asset)
        before = read_active(store, pin.name)
        put_right(store, wrong(store, pin.name, pin.version, mark.commands))
        write_active(store, pin.name, Active(pin.version, sorted(mark.commands)))
        if before is not None and before.version != pin.version:
            # The version before stays: going back to it needs no download.
            for version in set(store.versions(pin.name)) - {pin.version, before.version}:
                store.take_away(store.version(pin.name, version))

    def changed(self, left: ResourceState, now: Seen) -> str:
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

    def remove_one(self, entry: LedgerEntry) -> None:
        """Remove the links, then all versions."""
        put_right(self._store, (WrongLink(command, "", "") for command in linked(self._store, entry.name)))
        self._store.take_away(self._store.tool(entry.name))

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:  # noqa: ARG002 - a tool has no image
        """Link the version of before, which still has to be on the host: nothing else says what it was."""
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

    def _tool_of(self, target: str) -> str:
        """The name of the tool that a link leads into; empty for none of the store's."""
        tools = f"{self._store.tools}/"
        return target.removeprefix(tools).partition("/")[0] if target.startswith(tools) else ""

    def _installing(self, pin: ToolPin, asset: Asset | None, reason: str) -> str:
        if not self._store.version(pin.name, pin.version).exists():
            return f"install {pin.version}" + (f" ({_size(asset.size)} to download)" if asset else "")
        return f"install {pin.version} again: {reason}"


def _pins(arguments: Mapping[str, JSON]) -> list[ToolPin]:
    return from_plain(arguments["tools"], list[ToolPin])


def _size(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


corrections, questions = Tool().corrections, Tool().questions
