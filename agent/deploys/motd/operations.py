"""motd: its one item turned into a correction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.deploys import system_items
from agent.deploys.correction import correct
from agent.deploys.items import items_from_json
from agent.domain.digest import JSON


def deploy(arguments: Mapping[str, JSON], root: Path) -> None:
    """Every deploy has this door."""
    correct("motd", system_items.corrections(items_from_json(arguments["items"]), root))
