"""The commands of a tool: links in /usr/local/bin compared with what they should be, and made so one by one.

A link is ours if it leads into the store. A place is ours if we have put a link there before, whatever is there now.
Anything else is somebody else's and stays.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.deploys.at_path import AtPath, look
from agent.deploys.tools.store import ToolStore, read_active
from agent.deploys.writing import put_link, remove
from agent.errors import Consequence, DeployError
from agent.system import safe_open


@dataclass(frozen=True, slots=True)
class WrongLink:
    """A command whose link is not as it should be. ``target``: the path that it is to lead to; empty for a link that is
    to be removed. ``operation``: the change in a few words; if ``blocked``, the reason why nothing will be changed."""

    command: str
    target: str
    operation: str
    blocked: bool = False


def wrong(store: ToolStore, name: str, version: str, targets: Mapping[str, str | None]) -> list[WrongLink]:
    """The links that are wrong for this version of a tool, those of other commands included. ``targets``: the path of
    each command in the version's folder; None if that is not known yet. Changes nothing. Raises UnsafePath, OSError."""
    active = read_active(store, name)
    known = active.commands if active else []
    place = store.version(name, version)
    judged = [_judged(store, place, command, path, known=command in known) for command, path in targets.items()]
    strays = [WrongLink(command, "", f"unlink {command}") for command in linked(store, name) if command not in targets]
    return [*filter(None, judged), *strays]


def put_right(store: ToolStore, links: Iterable[WrongLink]) -> None:
    """Put the links right, each in one step: whoever types a command meanwhile gets the old or the new. Raises
    DeployError, before it changes any, if one is blocked; UnsafePath, OSError."""
    links = list(links)
    refuse_blocked(links)
    store.commands.mkdir(mode=0o755, parents=True, exist_ok=True)
    with safe_open.folder(None, f"{store.commands}", root_links=True) as parent:
        for link in links:
            if link.target:
                put_link(parent, link.command, link.target, backup=False)
            else:
                remove(parent, link.command, backup=False)


def refuse_blocked(links: Iterable[WrongLink]) -> None:
    """Raise DeployError if something that is not ours is in the way of a link."""
    for link in links:
        if link.blocked:
            raise DeployError(
                link.operation,
                hint="move it away, or leave the command out of `bin` in tools.yaml",
                consequence=Consequence.STALL,
            )


def linked(store: ToolStore, name: str) -> dict[str, str]:
    """The targets of the commands that lead into any version of a tool, by command."""
    try:
        names = sorted(entry.name for entry in os.scandir(store.commands) if entry.is_symlink())
    except FileNotFoundError:
        return {}
    found = {command: _found(store, command).target or "" for command in names}
    return {command: target for command, target in found.items() if target.startswith(f"{store.tool(name)}/")}


def described(store: ToolStore, command: str) -> str:
    """The thing in a command's place: the target of a link, else ``a file`` or ``nothing``."""
    found = _found(store, command)
    return found.target if found.target is not None else found.name


def _found(store: ToolStore, command: str) -> AtPath:
    try:
        with safe_open.folder(None, f"{store.commands}", root_links=True) as parent:
            return look(parent, command, read=False)
    except FileNotFoundError:
        return AtPath()


def _judged(store: ToolStore, place: Path, command: str, path: str | None, *, known: bool) -> WrongLink | None:
    """The wrong link of a command; None if it is right. ``path``: the path in the version's folder ``place``; None if
    not known yet. ``known``: True if we have put a link there before."""
    found = _found(store, command)
    target = f"{place}/{path or ''}"
    if found.type == 0:
        return WrongLink(command, target, f"link {command}")
    if found.target is not None and found.target.startswith(f"{store.tools}/"):
        if found.target == target or (path is None and found.target.startswith(target)):
            return None
        there = found.target.removeprefix(f"{store.tools}/").split("/")
        return WrongLink(command, target, f"point {command} to {place.name} (was {' '.join(there[:2])})")
    if known and found.type in (stat.S_IFLNK, stat.S_IFREG):
        return WrongLink(command, target, f"link {command} in place of {found.described}")
    return WrongLink(command, target, f"{store.commands / command} is {found.name} that is not ours", blocked=True)
