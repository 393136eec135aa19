"""sysctl: arguments turned into wanted settings, and what differs from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.deploys.correction import Correction
from agent.deploys.sysctl.setting import KernelSetting, WantedSetting
from agent.domain.codec import from_plain
from agent.domain.digest import JSON


def corrections(arguments: Mapping[str, JSON], _root: Path) -> Sequence[Correction]:
    """One for each setting that differs. Raises DeployError where our file cannot be read."""
    settings = from_plain(arguments["settings"], dict[str, WantedSetting])
    return KernelSetting().corrections(settings)
