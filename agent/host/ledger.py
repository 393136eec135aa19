"""The ledger: what the agent created or adopted on the host, and what was there before.

An entry is written, durably, before the first change of a resource, once: later changes do not touch it. For a
regular file of at most 1 MiB it keeps a before-image. Entries are files named by the digest of the resource's key;
nothing in here is named by what an inventory says.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import stat
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from agent.system.descent import SYSTEM, Base, Refused, folder
from agent.system.files import make_private_folder, read_bounded, write_atomic

IMAGE_LIMIT = 1024 * 1024
"""Bytes of a before-image; configuration is smaller, and /var is not a backup medium."""

PATH_KINDS = frozenset({"file", "link", "directory", "block", "line"})
"""Kinds of resources that lie at a path."""

TOUCHED_FILES = {"unit": "etc/systemd/system/{name}", "user": ".ssh/authorized_keys"}
"""Kinds that are no files and may write over one that somebody else wrote. Of these only what was there is kept: that
nothing was says nothing about the unit or the account."""


class Origin(StrEnum):
    CREATED = "created"
    ADOPTED = "adopted"
    """It was there before the agent first changed it."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """``before`` describes what stood at the path: its type, mode, uid, gid, link target or image's sha256; ``unseen``
    says why nobody could look."""

    key: str
    deploy: str
    at: int
    origin: Origin
    before: dict[str, Any] | None = None


class Ledger:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def remember(self, key: str, deploy: str, now: int) -> None:
        """Records what is at this resource's path now, if nothing is recorded yet and it lies at a path.

        Raises OSError when it cannot be written: then the change must not happen.
        """
        entry_file = self._file(key)
        place = place_of(key)
        if place is None or entry_file.exists():
            return
        try:
            before, image = _look(place)
        except Refused:
            # Whoever owns a folder on the way has put a link there. A deploy refuses that way too, and says so.
            return
        if before is None and not place.is_resource:
            return
        make_private_folder(self._folder)
        if image is not None:
            write_atomic(entry_file.with_suffix(".before"), image)
        origin = Origin.CREATED if before is None else Origin.ADOPTED
        entry = LedgerEntry(key, deploy, now, origin, before)
        write_atomic(entry_file, json.dumps(asdict(entry), sort_keys=True).encode() + b"\n")

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, sorted by key; a file that cannot be read is skipped (its before-image stays where it is)."""
        found = []
        for file in self._folder.glob("*.json"):
            try:
                data = json.loads(read_bounded(file))
                found.append(
                    LedgerEntry(data["key"], data["deploy"], data["at"], Origin(data["origin"]), data["before"])
                )
            except (ValueError, KeyError, OSError):
                continue
        return tuple(sorted(found, key=lambda entry: entry.key))

    def before_image(self, key: str) -> bytes | None:
        """The content that a file had before its first change; None where there was none or it was too large."""
        try:
            return read_bounded(self._file(key).with_suffix(".before"))
        except FileNotFoundError:
            return None

    def _file(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a resource lies: a path below a base, which says whose links are followed on the way."""

    base: Base
    path: str
    is_resource: bool = True
    """False where the resource is something else that this file belongs to."""

    def __str__(self) -> str:
        return f"{self.base.path.rstrip('/')}/{self.path}"


def place_of(key: str) -> Place | None:
    """Where the file of a resource lies (``file:/etc/motd``, ``block:/etc/hosts#lab``, ``file:~ann/.bashrc``,
    ``unit:x.service``); None for kinds that have none and for homes of users who do not exist."""
    kind, _, name = key.partition(":")
    if kind == "unit":
        return None if "/" in name else Place(SYSTEM, TOUCHED_FILES[kind].format(name=name), is_resource=False)
    if kind == "user":
        home = _home(name)
        return None if home is None else Place(home, TOUCHED_FILES[kind], is_resource=False)
    if kind not in PATH_KINDS:
        return None
    if kind in ("block", "line"):
        name = name.partition("#")[0]
    if name.startswith("~"):
        user, _, rest = name[1:].partition("/")
        home = _home(user)
        return None if home is None else Place(home, rest)
    return Place(SYSTEM, name.strip("/"))


def _home(user: str) -> Base | None:
    try:
        return Base(pwd.getpwnam(user).pw_dir, root_links=False)
    except KeyError:
        return None


def _look(place: Place) -> tuple[dict[str, Any] | None, bytes | None]:
    """What is there now and, of a regular file, its content. Raises Refused for a link on the way that is not root's:
    it could lead the agent, which may read everything, anywhere."""
    above, _, name = place.path.rstrip("/").rpartition("/")
    links = place.base.root_links
    try:
        with place.base.opened() as base, folder(base, above, root_links=links) as parent:
            return _seen(parent, name or ".")
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except OSError as error:
        # Somebody else's disk may say no to root. It was there, and is never to be taken for ours.
        return {"unseen": f"{error.strerror or error}"}, None


def _seen(parent: int, name: str) -> tuple[dict[str, Any], bytes | None]:
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    before: dict[str, Any] = {
        "type": stat.filemode(status.st_mode)[0],
        "mode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
    if stat.S_ISLNK(status.st_mode):
        return before | {"target": os.readlink(name, dir_fd=parent)}, None
    if not stat.S_ISREG(status.st_mode) or status.st_size > IMAGE_LIMIT:
        return before, None
    content = read_bounded(name, IMAGE_LIMIT, folder=parent)
    return before | {"sha256": hashlib.sha256(content).hexdigest()}, content
