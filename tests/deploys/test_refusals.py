"""What cannot be made keeps nothing else of its deploy from being made; through the real engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.domain.desired import DesiredDeploy
from agent.domain.digest import JSON
from tests.deploys.engine import plan

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's home")


def changes(tmp_path: Path, kind: str, arguments: Mapping[str, JSON]) -> list[tuple[str, str, bool]]:
    prepared = plan(DesiredDeploy(kind, kind, arguments, ""), tmp_path, tmp_path / "work")
    assert prepared.error is None
    return [(change.resource, change.operation, change.refused) for change in prepared.changes]


def item(home: str) -> dict[str, JSON]:
    return {"home": home, "path": ".hostwright-none", "kind": "file", "text": "", "mode": 420}


def test_a_user_who_is_not_there_keeps_no_other_from_having_their_dotfiles(tmp_path: Path) -> None:
    items: JSON = [item("nobody-there"), item("root")]
    (file, missing) = changes(tmp_path, "dotfiles", {"items": items})
    assert file[0] == "file:~root/.hostwright-none"
    assert missing == ("op:dotfiles-nobody-there#1", "cannot be done: user nobody-there does not exist", True)


def test_a_tool_without_a_pin_for_this_machine_keeps_no_other_away(tmp_path: Path) -> None:
    pins: JSON = [{"name": name, "version": "1", "bin": {name: name}, "assets": {}} for name in ("hw-one", "hw-two")]
    assert changes(tmp_path, "tools", {"tools": pins}) == [
        (f"tool:{name}", f"cannot be done: {name} 1 is not pinned for linux-{os.uname().machine}, only for none", True)
        for name in ("hw-one", "hw-two")
    ]


def test_where_nobody_is_there_the_whole_deploy_waits_for_them(tmp_path: Path) -> None:
    items: JSON = [item("nobody-there")]
    deploy = DesiredDeploy("dotfiles", "dotfiles", {"items": items}, "")
    error = plan(deploy, tmp_path, tmp_path / "work").error
    assert error is not None
    assert "user nobody-there does not exist" in error
