"""A home in a temporary folder: dotfiles laid into it by the functions that the built-in calls, and looked at."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

from agent.deploys.dotfiles.spec import DotfilesSpec
from agent.deploys.items import Item, items_from_json
from agent.deploys.tree import Deviation, carry_out, survey
from agent.domain.address import Address
from agent.domain.pins import Pins, RepositoryPin
from tests.deploys.commit import Commit, snapshot
from tests.deploys.trees import base_at

ME = pwd.getpwuid(os.geteuid()).pw_name
STABLE = ".local/share/hostwright"


def items(commit: Commit, *plays: dict[str, Any]) -> list[Item]:
    """What these plays want in the home of whoever runs the tests."""
    spec, *later = [DotfilesSpec.model_validate({"user": ME} | play) for play in plays]
    for play in later:
        spec = spec.merged(play)
    return items_from_json(spec.concrete(commit).arguments["items"])


def plan(home: Path, commit: Commit, wanted: list[Item]) -> list[Deviation]:
    return survey(base_at(home), wanted, commit.root, commit.root)


def lay(home: Path, commit: Commit, *plays: dict[str, Any]) -> dict[str, tuple[str, int, object]]:
    """Carries out what is planned, holds the rule that the second plan is empty, and says what is there."""
    home.mkdir(parents=True, exist_ok=True)
    wanted = items(commit, *plays)
    base = base_at(home)
    with base.opened() as start:
        for step in plan(home, commit, wanted):
            carry_out(base, start, step.item, step.content)
    assert plan(home, commit, wanted) == []
    return snapshot(home)


def told(home: Path, commit: Commit, wanted: list[Item]) -> dict[str, str]:
    """By path what would be done."""
    return {step.item.path: step.change.operation for step in plan(home, commit, wanted)}


def followed(home: Path) -> dict[str, bytes]:
    """Every file that can be reached without the stable place, through links, by its path."""
    found: dict[str, bytes] = {}
    for parent, folders, files in os.walk(home, followlinks=True):
        if Path(parent) == home / ".local/share" and "hostwright" in folders:
            folders.remove("hostwright")
        for name in files:
            path = Path(parent) / name
            found[f"{path.relative_to(home)}"] = path.read_bytes()
    return found


class Elsewhere(Commit):
    """A commit that pins another repository, whose files are in the folder of its tree digest."""

    ADDRESS = "git+https://git.example.org/ann/dotfiles.git@main"

    def __init__(self, root: Path, files: dict[str, Any], **values: object) -> None:
        super().__init__(root, {}, **values)
        self._other = Commit(root / ("1" * 64), files)
        address = Address.parse(self.ADDRESS)
        pin = RepositoryPin(address.url, address.ref, "0" * 40, "1" * 64)
        self.pins = Pins(repositories={address.pinned: pin})

    def repository(self, pin: RepositoryPin) -> Commit:
        assert pin.tree == "1" * 64
        return self._other
