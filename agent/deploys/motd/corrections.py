"""motd: its one item turned into a correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.deploys import system_items
from agent.deploys.correction import Correction
from agent.deploys.items import items_from_json
from agent.domain.digest import JSON


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each resource that is not as it should be.

    Raises DeployError where a file of the commit cannot be read.
    """
    return system_items.corrections(items_from_json(arguments["items"]), root)
