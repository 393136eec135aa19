"""files: items turned into corrections, by one look at all of their paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.deploys import system_items
from agent.deploys.correction import correct
from agent.deploys.items import items_from_json
from agent.domain.digest import JSON


def deploy(arguments: Mapping[str, JSON], root: Path) -> None:
    """Every deploy has this door. Raises DeployError when a file of the commit cannot be read."""
    correct("files", system_items.corrections(items_from_json(arguments["items"]), root))
