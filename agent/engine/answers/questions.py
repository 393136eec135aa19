"""What the commands that are known rest on, as questions that the daemon can ask without pyinfra.

A deploy file's trace is a hint: its code may look at the host by itself, and a full plan looks again anyway. So what
hardly ever changes a plan is left out: who logged in last, and times of access.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from agent.deploys import questions as of
from agent.domain.question import Question, QuestionKind, UnsignedError

_DPKG_STATUS = "/var/lib/dpkg/status"
_HOST_NAME = "/proc/sys/kernel/hostname"


def of_status(path: str) -> Iterable[Question]:
    return of.at(_absolute(path))


def of_content(path: str, **_: str) -> Iterable[Question]:
    return of.through(_absolute(path))


def of_tree(path: str) -> Iterable[Question]:
    """A folder's own times tell of the names in it."""
    yield from of.at(_absolute(path))
    for folder, folders, _ in os.walk(path):
        yield from (of.path(f"{folder}/{name}") for name in folders)


def of_program(name: str) -> Iterator[Question]:
    """Up to where it is found."""
    for folder in os.environ.get("PATH", "").split(":"):
        place = f"{_absolute(folder)}/{name}"
        yield of.path(place)
        if os.path.lexists(place):
            return


def of_kernel(letter: str) -> Iterable[Question]:
    """The rest is the same until the next boot."""
    return [Question(QuestionKind.VALUE, _HOST_NAME)] if letter == "n" else []


def of_time() -> Iterable[Question]:
    raise UnsignedError("it asks what time it is")


def of_home(user: str) -> Iterable[Question]:
    return of.of_accounts((user,))


def of_users() -> Iterable[Question]:
    return (*of.of_accounts(), of.path("/etc/shadow"))


def of_packages() -> Iterable[Question]:
    return [of.path(_DPKG_STATUS)]


def of_unit(unit: str, **_: str) -> Iterable[Question]:
    if "*" in unit:
        raise UnsignedError("it asks for all units")
    return of.of_units([unit])


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise UnsignedError(f"it looks at {path}, from the folder that it runs in")
    return path
