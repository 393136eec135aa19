from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agent.deploys.tools.host import Tool
from agent.deploys.tools.store import ToolStore
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Origin, Seen
from agent.errors import DeployError
from tests.deploys.commit import snapshot
from tests.deploys.tools.shelf import MACHINE, go


@pytest.fixture
def store(tmp_path: Path) -> ToolStore:
    """With go 1 and, in force, go 2."""
    store = ToolStore(tmp_path / "host")
    Tool(store, MACHINE).make(go("1", tmp_path / "shelf", "go", "gofmt"))
    Tool(store, MACHINE).make(go("2", tmp_path / "shelf", "go", "gofmt"))
    return store


@pytest.fixture
def tools(store: ToolStore) -> Tool:
    return Tool(store)


def seen(tools: Tool) -> Seen:
    found = tools.look("go")
    assert found is not None
    return found


def entry(before: Mapping[str, JSON] | None = None) -> LedgerEntry:
    return LedgerEntry("tool:go", "tools", 0, Origin.CREATED, before=before)


def test_what_was_never_there_is_nothing(tools: Tool) -> None:
    assert tools.look("ripgrep") is None


def test_a_tool_is_its_version_and_its_commands(tools: Tool, store: ToolStore) -> None:
    place = store.version("go", "2") / "go-2/bin"
    assert seen(tools).state == {
        "version": "2",
        "commands": {"go": f"{place}/go", "gofmt": f"{place}/gofmt"},
        "damage": "",
    }


def test_a_tool_that_nobody_touched_has_not_changed(tools: Tool) -> None:
    assert tools.changed(seen(tools).state, seen(tools)) == ""


def replace_by_file(store: ToolStore) -> None:
    (store.commands / "go").unlink()
    (store.commands / "go").write_text("mine")


BY_HAND: dict[str, tuple[Callable[[ToolStore], object], str]] = {
    "unlinked": (lambda store: (store.commands / "go").unlink(), "go is nothing now"),
    "replaced": (replace_by_file, "go is a file now"),
    "altered": (
        lambda store: (store.version("go", "2") / "go-2/lib/runtime").write_text("mine"),
        "go-2/lib/runtime was altered",
    ),
    "linked again": (
        lambda store: (store.commands / "go2").symlink_to(store.version("go", "2") / "go-2/bin/go"),
        "go2 is ",
    ),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_what_somebody_changed_is_named(tools: Tool, store: ToolStore, case: str) -> None:
    left = seen(tools).state
    by_hand, said = BY_HAND[case]
    by_hand(store)
    assert tools.changed(left, seen(tools)).startswith(said)


def test_a_command_that_another_tool_has_now_is_no_persons_change_and_stays_with_it(
    tools: Tool, store: ToolStore, tmp_path: Path
) -> None:
    left = seen(tools).state
    Tool(store, MACHINE).make(replace(go("1", tmp_path / "other", "gofmt"), name="gofmt-next"))
    assert tools.changed(left, seen(tools)) == ""
    assert tools.remove([entry()], purge=False) == {}
    assert list(snapshot(store.commands)) == ["gofmt"]
    assert f"{store.tool('gofmt-next')}/" in f"{(store.commands / 'gofmt').readlink()}"


def test_removed_it_is_gone_with_all_versions_and_links(tools: Tool, store: ToolStore) -> None:
    (store.commands / "other").write_text("theirs")
    assert tools.remove([entry()], purge=False) == {}
    assert tools.look("go") is None
    assert list(snapshot(store.commands)) == ["other"]
    assert sorted(path.name for path in store.tools.iterdir()) == [".downloads", ".staging"]


def test_a_file_in_the_place_of_a_command_is_not_removed(tools: Tool, store: ToolStore) -> None:
    replace_by_file(store)
    assert tools.remove([entry()], purge=True) == {}
    assert (store.commands / "go").read_text() == "mine"


def test_removing_what_is_gone_is_fine(tools: Tool) -> None:
    assert tools.remove([entry()], purge=False) == {}
    assert tools.remove([entry(), LedgerEntry("tool:never", "tools", 0, Origin.CREATED)], purge=False) == {}


def test_a_version_of_before_is_given_back(tools: Tool, store: ToolStore) -> None:
    tools.restore(entry({"version": "1", "commands": {}, "damage": ""}), None)
    assert (store.commands / "go").readlink() == store.version("go", "1") / "go-1/bin/go"


def test_a_version_that_is_not_there_any_more_cannot_be_given_back(tools: Tool) -> None:
    with pytest.raises(DeployError, match="go 0 is not on this host any more"):
        tools.restore(entry({"version": "0", "commands": {}, "damage": ""}), None)
