"""command: commands with something to do, turned into corrections in their order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

from agent.deploys.command.host import Command, Series
from agent.deploys.correction import Correction, correct
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange

_COMMANDS = TypeAdapter(list[Command])


def deploy(arguments: Mapping[str, JSON], root: Path) -> None:  # noqa: ARG001 - all of it is in the arguments
    """Every deploy has this door. Raises DeployError where it cannot be known whether there is something to do."""
    series = Series()
    due = [command for command in _COMMANDS.validate_python(arguments["commands"]) if not series.is_done(command)]
    correct("command", [_correction(series, command) for command in due])


def _correction(series: Series, command: Command) -> Correction:
    return Correction(WantedChange(f"command:{command.name}", command.words), series.carry_out, command)
