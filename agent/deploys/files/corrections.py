"""files: items turned into corrections, by one look at all of their paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.deploys import tree
from agent.deploys.correction import Correction
from agent.deploys.items import items_from_json
from agent.domain.digest import JSON


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each resource that is not as it should be.

    Raises DeployError when a file of the commit cannot be read.
    """
    return tree.corrections(items_from_json(arguments["items"]), root)
