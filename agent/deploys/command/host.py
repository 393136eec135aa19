"""The host's side of command: finding out if there is something to do, and doing it. No pyinfra in here."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys.as_user import Ended, LocalUser, run_as
from agent.deploys.correction import Correction
from agent.domain import codec
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.domain.question import Question, UnsignedError
from agent.errors import DeployError
from agent.host.paths import Paths
from agent.system.files import discard, make_private_folder, read_bounded, write_atomic


def corrections(arguments: Mapping[str, JSON], _root: Path) -> Sequence[Correction]:
    """The corrections of commands with something to do, in their order.

    Raises DeployError if nobody can tell whether a command has something to do.
    """
    series = Series()
    wanted = codec.from_plain(arguments["commands"], list[Command])
    due = [command for command in wanted if not series.is_done(command)]
    return [_correction(series, command) for command in due]


def questions(arguments: Mapping[str, JSON]) -> Iterator[Question]:
    """The questions that ``corrections`` rests on. Raises UnsignedError where a program is asked."""
    series = Series()
    for command in codec.from_plain(arguments["commands"], list[Command]):
        yield from about.of_accounts([command.user])
        if command.creates is not None:
            yield from about.through(command.creates)
        if command.unless is not None:
            raise UnsignedError(f"{command.name} asks a program whether there is something to do")
        yield about.path(series.memory / command.name)


def _correction(series: Series, command: Command) -> Correction:
    return Correction(WantedChange(f"command:{command.name}", command.words), series.carry_out, command)


UNLESS_TIMEOUT_S = 30
"""The time limit of ``unless``, in seconds. It runs at every look at the host, and only looks."""

SHOWN = 200
"""The most characters of a command line in a plan."""

_SHELL = ["/bin/sh", "-euc"]


@dataclass(frozen=True, slots=True)
class Command:
    """One command as it is wanted. If it has neither ``unless`` nor ``creates``, it is done once it has ended well with
    this ``digest``."""

    name: str
    digest: str
    argv: tuple[str, ...]
    unless: tuple[str, ...] | None
    creates: str | None
    user: str
    cwd: str
    env: Mapping[str, str]
    timeout_s: int

    @property
    def words(self) -> str:
        """The command line as people read it in a plan, with the user unless that is root."""
        shell = list(self.argv[:2]) == _SHELL
        line = " ".join((self.argv[2] if shell else shlex.join(self.argv)).split())
        line = line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
        return f"{'run in a shell' if shell else 'run'}: {line}" + (f" (as {self.user})" if self.user != "root" else "")


def forget_others(wanted: Collection[str], memory: Path) -> None:
    """Forget the runs of commands that no deploy of the host wants any more. If such a command comes back, it runs
    again. ``wanted``: names of the commands of all deploys. Raises OSError."""
    for file in memory.iterdir() if memory.is_dir() else ():
        if file.name not in wanted:
            discard(file)


class Series:
    """The commands of one deploy, which are run one after the other until one fails.

    ``memory``: a folder with a file for each command that is to run once. It holds the digest with which the command
    ended well. The memory of applied deploys is not enough, as it knows only whole deploys: after an upgrade of the
    agent, or a failure or change of one command, all of them would run again.
    """

    def __init__(self, memory: Path | None = None) -> None:
        self.memory = memory or Paths().commands
        self._failed = ""

    def is_done(self, command: Command) -> bool:
        """True if there is nothing to do; either ``unless`` or ``creates`` is enough. Raises DeployError if ``unless``
        cannot be run or does not end, and for a user who does not exist."""
        user = LocalUser.named(command.user)
        if command.creates is not None and os.path.lexists(command.creates):
            return True
        if command.unless is None:
            return command.creates is None and self._done_before(command.name) == command.digest
        ended = _run(command, user, command.unless, UNLESS_TIMEOUT_S)
        if ended.timed_out:
            raise DeployError(
                f"{command.name}: unless ({shlex.join(command.unless)}) did not end within {UNLESS_TIMEOUT_S} s",
                hint="it must only look, and be quick about it",
            )
        return ended.code == 0

    def carry_out(self, command: Command) -> str:
        """Run the command and return its output. Raises DeployError if it fails, or if one before it failed."""
        if self._failed:
            raise DeployError(f"not run, because {self._failed} failed before it")
        try:
            ended = _run(command, LocalUser.named(command.user), command.argv, command.timeout_s)
            _require_success(ended, command.timeout_s)
            if command.unless is None and command.creates is None:
                self._remember(command)
        except DeployError:
            self._failed = command.name
            raise
        return ended.output

    def _done_before(self, name: str) -> str:
        try:
            return read_bounded(self.memory / name).decode(errors="replace").strip()
        except FileNotFoundError:
            return ""

    def _remember(self, command: Command) -> None:
        try:
            make_private_folder(self.memory)
            write_atomic(self.memory / command.name, f"{command.digest}\n".encode())
        except OSError as error:
            raise DeployError(f"ended well, but that could not be noted: {error}") from error


def _run(command: Command, user: LocalUser, argv: Sequence[str], timeout_s: float) -> Ended:
    try:
        return run_as(user, argv, cwd=command.cwd, env=command.env, timeout_s=timeout_s)
    except OSError as error:
        what = error.filename if isinstance(error.filename, str) else argv[0]
        reason = f"{command.name}: {shlex.join(argv)} cannot be started: {what}: {error.strerror or error}"
        raise DeployError(reason) from error


def _require_success(ended: Ended, timeout_s: float) -> None:
    """Raise DeployError if the command did not end well: with the reason, the last line of its output, and the whole
    output."""
    if ended.timed_out:
        reason = f"did not end within {timeout_s:g} s, and was killed with what it started"
    elif ended.code < 0:
        reason = f"was ended by signal {-ended.code}"
    elif ended.code > 0:
        reason = f"ended with status {ended.code}"
    else:
        return
    lines = [line for line in ended.output.splitlines() if line.strip()]
    told = [f"{reason}: {lines[-1].strip()}", *lines] if lines else [f"{reason}, and wrote nothing"]
    raise DeployError("\n".join(told))
