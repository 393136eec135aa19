"""files: items turned into corrections, by one look at all of their paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.deploys.correction import Correction, correct
from agent.deploys.items import Item, items_from_json
from agent.deploys.tree import Step, carry_out, survey
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.system.descent import SYSTEM


def deploy(arguments: Mapping[str, JSON], root: Path) -> None:
    """Every deploy has this door. Raises DeployError when a file of the commit cannot be read."""
    correct("files", [_correction(step) for step in survey(SYSTEM, items_from_json(arguments["items"]), root)])


def _correction(step: Step) -> Correction:
    difference = step.difference
    change = WantedChange(step.item.key, difference.operation, difference.diff, difference.private)
    return Correction(change, _carry_out, step.item, step.content)


def _carry_out(item: Item, content: bytes | None) -> None:
    with SYSTEM.opened() as start:
        carry_out(SYSTEM, start, item, content)
