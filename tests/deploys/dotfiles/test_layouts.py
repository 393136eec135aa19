"""The three layouts of one person's dotfiles give the same home, copied or linked, from here or from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.errors import InventoryError
from tests.deploys.commit import Commit
from tests.deploys.dotfiles import samples
from tests.deploys.dotfiles.home import STABLE, Elsewhere, followed, items, lay, told

LAYOUTS: dict[str, tuple[dict[str, samples.File], dict[str, Any]]] = {
    "plain": ({f"all/{path}": file for path, file in samples.PLAIN.items()}, {"sets": ["all"]}),
    "stow": (samples.STOW, {"sets": ["shell", "vim", "git", "ssh", "desktop"], "layout": "stow", "dot_prefix": True}),
    "chezmoi": (
        {f"all/{path}": file for path, file in samples.CHEZMOI.items()},
        {"sets": ["all"], "layout": "chezmoi"},
    ),
}

layouts = pytest.mark.parametrize("layout", LAYOUTS)


def here(folder: Path, files: dict[str, samples.File]) -> Commit:
    return Commit(folder, {f"dotfiles/{path}": file for path, file in files.items()}, owner="Ann")


@layouts
def test_all_layouts_give_the_same_home(tmp_path: Path, layout: str) -> None:
    files, play = LAYOUTS[layout]
    assert lay(tmp_path / "home", here(tmp_path / "commit", files), play) == samples.HOME


@layouts
def test_links_lead_to_the_same_files_with_the_same_modes(tmp_path: Path, layout: str) -> None:
    files, play = LAYOUTS[layout]
    home = tmp_path / "home"
    found = lay(home, here(tmp_path / "commit", files), play | {"mode": "link"})
    expected = {path: content for path, (kind, _, content) in samples.HOME.items() if kind == "file"}
    assert followed(home) == expected | {"bin/nightly": samples.BACKUP.encode()}
    for path, (kind, mode, _) in samples.HOME.items():
        assert found[path][0] == ("directory" if kind == "directory" else "link")
        if kind == "file":
            assert found[path][2].startswith("../" * path.count("/") + f"{STABLE}/dotfiles/")  # type: ignore[attr-defined]
            assert (home / path).stat().st_mode & 0o777 == mode


@layouts
def test_folded_links_lead_to_the_same_files(tmp_path: Path, layout: str) -> None:
    files, play = LAYOUTS[layout]
    found = lay(tmp_path / "home", here(tmp_path / "commit", files), play | {"mode": "link", "fold": True})
    reached = followed(tmp_path / "home")
    expected = {path: content for path, (kind, _, content) in samples.HOME.items() if kind == "file"}
    assert expected.items() <= reached.items()
    assert found["Documents"][0] == "link"


@layouts
def test_what_is_edited_through_a_link_is_drift_and_is_repaired(tmp_path: Path, layout: str) -> None:
    files, play = LAYOUTS[layout]
    home, commit = tmp_path / "home", here(tmp_path / "commit", files)
    play = play | {"mode": "link"}
    lay(home, commit, play)
    wanted = items(commit, play)
    with (home / ".vimrc").open("a") as file:
        file.write("mine\n")
    (home / ".bashrc").unlink()
    (home / ".bashrc").write_text("an editor that renames\n")
    drift = told(home, commit, wanted)
    assert sorted(drift.values())[0].startswith("put a link to")
    assert sorted(drift.values())[1] == "write content"
    lay(home, commit, play)
    assert (home / ".vimrc").read_text() == "set nocompatible\n"
    assert (home / ".bashrc").is_symlink()


@pytest.mark.parametrize("layout", ["plain", "chezmoi"])
@pytest.mark.parametrize("inside", ["", "dots/mine"])
def test_a_whole_repository_is_laid_at_its_pin(tmp_path: Path, layout: str, inside: str) -> None:
    files = {"plain": samples.PLAIN, "chezmoi": samples.CHEZMOI}[layout]
    commit = Elsewhere(
        tmp_path / "commit", {f"{inside}/{path}".lstrip("/"): file for path, file in files.items()}, owner="Ann"
    )
    play = {"repo": f"{Elsewhere.ADDRESS}//{inside}".rstrip("/"), "layout": layout, "templates": True}
    assert lay(tmp_path / "home", commit, play) == samples.HOME
    linked = lay(tmp_path / "linked", commit, play | {"mode": "link"})
    assert linked[".vimrc"][2].startswith(f"{STABLE}/dotfiles-")  # type: ignore[attr-defined]


def test_the_packages_of_another_repository_are_named_as_sets(tmp_path: Path) -> None:
    commit = Elsewhere(tmp_path / "commit", dict(samples.STOW), owner="Ann")
    _, play = LAYOUTS["stow"]
    play = play | {"repo": Elsewhere.ADDRESS, "templates": True}
    assert lay(tmp_path / "home", commit, play) == samples.HOME
    with pytest.raises(InventoryError, match=r"there is no set shel/ in git.*main; did you mean shell\?"):
        items(commit, play | {"sets": ["shel"]})


def test_sets_of_several_origins_are_laid_over_each_other(tmp_path: Path) -> None:
    commit = Elsewhere(tmp_path / "commit", {"dot_bashrc": "theirs\n", "dot_zshrc": "theirs\n"})
    commit.put("dotfiles/own/.bashrc", "ours\n")
    theirs = {"repo": Elsewhere.ADDRESS, "layout": "chezmoi", "mode": "link"}
    lay(tmp_path / "home", commit, theirs, {"sets": ["own"]})
    assert (tmp_path / "home/.bashrc").read_text() == "ours\n"
    assert not (tmp_path / "home/.bashrc").is_symlink()
    assert (tmp_path / "home/.zshrc").is_symlink()


def test_where_linked_files_lie_does_not_change_with_the_commit(tmp_path: Path) -> None:
    one = items(Elsewhere(tmp_path / "1", {".a": "1\n"}), {"repo": Elsewhere.ADDRESS, "mode": "link"})
    two = items(Elsewhere(tmp_path / "2", {".a": "2\n"}), {"repo": Elsewhere.ADDRESS, "mode": "link"})
    assert [item.key for item in one] == [item.key for item in two]
    assert {item.target for item in one} == {item.target for item in two}
    assert {item.resource.digest for item in one} != {item.resource.digest for item in two}


def test_a_repository_that_is_not_locked_is_named(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"lock.yaml has no pin for git\+https://git.example.org/x.git"):
        items(Commit(tmp_path, {}), {"repo": "git+https://git.example.org/x.git"})


def test_templates_of_another_repository_are_rendered_only_where_that_is_allowed(tmp_path: Path) -> None:
    commit = Elsewhere(tmp_path, {".a.j2": "{{ secret }}"}, secret="x")
    with pytest.raises(InventoryError, match=r"\.a\.j2 is a template, and would see all variables"):
        items(commit, {"repo": Elsewhere.ADDRESS})
    assert items(commit, {"repo": Elsewhere.ADDRESS, "ignore": ["*.j2"], "sets": []}) == []


# Modes


def test_modes_are_gits_private_where_programs_keep_secrets_and_as_said(tmp_path: Path) -> None:
    files: dict[str, Any] = {
        ".netrc": "",
        ".aws/credentials": "",
        ".aws/config": "",
        ".gnupg/gpg.conf": "",
        "bin/tool": "",
        "bin/deep/tool": "",
        "notes/mine": "",
        ".config/app/key": ("executable", ""),
    }
    commit = Commit(tmp_path / "commit", {f"dotfiles/a/{path}": file for path, file in files.items()})
    modes = {"bin/*": "0755", "bin/deep/*": "500", "notes/": "0700", ".config/*/": "0750", ".netrc": "0400"}
    found = lay(tmp_path / "home", commit, {"sets": ["a"], "modes": modes})
    assert {path: f"{mode:o}" for path, (_, mode, _) in found.items()} == {
        ".netrc": "400",
        ".aws": "755",
        ".aws/credentials": "600",
        ".aws/config": "644",
        ".gnupg": "700",
        ".gnupg/gpg.conf": "600",
        "bin": "755",
        "bin/tool": "755",
        "bin/deep": "755",
        "bin/deep/tool": "500",
        "notes": "700",
        "notes/mine": "644",
        ".config": "755",
        ".config/app": "750",
        ".config/app/key": "755",
    }


# What may not be


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_an_age_file_that_is_none_is_refused_and_can_be_ignored(tmp_path: Path, mode: str) -> None:
    commit = Commit(tmp_path, {"dotfiles/a/.netrc.age": "x", "dotfiles/a/.bashrc": "x"})
    with pytest.raises(InventoryError, match=r"a/\.netrc\.age is no age file"):
        items(commit, {"sets": ["a"], "mode": mode})
    assert items(commit, {"sets": ["a"], "mode": mode, "ignore": ["*.age"]})


def test_what_is_ignored_is_named_by_its_path_in_the_set_or_in_the_home(tmp_path: Path) -> None:
    files = {"dot_a": "", "doc/x": "", "doc/y/z": "", "dot_config/b": "x", "dot_config/c": "x"}
    commit = Commit(tmp_path, {f"dotfiles/a/{path}": text for path, text in files.items()})
    play = {"sets": ["a"], "layout": "chezmoi", "ignore": ["doc", "dot_a", ".config/c"]}
    assert [item.path for item in items(commit, play)] == [".config", ".config/b"]


def test_the_stable_place_belongs_to_nobodys_set(tmp_path: Path) -> None:
    commit = Commit(tmp_path, {f"dotfiles/a/{STABLE}/dotfiles/a/.bashrc": "", "dotfiles/b/.local/share": "a file"})
    with pytest.raises(InventoryError, match="is hostwright's own"):
        items(commit, {"sets": ["a"]})
    commit.put("dotfiles/b/x", "")
    with pytest.raises(InventoryError, match=r"\.local/share cannot be a link and hold"):
        items(commit, {"sets": ["b"], "mode": "link"})


@pytest.mark.parametrize("layout", ["plain", "stow"])
@pytest.mark.parametrize("mode", ["copy", "link"])
@pytest.mark.parametrize("path", ["../evil", "a/../../evil", "a/./b", "/etc/evil"])
def test_a_name_that_climbs_out_is_refused(tmp_path: Path, layout: str, mode: str, path: str) -> None:
    commit = Commit(tmp_path / "commit", {})
    commit._files[f"dotfiles/a/{path}"] = (0o100644, b"x")
    with pytest.raises(InventoryError):
        items(commit, {"sets": ["a"], "layout": layout, "mode": mode})


def test_a_file_below_a_link_of_the_same_set_is_refused(tmp_path: Path) -> None:
    commit = Commit(
        tmp_path / "commit", {"dotfiles/a/symlink_dot_config": "/etc\n", "dotfiles/a/dot_config/passwd": "x"}
    )
    with pytest.raises(InventoryError, match=r"dot_config/passwd is for \.config/passwd, so \.config cannot be"):
        items(commit, {"sets": ["a"], "layout": "chezmoi"})
