"""tools: arguments turned into pins, and what differs from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agent.deploys.correction import Correction
from agent.deploys.tools.tool import Tool
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.pins import ToolPin
from agent.domain.question import Question


def corrections(arguments: Mapping[str, JSON], _root: Path) -> Sequence[Correction]:
    """One for each tool that differs."""
    return Tool().corrections(from_plain(arguments["tools"], list[ToolPin]))


def questions(arguments: Mapping[str, JSON]) -> Iterable[Question]:
    """The questions that ``corrections`` rests on."""
    return Tool().questions(from_plain(arguments["tools"], list[ToolPin]))
