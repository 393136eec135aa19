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
from agent.host.paths import Paths


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """The correction of each resource that is not as it should be. Raises DeployError; see ``tree.corrections``."""
    return tree.corrections(items_from_json(arguments["items"]), root, Paths().repositories)


def narrow(arguments: Mapping[str, JSON], changed: Iterable[bytes], wanted: Iterable[str]) -> Mapping[str, JSON] | None:
    """The arguments with only those items that the ``changed`` questions are about, and those with a key of ``wanted``.
    None if the change may concern any item."""
    items = about.items_behind(arguments["items"], changed, wanted)
    return {**arguments, "items": items} if items is not None else None


def questions(arguments: Mapping[str, JSON]) -> Iterable[Question]:
    """The questions that ``corrections`` rests on."""
    return about.of_items(items_from_json(arguments["items"]))
