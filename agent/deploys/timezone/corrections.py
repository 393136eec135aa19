"""timezone: its argument turned into a correction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agent.deploys.correction import Correction
from agent.deploys.timezone.timezone import Timezone
from agent.domain.digest import JSON
from agent.domain.question import Question


def corrections(arguments: Mapping[str, JSON], _root: Path) -> Sequence[Correction]:
    """One where the time zone is another. Raises DeployError where nobody may look."""
    return Timezone().corrections(f"{arguments['zone']}")


def questions(arguments: Mapping[str, JSON]) -> Iterable[Question]:
    """The questions that ``corrections`` rests on."""
    return Timezone().questions(f"{arguments['zone']}")
