"""What the commands that are known rest on, as questions that the daemon can ask without pyinfra.

A deploy file's trace is a hint: its code may look at the host by itself, and a full plan looks again anyway. So what
hardly ever changes a plan is left out: who logged in last, and times of access.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from agent.deploys import questions as of
from agent.deploys.unit_state import is_template
from agent.domain.question import Question, QuestionKind, UnsignedError
from agent.engine.facts import programs
from agent.engine.facts.known import SHAPES
from agent.engine.facts.shape import Rests

_DPKG_STATUS = "/var/lib/dpkg/status"
_PROGRAM = re.compile(r"[\w./+-]{1,60}")
_HOST_NAME = "/proc/sys/kernel/hostname"


def rests_on(command: str) -> tuple[Question, ...]:
    """Questions about this host: while they have the same answers, ``command`` prints the same. Raises UnsignedError
    where it is not known."""
    for known in SHAPES:
        words = known.words(command)
        if words is not None:
            return tuple(_ASKED[known.rests](**words))
    # Not the whole command: it may hold a secret.
    program = next((word for word in command.split() if _PROGRAM.fullmatch(word)), "a shell")
    raise UnsignedError(f"it asks {program}")


def _status(path: str) -> Iterable[Question]:
    return of.at(_absolute(path))


def _content(path: str, **_: str) -> Iterable[Question]:
    return of.through(_absolute(path))


def _tree(path: str) -> Iterable[Question]:
    """A folder's own times tell of the names in it."""
    yield from of.at(_absolute(path))
    for folder, folders, _ in os.walk(path):
        yield from (of.path(f"{folder}/{name}") for name in folders)


def _program(name: str) -> Iterator[Question]:
    """Up to where it is found."""
    for folder in os.environ.get("PATH", "").split(":"):
        place = f"{_absolute(folder)}/{name}"
        yield from of.through(place)
        if os.path.lexists(place):
            return


def _program_and_answer(name: str, inner: str, **_: str) -> Iterator[Question]:
    yield from _program(name)
    if programs.which(name):
        yield from rests_on(inner)


def _kernel(letter: str) -> Iterable[Question]:
    """The rest is the same until the next boot."""
    return [Question(QuestionKind.VALUE, _HOST_NAME)] if letter == "n" else []


def _time() -> Iterable[Question]:
    raise UnsignedError("it asks what time it is")


def _home(user: str) -> Iterable[Question]:
    return of.of_accounts((user,))


def _users() -> Iterable[Question]:
    return (*of.of_accounts(), of.path("/etc/shadow"))


def _packages() -> Iterable[Question]:
    return [of.path(_DPKG_STATUS)]


def _unit(unit: str, **_: str) -> Iterable[Question]:
    if not set(unit).isdisjoint("*?["):
        raise UnsignedError("it asks for all units of a pattern")
    if unit.endswith("@") or is_template(unit):
        raise UnsignedError("it asks for a template, of which systemd says nothing")
    return of.of_units([unit])


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise UnsignedError(f"it looks at {path}, from the folder that it runs in")
    return path


_ASKED: Mapping[Rests, Callable[..., Iterable[Question]]] = {
    Rests.ON_STATUS: _status,
    Rests.ON_CONTENT: _content,
    Rests.ON_TREE: _tree,
    Rests.ON_PROGRAM: _program,
    Rests.ON_PROGRAM_AND_ANSWER: _program_and_answer,
    Rests.ON_KERNEL: _kernel,
    Rests.ON_TIME: _time,
    Rests.ON_HOME: _home,
    Rests.ON_USERS: _users,
    Rests.ON_PACKAGES: _packages,
    Rests.ON_UNIT: _unit,
}
