"""files: items turned into corrections, by one look at all of their paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys import tree
from agent.deploys.correction import Correction
from agent.deploys.items import items_from_json
from agent.domain.digest import JSON
from agent.domain.question import Question


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each resource that is not as it should be.

    Raises DeployError when a file of the commit cannot be read.
    """
    return tree.corrections(items_from_json(arguments["items"]), root)


def questions(arguments: Mapping[str, JSON]) -> Iterable[Question]:
    """The questions that ``corrections`` rests on."""
    return about.of_items(items_from_json(arguments["items"]))
