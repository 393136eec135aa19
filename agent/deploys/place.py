"""Places: paths below the system's root or below a user's home, and work at them by descriptors of folders.

In a home only a child with the rights of its user works, and no link is followed.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Self

from agent.deploys.as_user import LocalUser, UserWorker
from agent.deploys.at_path import AtPath, look, owner_names
from agent.deploys.batch import WriteBatch
from agent.deploys.items import parents
from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system import obstacle
from agent.system.safe_open import UnsafePath, folder

BATCH = 2000
"""The most works in one batch. After a kill, so many may have to be done again, and their temporary files tidied
away."""

FOLDERS = 200
"""The most folders that a batch keeps open."""


@dataclass(frozen=True, slots=True)
class Base:
    """The folder where paths begin: the home of ``user``, in which a child of that user works, or the system's root."""

    user: LocalUser | None = None

    @classmethod
    def of(cls, home: str) -> Self:
        """The base for the home of the user called ``home``; if ``home`` is empty, for the system's root. Raises
        DeployError if there is no such user."""
        return cls(LocalUser.named(home) if home else None)

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
        user = self.user
        with ExitStack() as stack:
            try:
                start = stack.enter_context(self.opened())
            except OSError as error:
                if user is None:
                    raise
                raise DeployError(
                    f"the home {user.home} of {user.name} cannot be opened: {error.strerror}",
                    hint="create it with an earlier `users` deploy",
                    kind=ProblemKind.NO_HOME,
                ) from error
            if user is not None and (owner := os.fstat(start).st_uid) != user.uid:
                raise DeployError(
                    f"the home {user.home} of {user.name} belongs to uid {owner}",
                    hint="dotfiles are for people's own homes; use `files` for folders of the system",
                    kind=ProblemKind.NOT_THEIR_HOME,
                )
            yield start

    def folder(self, start: int, path: str) -> AbstractContextManager[int]:
        """A descriptor of the folder ``path`` below the open base. In a home no link is followed. Raises UnsafePath,
        OSError."""
        return folder(start, path, root_links=self.user is None)


SYSTEM = Base()


@dataclass(frozen=True, slots=True)
class OpenPlace:
    """A path below an open base, with its folder open: ``start`` and ``parent`` are descriptors of the two."""

    base: Base
    start: int
    parent: int
    path: str
    batch: WriteBatch | None = None
    """The batch of the writes here; None if each write is finished by itself."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def look(self) -> AtPath:
        """The thing there now. Raises OSError."""
        return look(self.parent, self.name)


@dataclass(frozen=True, slots=True)
class Place:
    """A path below a base: ``/etc/motd``, or ``.bashrc`` of a home."""

    base: Base
    path: str

    def look(self) -> AtPath:
        """The thing there now. Raises OSError where nobody may look, UnsafePath for a link on the way."""
        (found,) = look_each([self])
        if isinstance(found, Exception):
            raise found
        return found

    def names(self) -> list[str]:
        """Names of the things in the folder. Raises OSError, UnsafePath."""
        with self.base.opened() as start, self.base.folder(start, self.path) as found:
            return [entry.name for entry in os.scandir(f"/proc/self/fd/{found}")]


def look_each(places: Iterable[Place]) -> Iterator[AtPath | OSError | DeployError]:
    """The thing at each place, or the error where nobody may look."""
    for base, same in groupby(places, key=lambda place: place.base):
        paths = [place.path for place in same]
        with ExitStack() as stack:
            opened: Iterable[OpenPlace | OSError | DeployError]
            try:
                opened = open_each(base, stack.enter_context(base.opened()), paths)
            except (OSError, DeployError) as error:
                opened = [error] * len(paths)
            for at in opened:
                try:
                    if isinstance(at, Exception):
                        raise at
                    yield at.look()
                except (FileNotFoundError, NotADirectoryError):
                    yield AtPath()
                except (OSError, DeployError) as error:
                    yield error


def open_each(base: Base, start: int, paths: Iterable[str]) -> Iterator[OpenPlace | OSError | DeployError]:
    """Each path below the open base with its folder open, or the error that opening the folder raised. Successive paths
    of one folder share its descriptor."""
    for path, here in groupby(paths, key=lambda path: path.rpartition("/")[0]):
        with ExitStack() as stack:
            opened: int | OSError | DeployError
            try:
                opened = stack.enter_context(base.folder(start, path))
            except (OSError, DeployError) as error:
                opened = error
            for each in here:
                yield OpenPlace(base, start, opened, each) if isinstance(opened, int) else opened


Act = Callable[[OpenPlace], object]


@dataclass(frozen=True, slots=True)
class Work:
    """Something to do at a place. ``asks`` is True if it asks a program, which has to find the works before it in
    place."""

    place: Place
    act: Act
    asks: bool = False


Worked = str | Exception
"""The text that a work returned, or the error that it raised."""


def work_together(works: Sequence[Work], start: int) -> list[Worked]:
    """Do works of one base as a batch, in order. Returns how each went; those that went well are on the disk. ``start``
    is a descriptor of the base: the process that opened it may have had more rights than this one."""
    outcomes: list[Worked] = []
    with WriteBatch() as batch, ExitStack() as stack:
        folders: dict[str, int] = {}
        """Open folders, by path. Keeping them open gives nobody a chance: whoever can put another folder in place of
        one could do so after the batch as well."""
        passed: set[str] = set()
        """Paths of open folders, and of those above them."""
        for batch.work, work in enumerate(works):
            path = work.place.path
            above = posixpath.dirname(path)
            try:
                if above not in folders:
                    folders[above] = stack.enter_context(work.place.base.folder(start, above))
                    passed.update((above, *parents(above)))
                outcomes.append(_done(work, OpenPlace(work.place.base, start, folders[above], path, batch)))
            except OSError as error:
                outcomes.append(DeployError(f"{path}: {error.strerror or error}", kind=ProblemKind.NOT_WRITTEN))
            except DeployError as error:
                error.hint = error.hint or _whose(start, path)
                outcomes.append(error)
            except Exception as error:
                outcomes.append(error)  # it is raised where this work is asked for
            if path in passed:  # the work may have put another folder there
                for gone in [each for each in folders if each == path or each.startswith(f"{path}/")]:
                    del folders[gone]
        for unfinished in batch.finish():
            path = works[unfinished.work].place.path
            hint = unfinished.hint or _whose(start, path)
            outcomes[unfinished.work] = DeployError(
                f"{path}: {unfinished.reason}", hint=hint, kind=ProblemKind.NOT_WRITTEN
            )
    return outcomes


def _done(work: Work, at: OpenPlace) -> str:
    try:
        told = work.act(at)
    except OSError as error:
        reason, hint = obstacle.explained(error, at.parent, at.name)
        raise DeployError(f"{at.path}: {reason}", hint=hint, kind=ProblemKind.NOT_WRITTEN) from error
    return told if isinstance(told, str) else ""


def _first_batch(works: Sequence[Work]) -> int:
    """The number of the first ``works`` that can make a batch: at most BATCH, each at a path of its own, in no more
    than FOLDERS folders, and none but the first asks a program."""
    paths: set[str] = set()
    folders: set[str] = set()
    for number, work in enumerate(works):
        path = work.place.path
        if number and (work.asks or path in paths or len(folders) >= FOLDERS or number >= BATCH):
            return number
        paths.add(path)
        folders.add(posixpath.dirname(path))
    return len(works)


class Works:
    """The works of one or more bases, each done when it is asked for. One child process does all works in one home.

    ``is_due``: True for the number of a work that is going to be asked for. Works of a base are done in batches: the
    first call for a work of a batch does the whole batch, and later calls only return how the others went.
    """

    def __init__(self, works: Sequence[Work], is_due: Callable[[int], bool] = lambda _: True) -> None:
        self._works = works
        self._is_due = is_due
        self._done: dict[int, Worked] = {}
        self._workers: dict[Base, UserWorker] = {}
        self._given_up: dict[Base, DeployError] = {}
        """The errors of workers that did not answer. A user may stop or kill each worker of his, so the base's other
        works fail at once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.end()

    def is_done(self, number: int) -> bool:
        """True once the work has been done, even if only others of its batch were asked for."""
        return number in self._done

    def do(self, number: int) -> str:
        """The text that this work returned; empty if it returned none. Raises DeployError, or what the work raised."""
        if number not in self._done:
            base = self._works[number].place.base
            numbers = [number, *self._due_behind(number, base)]
            numbers = numbers[: _first_batch([self._works[each] for each in numbers])]
            self._done |= zip(numbers, self._outcomes(base, numbers), strict=True)
        outcome = self._done[number]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _due_behind(self, number: int, base: Base) -> list[int]:
        behind = range(number + 1, len(self._works))
        return [each for each in behind if self._works[each].place.base == base and self._is_due(each)]

    def _outcomes(self, base: Base, numbers: Sequence[int]) -> Sequence[Worked]:
        if base.user is None:
            with base.entered() as start:
                return self._together(start, numbers)
        if base in self._given_up:
            raise self._given_up[base]
        worker = self._workers.get(base)
        if worker is None or worker.ended:
            with base.entered() as start:
                worker = self._workers[base] = UserWorker(base.user, partial(self._together, start))
        try:
            return worker.do(numbers)
        except DeployError as error:
            self._given_up[base] = error
            raise
        finally:
            if not self._due_behind(numbers[-1], base):
                worker.end()

    def _together(self, start: int, numbers: Sequence[int]) -> list[Worked]:
        return work_together([self._works[number] for number in numbers], start)


def place_of(name: str) -> Place | None:
    """The place of a file by its name in a key, ``/etc/motd`` or ``~ann/.bashrc``; None for the home of a user who does
    not exist. Raises UnsafePath for a path with an empty part, . or .."""
    home, _, path = name[1:].partition("/") if name.startswith("~") else ("", "", name)
    try:
        base = Base.of(home)
    except DeployError:
        return None
    if any(part in ("", ".", "..") for part in path.removeprefix("/").split("/")):
        raise UnsafePath(f"{name!r} is not a path that anything may be written to")
    return Place(base, path)


def _whose(start: int, path: str) -> str:
    """A hint about the folder of somebody else that ``path`` is or lies in, for a process that is not root; else
    empty."""
    parts = path.removeprefix("/").split("/")
    for depth in range(1, len(parts) + 1) if os.geteuid() else ():
        above = "/".join(parts[:depth])
        with suppress(OSError):
            status = os.stat(above, dir_fd=start, follow_symlinks=False)
            if status.st_uid != os.geteuid():
                owner, me = owner_names(status.st_uid, status.st_gid), owner_names(os.geteuid(), os.getegid())
                return f"{above} belongs to {owner}: give it to {me}, or move it away"
    return ""
