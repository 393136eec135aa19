"""Layout stow, against GNU Stow itself: the same packages give the same tree."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.errors import InventoryError
from tests.deploys.commit import Commit
from tests.deploys.dotfiles.home import STABLE, followed, items, lay, told

oracle = pytest.mark.skipif(shutil.which("stow") is None, reason="stow is not installed")

File = str | tuple[str, str]

PACKAGES: dict[str, dict[str, File]] = {
    "bash": {".bashrc": "bash\n", ".bash_profile": ". ~/.bashrc\n", ".config/bash/aliases": "alias ll='ls -l'\n"},
    "vim": {
        ".vimrc": "set nocompatible\n",
        ".vim/colors/dark colours.vim": "hi\n",
        ".vim/after/ftplugin/c.vim": "",
        ".config/nvim/init.lua": "vim.opt.number = true\n",
        ".config/nvim/init.lua~": "a backup\n",
        "README.md": "of the package\n",
        ".vim/README.md": "of the folder\n",
    },
    "git": {
        ".config/git/config": "[user]\n",
        ".config/git/ignore": "*.swp\n",
        ".gitignore": "tags\n",
        "LICENSE-MIT": "free\n",
        "COPYING": "free\n",
        "COPYING.LIB": "is not on the list\n",
    },
    "ssh": {".ssh/config": "Host *\n", ".ssh/config.d/größe.conf": "Host a\n"},
    "scripts": {
        "bin/backup": ("executable", "#!/bin/sh\n"),
        "bin/nightly": ("link", "backup"),
        ".local/bin/other": ("executable", "#!/bin/sh\n"),
        ".local/share/notes/first.txt": "note\n",
    },
    "units": {".config/systemd/user/backup.service": "[Service]\n", ".config/systemd/user/backup.timer": "[Timer]\n"},
    "ignoring": {
        ".stow-local-ignore": "# what stays here\n\\.draft   # by name\n^/notes\n.*/cache/.*\\.tmp\n[ab]\\.txt\n",
        "notes": "stays\n",
        "deep/notes": "is laid\n",
        "x/cache/y.tmp": "stays\n",
        "x/cache/y.keep": "is laid\n",
        ".draft": "stays\n",
        "deep/.draft": "stays\n",
        "a.txt": "stays\n",
        "c.txt": "is laid\n",
        "README.md": "is laid: the list is the package's own\n",
    },
}


def as_commit(folder: Path, packages: dict[str, dict[str, File]]) -> Commit:
    files = {f"dotfiles/{name}/{path}": content for name, own in packages.items() for path, content in own.items()}
    return Commit(folder, files)


def stowed(home: Path, packages: dict[str, dict[str, File]], *options: str) -> subprocess.CompletedProcess[str]:
    """By stow, from a stow directory at the place that ours lies in, so that even the targets of links are equal."""
    folder = home / STABLE / "dotfiles"
    for name, files in packages.items():
        for path, content in files.items():
            target = folder / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            kind, text = content if isinstance(content, tuple) else ("file", content)
            if kind == "link":
                target.symlink_to(text)
            else:
                target.write_text(text)
    argv = ["stow", f"--dir={folder}", f"--target={home}", *options, *packages]
    environment = os.environ | {"HOME": f"{home.parent}"}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment, check=False)


def tree(home: Path) -> dict[str, str]:
    """Folders, and links with their targets, but for the stable place."""
    found: dict[str, str] = {}
    for parent, folders, files in os.walk(home):
        if Path(parent) == home / ".local/share" and "hostwright" in folders:
            folders.remove("hostwright")
        for name in (*folders, *files):
            path = Path(parent) / name
            found[f"{path.relative_to(home)}"] = f"{path.readlink()}" if path.is_symlink() else "folder"
    return found


def compare(tmp_path: Path, packages: dict[str, dict[str, File]], option: str, **ways: Any) -> dict[str, str]:
    """Ours and stow's, which must be equal; what they are."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    (ours / ".local/share").mkdir(parents=True)  # as the stow directory is there from the start
    done = stowed(theirs, packages, option)
    assert done.returncode == 0, done.stderr
    play = {"sets": list(packages), "layout": "stow", "mode": "link", **ways}
    lay(ours, as_commit(tmp_path / "commit", packages), play)
    assert tree(ours) == tree(theirs)
    assert followed(ours) == followed(theirs)
    return tree(ours)


@oracle
def test_links_are_where_stow_makes_them(tmp_path: Path) -> None:
    found = compare(tmp_path, PACKAGES, "--no-folding")
    assert found[".config/nvim/init.lua"] == f"../../{STABLE}/dotfiles/vim/.config/nvim/init.lua"
    assert "README.md" in found
    assert "notes" not in found


@oracle
def test_folders_are_folded_and_unfolded_as_stow_does_it(tmp_path: Path) -> None:
    found = compare(tmp_path, PACKAGES, "--verbose=0", fold=True)
    assert found[".vim"] == f"{STABLE}/dotfiles/vim/.vim"
    assert found[".config"] == "folder"
    assert found[".config/nvim"] == f"../{STABLE}/dotfiles/vim/.config/nvim"
    assert found[".local/bin"].startswith("../.local/")


@oracle
def test_dot_prefixes_become_dots_as_stow_makes_them(tmp_path: Path) -> None:
    package: dict[str, File] = {
        "dot-bashrc": "x\n",
        "dot-config/app/conf": "x\n",
        "dot-": "x\n",
        "a-dot-b": "x\n",
        "dot-gitignore": "x\n",
        ".plain": "x\n",
    }
    found = compare(tmp_path, {"one": package}, "--dotfiles", fold=True, dot_prefix=True)
    assert {".bashrc", ".config", "dot-", "a-dot-b", ".gitignore", ".plain"} <= set(found)


@oracle
def test_whatever_stow_makes_of_packages_is_what_they_give(tmp_path: Path) -> None:
    """Small packages at random, in which names meet; those that stow refuses for a conflict do not count."""
    compared = 0
    for seed in range(25):
        chance = random.Random(seed)
        packages = {name: _random_package(chance) for name in ("one", "two", "three")[: chance.randint(1, 3)]}
        folder = tmp_path / f"{seed}"
        (folder / "trial").mkdir(parents=True)
        option, fold = chance.choice([("--no-folding", False), ("--verbose=0", True)])
        if stowed(folder / "trial", packages, option).returncode == 0:
            compare(folder, packages, option, fold=fold)
            compared += 1
    assert compared > 5


def _random_package(chance: random.Random) -> dict[str, File]:
    names = ("a", "b", ".c", "README.md", "x~", "CVS", "dot-e")
    files: dict[str, File] = {}
    for _ in range(chance.randint(1, 5)):
        path = "/".join(chance.choice(names) for _ in range(chance.randint(1, 3)))
        above = {path.rsplit("/", count)[0] for count in range(1, path.count("/") + 1)}
        if not any(other == path or other in above or other.startswith(f"{path}/") for other in files):
            files[path] = f"{chance.random()}\n"
    if chance.random() < 0.2:
        files[".stow-local-ignore"] = chance.choice(["b\n", "^/a/b\n", "a/.*\n", "a|b\n"])
    return files


def test_copies_hold_what_the_links_lead_to(tmp_path: Path) -> None:
    commit = as_commit(tmp_path / "commit", PACKAGES)
    packages = {"sets": list(PACKAGES), "layout": "stow"}
    lay(tmp_path / "linked", commit, packages | {"mode": "link"})
    copied = lay(tmp_path / "copied", commit, packages)
    assert followed(tmp_path / "copied") == followed(tmp_path / "linked")
    assert {path for path, (kind, *_) in copied.items() if kind == "link"} == {"bin/nightly"}


@oracle
def test_a_package_that_comes_later_unfolds_and_one_that_goes_folds_again(tmp_path: Path) -> None:
    commit = as_commit(tmp_path / "commit", PACKAGES)
    home, ways = tmp_path / "home", {"layout": "stow", "mode": "link", "fold": True}
    lay(home, commit, {"sets": ["vim"]} | ways)
    assert (home / ".config").is_symlink()
    lay(home, commit, {"sets": ["vim", "git", "units"]} | ways)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    stowed(theirs, {name: PACKAGES[name] for name in ("vim", "git", "units")})
    assert tree(home) == tree(theirs)
    lay(home, commit, {"sets": ["vim"]} | ways)
    assert (home / ".config").readlink() == Path(STABLE) / "dotfiles/vim/.config"


@pytest.mark.parametrize("name", ["a file", "a folder/with a file", "a link"])
def test_a_folder_that_holds_what_is_not_ours_is_not_folded(tmp_path: Path, name: str) -> None:
    commit = as_commit(tmp_path / "commit", PACKAGES)
    home, ways = tmp_path / "home", {"layout": "stow", "mode": "link"}
    lay(home, commit, {"sets": ["vim"]} | ways)
    other = home / ".config" / name
    other.parent.mkdir(exist_ok=True)
    other.symlink_to("/etc/passwd") if name == "a link" else other.write_text("mine\n")
    operations = told(home, commit, items(commit, {"sets": ["vim"], "fold": True} | ways))
    assert operations[".config"] == "a directory that is not empty is in the way of a link; move it away"


def test_a_link_of_somebody_else_is_not_taken_for_a_folded_folder(tmp_path: Path) -> None:
    commit, home = as_commit(tmp_path / "commit", PACKAGES), tmp_path / "home"
    home.mkdir()
    (home / ".config").symlink_to("elsewhere")
    operations = told(home, commit, items(commit, {"sets": ["vim"], "layout": "stow", "mode": "link"}))
    assert operations[".config"] == "a link to elsewhere is in the way of a directory; move it away"


def test_a_later_package_wins_where_stow_sees_a_conflict(tmp_path: Path) -> None:
    commit = as_commit(tmp_path / "commit", {"one": {".profile": "one\n"}, "two": {".profile": "two\n"}})
    lay(tmp_path / "home", commit, {"sets": ["one", "two"], "layout": "stow", "mode": "link"})
    assert (tmp_path / "home/.profile").read_text() == "two\n"


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("(a+)+b", "may take too long"),
        ("a*b*c*d*", "may take too long"),
        ("x" * 300, "may take too long"),
        ("(a", r"'\(a' is no regular expression"),
        ("a{99999999999}", "is no regular expression: the repetition number is too large"),
        ("\\xff\xff(", "is no regular expression"),
    ],
)
def test_an_ignore_list_that_cannot_be_used_is_refused_by_line(tmp_path: Path, pattern: str, complaint: str) -> None:
    commit = as_commit(tmp_path, {"one": {".stow-local-ignore": f"# first\n{pattern}\n", "a": ""}})
    with pytest.raises(InventoryError, match=complaint) as caught:
        items(commit, {"sets": ["one"], "layout": "stow"})
    assert "dotfiles/one/.stow-local-ignore:2" in str(caught.value)


def test_two_names_that_become_one_are_refused(tmp_path: Path) -> None:
    commit = as_commit(tmp_path, {"one": {"dot-a": "", ".a": ""}})
    with pytest.raises(InventoryError, match=r"both dotfiles/one/.a and dotfiles/one/dot-a are for .a"):
        items(commit, {"sets": ["one"], "layout": "stow", "dot_prefix": True})
