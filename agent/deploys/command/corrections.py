"""command: commands with something to do, turned into corrections in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys.command.host import Command, Series
from agent.deploys.correction import Correction
from agent.domain import codec
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.domain.question import Question, UnsignedError


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
