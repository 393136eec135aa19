"""A resource's name turned into the place where it lies: ``/etc/motd`` or ``~ann/.bashrc``, looked at and written to by
descriptors of folders."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Self

from agent.deploys.as_user import LocalUser, UserWorker
from agent.deploys.at_path import AtPath, look
from agent.deploys.writing import explained
from agent.domain.digest import JSON
from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system.attributes import ACCESS, CAPABILITY, DEFAULT
from agent.system.safe_open import SYSTEM, Base, UnsafePath, folder

_GIVING = {"acl": ACCESS, "default_acl": DEFAULT, "capabilities": CAPABILITY}

_TYPES = {0: "nothing", stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


@dataclass(frozen=True, slots=True)
class Place:
    """A path below a base; ``user`` is whose home that is."""

    base: Base
    path: str
    user: LocalUser | None = None

    def look(self) -> AtPath:
        """Raises OSError where nobody may look, UnsafePath for a link on the way."""
        above, _, name = self.path.rpartition("/")
        try:
            with self.base.opened() as start, folder(start, above, root_links=self.base.root_links) as parent:
                return look(parent, name)
        except (FileNotFoundError, NotADirectoryError):
            return AtPath()

    def work(self, act: Callable[[int, str], object]) -> None:
        """``act`` on the open folder that it is in, and its name there. Raises DeployError."""
        with Works({"": (self, act)}) as works:
            works.do("")

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of where its path begins. Raises DeployError, also for what ends in an OSError meanwhile."""
        try:
            with self.base.opened() as start:
                if self.user is not None and os.fstat(start).st_uid != self.user.uid:
                    raise UnsafePath(f"the home {self.base.path} of {self.user.name} belongs to somebody else")
                yield start
        except OSError as error:
            raise DeployError(f"{self.path}: {error.strerror or error}", kind=ProblemKind.NOT_WRITTEN) from error

    def act(self, act: Callable[[int, str], object], start: int) -> None:
        above, _, name = self.path.rpartition("/")
        with folder(start, above, root_links=self.base.root_links) as parent, explained(parent, name, self.path):
            act(parent, name)


class Works:
    """Work at several places, by name, to be done when it is asked for. One child does all that is for one user."""

    def __init__(self, works: Mapping[str, tuple[Place, Callable[[int, str], object]]]) -> None:
        self._works = works
        self._workers: dict[LocalUser, UserWorker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.end()

    def do(self, name: str) -> None:
        """Raises DeployError."""
        place, act = self._works[name]
        if place.user is None:
            with place.opened() as start:
                place.act(act, start)
            return
        names = [other for other, (at, _) in self._works.items() if at.user == place.user]
        if place.user not in self._workers or self._workers[place.user].ended:
            with place.opened() as start:
                acts = [partial(at.act, each, start) for at, each in map(self._works.__getitem__, names)]
                self._workers[place.user] = UserWorker(place.user, acts)
        self._workers[place.user].do(names.index(name))


def place_of(name: str) -> Place | None:
    """Where something lies, by its name in a key. None for the home of a user who does not exist. Raises UnsafePath."""
    if name.startswith("~"):
        account, _, path = name[1:].partition("/")
        try:
            user = LocalUser.named(account)
        except DeployError:
            return None
        place = Place(Base(user.home, root_links=False), path, user)
    else:
        place = Place(SYSTEM, name.removeprefix("/"))
    if any(part in ("", ".", "..") for part in place.path.split("/")):
        raise UnsafePath(f"{name!r} is not a path that anything may be written to")
    return place


def names_in(name: str) -> list[str]:
    """What the folder of this name holds. Raises OSError, UnsafePath."""
    place = place_of(name)
    if place is None:
        return []
    with (
        place.base.opened() as start,
        folder(start, place.path, root_links=place.base.root_links) as found,
        os.scandir(f"/proc/self/fd/{found}") as entries,
    ):
        return [entry.name for entry in entries]


def state_of(found: AtPath) -> dict[str, JSON]:
    """``type``, ``uid``, ``gid``, and ``mode`` of all but links; of a file its ``sha256`` (of one that is too large to
    be read ``size`` and ``mtime_ns``), of a link its ``target``; of nothing only the ``type``. ``acl``,
    ``default_acl`` and ``capabilities``, in hex, where there are any."""
    state: dict[str, JSON] = {"type": _TYPES.get(found.type, "special file")}
    status = found.status
    if status is None:
        return state
    state |= {"uid": status.st_uid, "gid": status.st_gid}
    if found.type == stat.S_IFLNK:
        return state | {"target": found.target}
    state["mode"] = found.mode
    state |= {word: found.giving[name].hex() for word, name in _GIVING.items() if name in found.giving}
    if found.type != stat.S_IFREG:
        return state
    if found.content is None:
        return state | {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    return state | {"sha256": hashlib.sha256(found.content).hexdigest()}


def giving_of(state: Mapping[str, JSON]) -> dict[str, bytes]:
    """The ACLs and capabilities that ``state_of`` noted."""
    return {name: bytes.fromhex(f"{state[word]}") for word, name in _GIVING.items() if word in state}
