"""Items of the system, not of a home, turned into corrections: what ``files`` is made of, and every deploy that
writes plain files of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agent.deploys.correction import Correction
from agent.deploys.items import Item
from agent.deploys.tree import Step, carry_out, survey
from agent.domain.plan import WantedChange
from agent.system.safe_open import SYSTEM


def corrections(items: Iterable[Item], root: Path) -> list[Correction]:
    """What differs now, in the order in which it can be put right. ``root``: the folder of the commit's files.
    Raises DeployError when one of those cannot be read."""
    return [_correction(step) for step in survey(SYSTEM, items, root)]


def put(item: Item, content: bytes | None) -> str:
    """Puts one item right; returns what there is to tell. Raises DeployError when it cannot; then what was there
    stands."""
    with SYSTEM.opened() as start:
        return carry_out(SYSTEM, start, item, content)


def _correction(step: Step) -> Correction:
    difference = step.difference
    change = WantedChange(
        step.item.key, difference.operation, difference.diff, difference.private, refused=difference.blocked
    )
    return Correction(change, put, step.item, step.content)
