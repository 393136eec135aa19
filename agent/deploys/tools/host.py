"""The kind ``tool``: a program at an exact version, whose commands are links in /usr/local/bin.

A link is ours if it leads into the store. A place is ours if we have put a link there before, whatever is there now.
Anything else is somebody else's and stays.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from agent.deploys import questions as about
from agent.deploys.at_path import AtPath, look
from agent.deploys.correction import Correction, each_alone
from agent.deploys.kind import Kind, ResourceState
from agent.deploys.tools.install import PYTHONS, asset_for, bin_of, flaw, install, platform
from agent.deploys.tools.store import MARK, Active, ToolStore, damage, read_active, read_mark, write_active
from agent.deploys.writing import put_link, remove
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.domain.pins import Asset, ToolPin
from agent.domain.plan import WantedChange
from agent.domain.question import Question, QuestionKind
from agent.errors import Consequence, DeployError
from agent.system import safe_open


@dataclass(frozen=True, slots=True)
class _WrongLink:
    """A command whose link is not as it should be. ``target``: the path that it is to lead to; empty for a link that is
    to be removed. ``operation``: the change in a few words; if ``blocked``, the reason why nothing will be changed."""

    command: str
    target: str
    operation: str
    blocked: bool = False


class Tool(Kind):
    """State: the ``version`` that is linked, the ``commands`` with the thing in the place of each, and ``damage``, in
    words."""

    inert = True

    def __init__(self, store: ToolStore | None = None, machine: str = "") -> None:
        """``machine``: the platform as pins call it; by default this machine's."""
        self._store = store or ToolStore()
        self._machine = machine or platform()

    def look(self, name: str) -> Seen | None:
        active = read_active(self._store, name)
        places = _linked(self._store, name)
        if active is None and not places and not self._store.versions(name):
            return None
        commands = sorted({*places, *(active.commands if active else ())})
        version = active.version if active else ""
        folder = self._store.version(name, version)
        mark = read_mark(folder) if version else None
        return Seen(
            {
                "version": version,
                "commands": {command: _described(self._store, command) for command in commands},
                "damage": damage(folder, mark) if mark else "it is not whole",
            }
        )

    def corrections(self, arguments: Mapping[str, JSON], _root: Path = Path("/")) -> list[Correction]:
        """The correction of each tool that differs. A tool that has no pin for this platform is refused alone."""
        return each_alone({f"tool:{pin.name}": partial(self._correction, pin) for pin in _pins(arguments)})

    def questions(self, arguments: Mapping[str, JSON]) -> Iterator[Question]:
        """The questions that ``corrections`` rests on."""
        yield from about.at(self._store.commands)
        for place in PYTHONS:
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
        links = _wrong(self._store, pin.name, pin.version, commands)
        words = [self._installing(pin, asset, reason)] if reason else []
        return ", ".join([*words, *(link.operation for link in links)])

    def make(self, pin: ToolPin) -> None:
        """Install and link the tool as pinned. The links come last: the commands stay as they were until all else is in
        place. Raises DeployError, SourceError, ArchiveError for a thing that cannot be had, is not as pinned, or is in
        the way; OSError."""
        store = self._store
        asset = asset_for(pin, self._machine)
        _refuse_blocked(_wrong(store, pin.name, pin.version, dict.fromkeys(bin_of(pin, asset))))
        mark = read_mark(store.version(pin.name, pin.version))
        if mark is None or flaw(store, pin, asset, mark):
            mark = install(store, pin, asset)
        before = read_active(store, pin.name)
        _put_right(store, _wrong(store, pin.name, pin.version, mark.commands))
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
        _put_right(self._store, (_WrongLink(command, "", "") for command in _linked(self._store, entry.name)))
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
        _put_right(self._store, _wrong(self._store, entry.name, version, mark.commands))
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


def _wrong(store: ToolStore, name: str, version: str, targets: Mapping[str, str | None]) -> list[_WrongLink]:
    """The links that are wrong for this version of a tool, those of other commands included. ``targets``: the path of
    each command in the version's folder; None if that is not known yet. Changes nothing. Raises UnsafePath, OSError."""
    active = read_active(store, name)
    known = active.commands if active else []
    place = store.version(name, version)
    judged = [_judged(store, place, command, path, known=command in known) for command, path in targets.items()]
    strays = [
        _WrongLink(command, "", f"unlink {command}") for command in _linked(store, name) if command not in targets
    ]
    return [*filter(None, judged), *strays]


def _put_right(store: ToolStore, links: Iterable[_WrongLink]) -> None:
    """Put the links right, each in one step: whoever types a command meanwhile gets the old or the new. Raises
    DeployError, before it changes any, if one is blocked; UnsafePath, OSError."""
    links = list(links)
    _refuse_blocked(links)
    store.commands.mkdir(mode=0o755, parents=True, exist_ok=True)
    with safe_open.folder(None, f"{store.commands}", root_links=True) as parent:
        for link in links:
            if link.target:
                put_link(parent, link.command, link.target, backup=False)
            else:
                remove(parent, link.command, backup=False)


def _refuse_blocked(links: Iterable[_WrongLink]) -> None:
    """Raise DeployError if something that is not ours is in the way of a link."""
    for link in links:
        if link.blocked:
            raise DeployError(
                link.operation,
                hint="move it away, or leave the command out of `bin` in tools.yaml",
                consequence=Consequence.STALL,
            )


def _linked(store: ToolStore, name: str) -> dict[str, str]:
    """The targets of the commands that lead into any version of a tool, by command."""
    try:
        names = sorted(entry.name for entry in os.scandir(store.commands) if entry.is_symlink())
    except FileNotFoundError:
        return {}
    found = {command: _found(store, command).target or "" for command in names}
    return {command: target for command, target in found.items() if target.startswith(f"{store.tool(name)}/")}


def _described(store: ToolStore, command: str) -> str:
    """The thing in a command's place: the target of a link, else ``a file`` or ``nothing``."""
    found = _found(store, command)
    return found.target if found.target is not None else found.name


def _found(store: ToolStore, command: str) -> AtPath:
    try:
        with safe_open.folder(None, f"{store.commands}", root_links=True) as parent:
            return look(parent, command, read=False)
    except FileNotFoundError:
        return AtPath()


def _judged(store: ToolStore, place: Path, command: str, path: str | None, *, known: bool) -> _WrongLink | None:
    """The wrong link of a command; None if it is right. ``path``: the path in the version's folder ``place``; None if
    not known yet. ``known``: True if we have put a link there before."""
    found = _found(store, command)
    target = f"{place}/{path or ''}"
    if found.type == 0:
        return _WrongLink(command, target, f"link {command}")
    if found.target is not None and found.target.startswith(f"{store.tools}/"):
        if found.target == target or (path is None and found.target.startswith(target)):
            return None
        there = found.target.removeprefix(f"{store.tools}/").split("/")
        return _WrongLink(command, target, f"point {command} to {place.name} (was {' '.join(there[:2])})")
    if known and found.type in (stat.S_IFLNK, stat.S_IFREG):
        return _WrongLink(command, target, f"link {command} in place of {found.described}")
    return _WrongLink(command, target, f"{store.commands / command} is {found.name} that is not ours", blocked=True)


corrections, questions = Tool().corrections, Tool().questions
