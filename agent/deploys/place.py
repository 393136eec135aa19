"""Places: paths below the system's root or below a user's home, and work at them by descriptors of folders.

In a home only a child with the rights of its user works, and no link is followed.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Self

from agent.deploys.as_user import LocalUser, UserWorker
from agent.deploys.at_path import AtPath, look
from agent.deploys.owners import names
from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system import obstacle
from agent.system.safe_open import UnsafePath, folder


@dataclass(frozen=True, slots=True)
class Base:
    """The folder where paths begin: the home of ``user``, in which a child of that user works, or the system's root."""

    user: LocalUser | None = None

    @property
    def path(self) -> str:
        return "/" if self.user is None else self.user.home

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the folder. Raises OSError, UnsafePath."""
        with folder(None, self.path.strip("/"), root_links=True) as descriptor:
            yield descriptor

    @contextmanager
    def entered(self) -> Iterator[int]:
        """A descriptor for changing what is below. Raises DeployError for a home that is missing or another's."""
        with self.opened() if self.user is None else _entered_home(self.user, self) as start:
            yield start

    def folder(self, start: int, path: str) -> AbstractContextManager[int]:
        """A descriptor of the folder ``path`` below the open base. In a home no link is followed. Raises UnsafePath,
        OSError."""
        return folder(start, path, root_links=self.user is None)


SYSTEM = Base()


@contextmanager
def _entered_home(user: LocalUser, base: Base) -> Iterator[int]:
    with ExitStack() as stack:
        try:
            start = stack.enter_context(base.opened())
            owner = os.fstat(start).st_uid
        except OSError as error:
            raise DeployError(
                f"the home {user.home} of {user.name} cannot be opened: {error.strerror}",
                hint="create it with an earlier `users` deploy",
                kind=ProblemKind.NO_HOME,
            ) from error
        if owner != user.uid:
            raise DeployError(
                f"the home {user.home} of {user.name} belongs to uid {owner}",
                hint="dotfiles are for people's own homes; use `files` for folders of the system",
                kind=ProblemKind.NOT_THEIR_HOME,
            )
        yield start


@dataclass(frozen=True, slots=True)
class OpenPlace:
    """A path below an open base, with its folder open: ``start`` and ``parent`` are descriptors of the two."""

    base: Base
    start: int
    parent: int
    path: str

    @property
    def name(self) -> str:
        return posixpath.basename(self.path)

    def look(self) -> AtPath:
        """The thing there now. Raises OSError."""
        return look(self.parent, self.name)


@dataclass(frozen=True, slots=True)
class Place:
    """A path below a base: ``/etc/motd``, or ``.bashrc`` of a home."""

    base: Base
    path: str

    def look(self) -> AtPath:
        """The thing there. Raises OSError where nobody may look, UnsafePath for a link on the way."""
        try:
            with self.base.opened() as start, self._opened(start) as at:
                return at.look()
        except (FileNotFoundError, NotADirectoryError):
            return AtPath()

    def names(self) -> list[str]:
        """Names of the things in the folder. Raises OSError, UnsafePath."""
        with self.base.opened() as start, self.base.folder(start, self.path) as found:
            return [entry.name for entry in os.scandir(f"/proc/self/fd/{found}")]

    def work(self, act: Callable[[OpenPlace], object], start: int) -> object:
        """Does ``act`` with the folder open, and returns what it returns. ``start`` is a descriptor of the base: the
        process that opened it may have had more rights than this one. Raises DeployError with the reason and the way
        out."""
        try:
            with self._opened(start) as at:
                try:
                    return act(at)
                except OSError as error:
                    reason, hint = obstacle.explained(error, at.parent, at.name)
                    raise DeployError(f"{self.path}: {reason}", hint=hint, kind=ProblemKind.NOT_WRITTEN) from error
        except OSError as error:
            raise DeployError(f"{self.path}: {error.strerror or error}", kind=ProblemKind.NOT_WRITTEN) from error
        except DeployError as error:
            error.hint = error.hint or _whose(start, self.path)
            raise

    @contextmanager
    def _opened(self, start: int) -> Iterator[OpenPlace]:
        with self.base.folder(start, posixpath.dirname(self.path)) as parent:
            yield OpenPlace(self.base, start, parent, self.path)


class Works:
    """Work at several places, each done when it is asked for. One child does all that is in one home.

    ``is_due``: whether a work is still going to be asked for; once none is, the child of that home ends.
    """

    def __init__(
        self,
        works: Sequence[tuple[Place, Callable[[OpenPlace], object]]],
        is_due: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self._works = works
        self._is_due = is_due
        self._workers: dict[Base, UserWorker] = {}
        self._numbers: dict[Base, list[int]] = {}
        for number, (place, _) in enumerate(works):
            self._numbers.setdefault(place.base, []).append(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.end()

    def do(self, number: int) -> str:
        """The text that this work returned, where it was one. Raises DeployError."""
        place, act = self._works[number]
        base = place.base
        if base.user is None:
            with base.entered() as start:
                told = place.work(act, start)
            return told if isinstance(told, str) else ""
        numbers = self._numbers[base]
        worker = self._workers.get(base)
        if worker is None or worker.ended:
            with base.entered() as start:
                mine = (self._works[each] for each in numbers)
                works = [partial(there.work, its_act, start) for there, its_act in mine]
                worker = self._workers[base] = UserWorker(base.user, works)
        try:
            return worker.do(numbers.index(number))
        finally:
            if not any(other > number and self._is_due(other) for other in numbers):
                worker.end()


def place_of(name: str) -> Place | None:
    """The place of a file by its name in a key, ``/etc/motd`` or ``~ann/.bashrc``. None for the home of a user who does
    not exist. Raises UnsafePath."""
    base, path = SYSTEM, name
    if name.startswith("~"):
        account, _, path = name[1:].partition("/")
        try:
            base = Base(LocalUser.named(account))
        except DeployError:
            return None
    if any(part in ("", ".", "..") for part in path.removeprefix("/").split("/")):
        raise UnsafePath(f"{name!r} is not a path that anything may be written to")
    return Place(base, path)


def _whose(start: int, path: str) -> str:
    """A hint for a process that is not root and works below a folder of somebody else; empty where that is not so."""
    parts = path.removeprefix("/").split("/")
    for depth in range(1, len(parts) + 1) if os.geteuid() else ():
        above = "/".join(parts[:depth])
        with suppress(OSError):
            status = os.stat(above, dir_fd=start, follow_symlinks=False)
            if status.st_uid != os.geteuid():
                owner, me = names(status.st_uid, status.st_gid), names(os.geteuid(), os.getegid())
                return f"{above} belongs to {owner}: give it to {me}, or move it away"
    return ""
