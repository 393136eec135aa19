"""The trace of a deploy file: the questions that its commands rest on, each asked right before the first of these.

They have the form in which the daemon can ask them again, without pyinfra. The trace is a hint: the code of a deploy
file may look at the host by itself, and a full plan looks again anyway. So there are no questions about facts that
hardly ever change a plan: last logins and times of access.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from agent.deploys import questions as of
from agent.deploys.unit_state import is_template
from agent.domain.question import Question, QuestionKind, UnsignedError, UnsteadyError
from agent.engine.facts import programs
from agent.engine.facts.known import SHAPES
from agent.engine.facts.shape import Rests
from agent.trace.answers import trace, unsigned, unsteady

_DPKG_STATUS = "/var/lib/dpkg/status"
_PROGRAM = re.compile(r"[\w./+-]{1,60}")
_HOST_NAME = "/proc/sys/kernel/hostname"


class DeployTrace:
    """The trace of one deploy file while it is prepared. A command whose questions are not known becomes a reason why
    only another plan can find changes."""

    def __init__(self) -> None:
        self._commands: set[str] = set()
        self._questions: set[Question] = set()
        self._lines: list[str] = []
        self._reasons: dict[str, None] = {}

    def before(self, command: str) -> None:
        """Ask the questions that ``command``, which is about to run, rests on."""
        if command in self._commands:
            return
        self._commands.add(command)
        try:
            new = [question for question in rests_on(command) if question not in self._questions]
            self._lines.append(trace(new))
            self._questions.update(new)
        except UnsteadyError as error:
            self._lines.append(unsteady(f"{error}"))
        except (UnsignedError, OSError) as error:
            self._reasons[f"{error}"] = None

    def text(self, deploy: str) -> str:
        """The lines of the trace, as of ``trace.answers``. ``deploy``: its name, for reasons."""
        reasons = self._reasons if self._commands else ("it asks nothing",)
        return "".join((*self._lines, *(unsigned(f"{deploy}: {reason}") for reason in reasons)))


def rests_on(command: str) -> tuple[Question, ...]:
    """Questions about this host: while they have the same answers, ``command`` prints the same. Raises UnsignedError
    where the command is not known or no questions cover it."""
    for known in SHAPES:
        words = known.words(command)
        if words is not None:
            return tuple(_asked(known.rests, words))
    # The reason names the program alone, because the command may hold a secret.
    program = next((word for word in command.split() if _PROGRAM.fullmatch(word)), "a shell")
    raise UnsignedError(f"it asks {program}")


def _asked(rests: Rests, words: Mapping[str, str]) -> Iterator[Question]:
    """The questions for ``rests`` and the ``words`` in the holes of the command. Raises UnsignedError."""
    match rests:
        case Rests.ON_STATUS:
            yield from of.at(_absolute(words["path"]))
        case Rests.ON_CONTENT:
            yield from of.through(_absolute(words["path"]))
        case Rests.ON_TREE:
            yield from _tree(_absolute(words["path"]))
        case Rests.ON_PROGRAM:
            yield from _program(words["name"])
        case Rests.ON_PROGRAM_AND_ANSWER:
            yield from _program(words["name"])
            yield from rests_on(words["inner"]) if programs.which(words["name"]) else ()
        case Rests.ON_KERNEL:  # all but the name is the same until the next boot
            yield from [Question(QuestionKind.VALUE, _HOST_NAME)] if words["letter"] == "n" else ()
        case Rests.ON_TIME:
            raise UnsignedError("it asks what time it is")
        case Rests.ON_HOME:
            yield from of.of_accounts((words["user"],))
        case Rests.ON_USERS:
            yield from (*of.of_accounts(), of.path("/etc/shadow"))
        case Rests.ON_PACKAGES:
            yield of.path(_DPKG_STATUS)
        case Rests.ON_UNIT:
            yield from of.of_units([_loaded(words["unit"])])


def _tree(path: str) -> Iterator[Question]:
    """Questions about ``path`` and all folders below it: the times of a folder change with the names in it."""
    yield from of.at(path)
    for folder, folders, _ in os.walk(path):
        yield from (of.path(f"{folder}/{name}") for name in folders)


def _program(name: str) -> Iterator[Question]:
    """Questions about a program in each folder of PATH, up to the first that has it. Raises UnsignedError."""
    for folder in os.environ.get("PATH", "").split(":"):
        place = f"{_absolute(folder)}/{name}"
        yield from of.through(place)
        if os.path.lexists(place):
            return


def _loaded(unit: str) -> str:
    if not set(unit).isdisjoint("*?["):
        raise UnsignedError("it asks for all units of a pattern")
    if unit.endswith("@") or is_template(unit):
        raise UnsignedError("it asks for a template, of which systemd says nothing")
    return unit


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise UnsignedError(f"it looks at {path}, from the folder that it runs in")
    return path
