"""A plain folder as a config repo's tree: the same entries as Git would give, no link followed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import InventoryError
from agent.system.folder import FolderTree


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    (root / "a/deep").mkdir(parents=True)
    (root / "a/deep/file").write_text("deep\n")
    (root / "a/script").write_text("#!/bin/sh\n")
    (root / "a/script").chmod(0o755)
    (root / "a.txt").write_text("text\n")
    (root / "link").symlink_to("a/deep/file")
    (root / "out").symlink_to("/etc")
    (root / "empty").mkdir()
    return root


def test_entries_are_those_of_a_git_tree(folder: Path) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("add", "-A")
    staged = [line.split() for line in git("ls-files", "-s").splitlines()]
    expected = sorted((path, int(mode, 8), blob) for mode, blob, _stage, path in staged)
    assert [(entry.path, entry.mode, entry.blob) for entry in FolderTree(folder).entries()] == expected


@pytest.mark.parametrize(
    ("prefix", "paths"),
    [
        ("a", ["a/deep/file", "a/script"]),
        ("a/", ["a/deep/file", "a/script"]),
        ("a/deep/file", ["a/deep/file"]),
        ("link", ["link"]),
        ("nix", []),
        ("a/nix/file", []),
        ("a.txt/x", []),
        ("out/passwd", []),
        ("../repo", []),
        ("a/../a", []),
        (".git", []),
    ],
)
def test_entries_below_a_prefix(folder: Path, prefix: str, paths: list[str]) -> None:
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("")
    assert [entry.path for entry in FolderTree(folder).entries(prefix)] == paths


@pytest.mark.parametrize(
    "path", ["nix", "a", "out/passwd", "../repo/a.txt", "a/../a.txt", "/etc/passwd", "", ".git/config"]
)
def test_what_is_not_in_the_tree_cannot_be_read(folder: Path, path: str) -> None:
    with pytest.raises(KeyError):
        FolderTree(folder).read(path)


def test_a_link_reads_as_its_target(folder: Path) -> None:
    assert FolderTree(folder).read("link") == b"a/deep/file"


def test_nothing_waits_on_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert "pipe" not in [entry.path for entry in FolderTree(folder).entries()]
    with pytest.raises(KeyError):
        FolderTree(folder).read("pipe")


def test_a_name_that_is_not_text_is_refused(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff")).write_text("")
    with pytest.raises(InventoryError, match="is not UTF-8"):
        FolderTree(folder).entries()


def test_a_folder_that_is_gone_is_an_empty_tree(tmp_path: Path) -> None:
    assert FolderTree(tmp_path / "nix").entries() == ()


def test_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("small")
    code = """
import resource, sys
from pathlib import Path
from agent.system.folder import FolderTree
tree = FolderTree(Path(sys.argv[1]))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26,) * 2)
print(tree.read("small").decode())
"""
    argv = [sys.executable, "-c", code, f"{tmp_path}"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("small\n", "")
