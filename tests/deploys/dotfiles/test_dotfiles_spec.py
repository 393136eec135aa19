"""dotfiles: what an inventory writes, merged by user and made concrete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent.deploys.dotfiles.spec import DotfilesSpec
from agent.deploys.items import items_from_json
from agent.domain.digest import canonical
from agent.errors import InventoryError
from tests.deploys.commit import Commit


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    files = {
        "dotfiles/README.md": "not a set\n",
        "dotfiles/common/.bashrc": "common\n",
        "dotfiles/common/.gitconfig.j2": "name = {{ owner }}\n",
        "dotfiles/common/.config/app/conf": "x\n",
        "dotfiles/common/.ssh/config": "Host *\n",
        "dotfiles/common/bin/tool": ("executable", "#!/bin/sh\n"),
        "dotfiles/desktop/.bashrc": "desktop\n",
        "dotfiles/desktop/.vimrc": ("link", ".config/vim/vimrc"),
        "dotfiles/twice/a": "",
        "dotfiles/twice/a.j2": "",
        "dotfiles/file/.config": "a file where others have a folder\n",
        "dotfiles/latin/x.j2": b"\xe9",
    }
    return Commit(tmp_path / "commit", files, owner="Ann")


def homes(commit: Commit, *plays: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """By user, items by path."""
    spec = DotfilesSpec.model_validate(plays[0])
    for play in plays[1:]:
        spec = spec.merged(DotfilesSpec.model_validate(play))
    concrete = spec.concrete(commit)
    canonical(concrete.arguments)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for item in items_from_json(concrete.arguments["items"]):
        found.setdefault(item.home, {})[item.path] = item.to_json() | {"key": item.key}
    keys = [item["key"] for items in found.values() for item in items.values()]
    assert keys == [resource.key for resource in concrete.resources]
    return found


def test_a_set_is_laid_into_a_home_as_it_lies(commit: Commit) -> None:
    (ann,) = homes(commit, {"user": "ann", "sets": ["common"]}).values()
    assert {item["key"]: item.get("mode") for item in ann.values()} == {
        "file:~ann/.bashrc": 0o644,
        "directory:~ann/.config": None,
        "directory:~ann/.config/app": None,
        "file:~ann/.config/app/conf": 0o644,
        "file:~ann/.gitconfig": 0o644,
        "directory:~ann/.ssh": 0o700,
        "file:~ann/.ssh/config": 0o600,
        "directory:~ann/bin": None,
        "file:~ann/bin/tool": 0o755,
    }
    assert {item["owner"] for item in ann.values()} == {"ann"}
    assert ann[".gitconfig"]["text"] == "name = Ann\n"
    assert ann[".bashrc"]["source"] == "dotfiles/common/.bashrc"


def test_a_later_set_wins(commit: Commit) -> None:
    ann = homes(commit, {"user": "ann", "sets": ["common", "desktop"]})["ann"]
    assert ann[".bashrc"]["source"] == "dotfiles/desktop/.bashrc"
    assert ann[".vimrc"]["target"] == ".config/vim/vimrc"


def test_a_file_of_a_later_set_takes_the_place_of_a_folder_and_the_other_way_round(commit: Commit) -> None:
    ann = homes(commit, {"user": "ann", "sets": ["common", "file"]})["ann"]
    assert ".config/app/conf" not in ann
    assert ann[".config"]["kind"] == "file"
    bob = homes(commit, {"user": "bob", "sets": ["file", "common"]})["bob"]
    assert bob[".config"]["kind"] == "directory"


def test_plays_are_merged_by_user(commit: Commit) -> None:
    found = homes(
        commit,
        {"user": "ann", "sets": ["common"], "policy": {".*": "keep"}, "backup": True},
        {"users": ["ann", "bob"], "sets": ["desktop"], "policy": {".vimrc": "fail"}},
        {"user": "bob", "policy": {"*": "keep"}, "backup": True},
    )
    assert list(found) == ["ann", "bob"]
    ann, bob = found.values()
    assert ann[".bashrc"]["source"] == "dotfiles/desktop/.bashrc"
    assert ann[".bashrc"]["policy"] == "keep"
    assert ann[".vimrc"]["policy"] == "fail"
    assert "policy" not in ann["bin/tool"]
    assert ann["bin/tool"]["backup"]
    assert {(item["policy"], item["backup"]) for item in bob.values()} == {("keep", True)}


def test_the_ways_of_a_set_are_merged_by_set(commit: Commit) -> None:
    ann = homes(
        commit,
        {"user": "ann", "sets": ["common"], "mode": "link", "ignore": [".ssh"], "modes": {".bashrc": "0600"}},
        {"user": "ann", "sets": ["desktop"]},
        {"user": "ann", "sets": ["common"], "ignore": ["bin"], "modes": {".bashrc": "0640"}},
    )["ann"]
    assert ann[".gitconfig"]["kind"] == "link"
    assert ann[".bashrc"]["kind"] == "file"
    assert ann[".bashrc"]["mode"] == 0o640
    assert not {".ssh/config", "bin/tool"} & set(ann)


def test_the_same_set_said_twice_counts_once(commit: Commit) -> None:
    ann = homes(commit, {"user": "ann", "sets": ["common", "desktop"]}, {"user": "ann", "sets": ["common"]})["ann"]
    assert ann[".bashrc"]["source"] == "dotfiles/desktop/.bashrc"


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({"sets": ["common"]}, "give either `user` or `users`"),
        ({"user": "ann", "users": ["bob"], "sets": ["common"]}, "give either `user` or `users`"),
        ({"user": "ann"}, "ann gets no sets"),
        (
            {"user": "ann", "sets": ["comon"]},
            "there is no set dotfiles/comon/ in the config repo; did you mean common",
        ),
        ({"user": "ann", "sets": ["zzz"]}, "there are common, desktop, file, latin, twice"),
        ({"user": "ann", "sets": ["twice"]}, "both dotfiles/twice/a and dotfiles/twice/a.j2 are for a"),
        ({"user": "ann", "sets": ["latin"]}, "dotfiles/latin/x.j2 is not UTF-8 text"),
        ({"user": "../x", "sets": ["common"]}, "String should match pattern"),
        ({"user": "ann", "sets": ["../x"]}, "String should match pattern"),
        ({"user": "ann", "sets": ["common"], "layout": "yadm"}, "'plain', 'stow' or 'chezmoi'"),
        ({"user": "ann", "sets": ["common"], "mode": "move"}, "'copy' or 'link'"),
        ({"user": "ann", "sets": ["common"], "modes": {"x": 600}}, 'write "0600"'),
        ({"user": "ann", "sets": ["common"], "modes": {"x": "4755"}}, "String should match pattern"),
        ({"user": "ann", "repo": "https://example.org/x.git"}, "write git+ssh://, git+https://"),
        ({"user": "ann", "repo": "git+https://me:secret@example.org/x.git"}, "it holds a password or token"),
        ({"user": "ann", "sets": ["common"], "policy": {"x": "maybe"}}, "'overwrite', 'keep' or 'fail'"),
    ],
)
def test_a_complaint_says_what_is_wrong(commit: Commit, written: dict[str, Any], complaint: str) -> None:
    with pytest.raises((ValidationError, InventoryError)) as caught:
        DotfilesSpec.model_validate(written).concrete(commit)
    assert complaint in str(caught.value)


def test_a_name_that_climbs_out_of_a_set_is_refused(commit: Commit) -> None:
    tree = Commit(commit.root / "other", {})
    tree._files["dotfiles/evil/../../etc/passwd"] = (0o100644, b"")
    with pytest.raises(InventoryError, match="is not a path that anything may be written to"):
        DotfilesSpec.model_validate({"user": "ann", "sets": ["evil"]}).concrete(tree)


def test_every_field_is_described() -> None:
    assert all("description" in field for field in DotfilesSpec.model_json_schema()["properties"].values())
