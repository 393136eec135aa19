"""The questions that looks at paths, accounts and units rest on. A deploy's ``questions`` puts them together.

They have to cover all that ``corrections`` reads. If they do not, the daemon misses drift until the next full plan;
tests/trace/test_soundness.py looks for that.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from agent.deploys.items import Item
from agent.deploys.kind import file_of
from agent.deploys.place import Base
from agent.domain.digest import JSON
from agent.domain.question import Question, QuestionKind, UnsignedError
from agent.system.files import read_bounded
from agent.trace.answers import subject_of
from agent.trace.way import targets, way

_ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf")


def path(name: str | Path) -> Question:
    return Question(QuestionKind.PATH, f"{name}")


def at(name: str | Path) -> Iterator[Question]:
    """Yield questions about the thing at a path, and the way to it."""
    yield from way(f"{name}")
    yield path(name)


def through(name: str | Path) -> Iterator[Question]:
    """Yield questions about the thing at a path and, if it is a link, about all that it leads to."""
    yield from at(name)
    yield from _led_to(f"{name}")


def below(name: str | Path) -> Iterator[Question]:
    """Yield questions about a path and all below it. Links are followed; folders behind them are not entered."""
    yield from through(name)
    for folder, folders, files in os.walk(name):
        for each in (*folders, *files):
            found = f"{folder}/{each}"
            yield path(found)
            yield from _led_to(found)


def _led_to(name: str) -> Iterator[Question]:
    """Yield questions about each path that the link ``name`` leads to, one link after another, and the ways there; none
    if it is no link."""
    if found := list(targets(name)):
        yield from way(f"{name}/.")
        yield from map(path, found)


def of_accounts(names: Collection[str] = ()) -> Iterator[Question]:
    """Yield questions about the files of accounts. Raises UnsignedError if one of ``names`` comes from a directory
    service, which is in no file."""
    yield from map(path, _ACCOUNTS)
    local = _names("/etc/passwd")
    for name in names:
        with suppress(KeyError):
            if name not in local and pwd.getpwnam(name):
                raise UnsignedError(f"the account {name} comes from a directory service")


def of_items(items: Iterable[Item]) -> Iterator[Question]:
    """Yield questions about the things at the paths of ``items``, and about their owners. Raises DeployError for the
    home of a user who does not exist, UnsignedError for a user whom no file names."""
    items = list(items)
    homes = {item.home for item in items if item.home}
    yield from of_accounts({*homes, *(item.owner for item in items if not item.owner.isdecimal())})
    below = {home: f"{Base.of(home).path}/" for home in homes}
    ways: set[str] = set()
    passed: dict[str, str] = {}
    for item in items:
        name = f"{below.get(item.home, '')}{item.path}"
        parent = f"{name}/" if item.is_directory and not item.absent else name
        folder = parent.rpartition("/")[0]
        if folder not in ways:
            ways.add(folder)
            yield from way(f"{folder}/.", passed)
        if parent == name:
            yield path(name)


def items_behind(items: JSON, changed: Iterable[bytes], wanted: Iterable[str]) -> JSON | None:
    """The ``items`` of the system, as they stand in arguments, that the ``changed`` questions of ``of_items`` are
    about, and those with a key of ``wanted``. None if the change may concern any item: a folder on the way, an
    account."""
    written = cast("Sequence[Mapping[str, JSON]]", items)
    paths = {subject_of(line) if line.startswith(b"path\t") else "" for line in changed}
    paths |= {(file_of(key) or key).partition(":")[2] for key in wanted}
    known = {item["path"] for item in written}
    if not paths <= known.difference(_ACCOUNTS):
        return None
    return [item for item in written if item["path"] in paths]


def of_units(names: Iterable[str]) -> Iterator[Question]:
    """Yield questions about units as systemd has loaded them. systemd loads no templates: ask ``at`` their files."""
    return (Question(QuestionKind.UNIT, name) for name in names)


def _names(file: str) -> frozenset[str]:
    try:
        return frozenset(line.partition(":")[0] for line in read_bounded(file).decode(errors="replace").splitlines())
    except OSError:
        return frozenset()
