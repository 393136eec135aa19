"""sysctl: arguments turned into wanted settings, and what differs from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agent.deploys.correction import Correction
from agent.deploys.sysctl.setting import KernelSetting, WantedSetting
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.question import Question


def corrections(arguments: Mapping[str, JSON], _root: Path) -> Sequence[Correction]:
    """One for each setting that differs. Raises DeployError where our file cannot be read."""
    settings = from_plain(arguments["settings"], dict[str, WantedSetting])
    return KernelSetting().corrections(settings)


def questions(arguments: Mapping[str, JSON]) -> Iterable[Question]:
    """The questions that ``corrections`` rests on."""
    return KernelSetting().questions(from_plain(arguments["settings"], dict[str, WantedSetting]))
