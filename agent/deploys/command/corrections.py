"""command: commands with something to do, turned into corrections in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.deploys.command.host import Command, Series
from agent.deploys.correction import Correction
from agent.domain import codec
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange


def corrections(arguments: Mapping[str, JSON], _root: Path) -> Sequence[Correction]:
    """One for each resource that is not as it should be.

    Raises DeployError where it cannot be known whether there is something to do.
    """
    series = Series()
    wanted = codec.from_plain(arguments["commands"], list[Command])
    due = [command for command in wanted if not series.is_done(command)]
    return [_correction(series, command) for command in due]


def _correction(series: Series, command: Command) -> Correction:
    return Correction(WantedChange(f"command:{command.name}", command.words), series.carry_out, command)
