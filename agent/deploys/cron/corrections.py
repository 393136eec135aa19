"""cron: arguments turned into wanted entries, and what differs from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agent.deploys.correction import Correction
from agent.deploys.cron.entry import CronEntry
from agent.deploys.items import items_from_json
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.question import Question


def corrections(arguments: Mapping[str, JSON], _root: Path) -> Sequence[Correction]:
    """One for each entry that differs. Raises DeployError without a cron daemon."""
    users = from_plain(arguments["users"], dict[str, str])
    return CronEntry().corrections(items_from_json(arguments["items"]), users)


def questions(arguments: Mapping[str, JSON]) -> Iterable[Question]:
    """The questions that ``corrections`` rests on."""
    users = from_plain(arguments["users"], dict[str, str])
    return CronEntry().questions(items_from_json(arguments["items"]), users)
