"""Items of a tree, planned and put right, for tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.deploys.edits import LineEdit
from agent.deploys.items import Item, ItemType
from agent.deploys.tree import Step, carry_out, survey
from agent.system.safe_open import SYSTEM, Base

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="gives files to other users, which only root may")

ME = {"owner": f"{os.geteuid()}", "group": f"{os.getegid()}"}


def file(path: Path | str, text: str = "wanted\n", **more: object) -> Item:
    given = {"key": f"file:{path}", "path": f"{path}", "kind": ItemType.FILE, "text": text, "mode": 0o644} | ME | more
    return Item(**given)  # type: ignore[arg-type]


def directory(path: Path | str, mode: int | None = None) -> Item:
    return Item(key=f"directory:{path}", path=f"{path}", kind=ItemType.DIRECTORY, mode=mode, **ME)


def link(path: Path | str, target: str) -> Item:
    return Item(key=f"link:{path}", path=f"{path}", kind=ItemType.LINK, target=target)


def absent(path: Path | str, **more: bool) -> Item:
    return Item(key=f"file:{path}", path=f"{path}", kind=ItemType.ABSENT, **more)


def edit_line(path: Path | str, line: str = "b") -> Item:
    return Item(key=f"line:{path}#{line}", path=f"{path}", kind=ItemType.EDIT, edit=LineEdit(line, None), **ME)


def plan(*items: Item, base: Base = SYSTEM, root: Path = Path("/nowhere")) -> list[Step]:
    return survey(base, items, root)


def converge(*items: Item, base: Base = SYSTEM, root: Path = Path("/nowhere")) -> list[Step]:
    """Carries out what is planned, and holds the rule that the second plan is empty."""
    steps = plan(*items, base=base, root=root)
    with base.opened() as start:
        for step in steps:
            carry_out(base, start, step.item, step.content)
    assert plan(*items, base=base, root=root) == []
    return steps


def only(steps: list[Step]) -> Step:
    (step,) = steps
    return step
