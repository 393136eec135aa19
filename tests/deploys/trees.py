"""Items of a tree, planned and put right, for tests."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from agent.deploys.as_user import LocalUser
from agent.deploys.items import Item
from agent.deploys.place import SYSTEM, Base
from agent.deploys.tree import Deviation, carry_out, survey

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="gives files to other users, which only root may")

ME = {"owner": f"{os.geteuid()}", "group": f"{os.getegid()}"}


def base_at(home: Path) -> Base:
    """The home of whoever runs the tests, put there."""
    return Base(LocalUser(pwd.getpwuid(os.geteuid()).pw_name, os.geteuid(), os.getegid(), f"{home}"))


def file(path: Path | str, text: str = "wanted\n", **more: object) -> Item:
    given = {"path": f"{path}", "kind": "file", "text": text, "mode": 0o644} | ME | more
    return Item(**given)  # type: ignore[arg-type]


def directory(path: Path | str, mode: int | None = None) -> Item:
    return Item(path=f"{path}", kind="directory", mode=mode, **ME)


def link(path: Path | str, target: str) -> Item:
    return Item(path=f"{path}", kind="link", target=target)


def absent(path: Path | str, **more: bool) -> Item:
    return Item(path=f"{path}", kind="file", absent=True, **more)


def edit_line(path: Path | str, line: str = "b") -> Item:
    return Item(path=f"{path}", kind="line", part=line, text=line, **ME)


def plan(*items: Item, base: Base = SYSTEM, root: Path = Path("/nowhere")) -> list[Deviation]:
    return survey(base, items, root)


def converge(*items: Item, base: Base = SYSTEM, root: Path = Path("/nowhere")) -> list[Deviation]:
    """Carries out what is planned, and holds the rule that the second plan is empty."""
    steps = plan(*items, base=base, root=root)
    with base.opened() as start:
        for step in steps:
            carry_out(base, start, step.item, step.content)
    assert plan(*items, base=base, root=root) == []
    return steps


def only(steps: list[Deviation]) -> Deviation:
    (step,) = steps
    return step
