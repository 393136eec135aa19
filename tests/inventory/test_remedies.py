"""Whatever is wrong with what a person wrote, there is a word on what to write instead."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

AGENT = Path(__file__).parents[2] / "agent"

READ = [path for folder in ("inventory", "deploys", "checks") for path in sorted((AGENT / folder).rglob("*.py"))]
"""Where people's files are read."""

OF_TOOLS = {"openpgp.py", "unit_state.py"}
"""Modules whose ValueErrors are about data of programs; who calls them says what to do."""


def raised(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            yield node.exc


@pytest.mark.parametrize("path", READ, ids=lambda path: f"{path.relative_to(AGENT)}")
def test_every_error_about_what_a_person_wrote_says_what_to_write(path: Path) -> None:
    bare = [
        call.lineno
        for call in raised(path)
        if isinstance(call.func, ast.Name)
        and (
            (call.func.id == "ValueError" and path.name not in OF_TOOLS)
            or (call.func.id == "InventoryError" and not any(word.arg == "hint" for word in call.keywords))
            or (call.func.id == "Mistake" and len(call.args) < 2)
        )
    ]
    assert bare == [], "raise Mistake(problem, remedy)"
