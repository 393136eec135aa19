"""Commits into trees and folders: exactly what was signed, and nothing that could land elsewhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agent.errors import SourceError
from agent.system import git_tree
from agent.system.git_tree import CommitTree
from agent.system.mirror import Mirror
from agent.system.process import run
from tests.gitserver import ConfigRepo


def files_below(folder: Path) -> set[str]:
    return {f"{path.relative_to(folder)}" for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


# Trees


def test_a_tree_lists_files_below_a_prefix_and_not_its_namesakes(repo: ConfigRepo, mirror: Mirror) -> None:
    repo.commit("More", {"bin2/x": "", "bin/sub/y": ""})
    tree = mirror.tree(mirror.fetch(f"{repo.path}", "main").sha)
    assert [entry.path for entry in tree.entries("bin")] == ["bin/run", "bin/sub/y"]
    assert [entry.path for entry in tree.entries("bin/run")] == ["bin/run"]


@pytest.mark.parametrize("path", ["nope", "bin", "bin/run/x", "site.yaml/", "", "../x"])
def test_reading_what_is_no_file_is_a_key_error(repo: ConfigRepo, mirror: Mirror, path: str) -> None:
    tree = mirror.tree(mirror.fetch(f"{repo.path}", "main").sha)
    with pytest.raises(KeyError):
        tree.read(path)


def test_trees_that_stand_for_billions_of_files_are_refused(repo: ConfigRepo, mirror: Mirror) -> None:
    tree = repo.tree(*[("100644", repo.blob(b"x"), f"{number}") for number in range(10)])
    for _ in range(9):
        tree = repo.tree(*[("40000", tree, f"{number}") for number in range(10)])
    repo.plumb(tree, repo.head)
    with pytest.raises(SourceError, match="more than 100000 files") as refused:
        mirror.tree(mirror.fetch(f"{repo.path}", "main").sha).entries()
    assert refused.value.kind == "unsafe-tree"


# Exports


def test_an_export_is_the_tree_byte_for_byte_and_read_only(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    (repo.path / "bin/run").chmod(0o755)
    content = bytes(range(256)) * 9000
    head = repo.commit("More", {"deep/er/data": content, "crlf": b"a\r\n"})
    (repo.path / "deep/link").symlink_to("../bin/run")
    head = repo.commit("Link")
    mirror.fetch(f"{repo.path}", "main")
    target = tmp_path / head
    mirror.export(head, target)
    assert files_below(target) == {"site.yaml", "bin/run", "deep/er/data", "crlf", "deep/link"}
    assert (target / "deep/er/data").read_bytes() == content
    assert (target / "crlf").read_bytes() == b"a\r\n"
    assert (target / "deep/link").readlink() == Path("../bin/run")
    assert {oct(path.stat().st_mode & 0o7777) for path in (target, target / "bin/run", target / "deep")} == {"0o555"}
    assert oct((target / "site.yaml").stat().st_mode & 0o7777) == "0o444"


def test_attributes_of_the_commit_have_no_say(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    attributes = "a export-ignore\nb export-subst\nc filter=evil\nd text eol=crlf ident\n.gitattributes export-ignore\n"
    files: dict[str, str | bytes | None] = {"a": "a", "b": "$Format:%H$", "c": "c", "d": "$Id$\n"}
    head = repo.commit("Attributes", {**files, ".gitattributes": attributes})
    mirror.fetch(f"{repo.path}", "main")
    mirror.export(head, tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_text() for name in files} == files
    assert (tmp_path / "out/.gitattributes").read_text() == attributes


DANGEROUS_NAMES = [
    *(".git", ".GIT", ".git ", ".git.", "git~1", ".g\u200cit", ".git::$INDEX_ALLOCATION", r"a\.git"),
    *("..", ".", "", "a/b"),
]


@pytest.mark.parametrize("name", DANGEROUS_NAMES)
def test_a_dangerous_name_is_never_written(repo: ConfigRepo, mirror: Mirror, tmp_path: Path, name: str) -> None:
    """Written into the mirror by hand: git's own check on fetching would refuse most of them before we see them."""
    mirror.fetch(f"{repo.path}", "main")
    hooks = repo.tree(("100755", repo.blob(b"#!/bin/sh\n"), "post-checkout"))
    head = repo.plumb(repo.tree(("40000", hooks, name), ("100644", repo.blob(b"ok"), "zz")), repo.head)
    shutil.copytree(repo.path / ".git/objects", tmp_path / "host/repo.git/objects", dirs_exist_ok=True)
    with pytest.raises(SourceError) as refused:
        mirror.export(head, tmp_path / "out/commit")
    assert refused.value.kind == "unsafe-tree"
    assert not (tmp_path / "out").exists()


def test_a_hook_in_the_tree_does_not_even_arrive(repo: ConfigRepo, mirror: Mirror) -> None:
    hooks = repo.tree(("100755", repo.blob(b"#!/bin/sh\n"), "post-checkout"))
    repo.plumb(repo.tree(("40000", hooks, ".git")), repo.head)
    with pytest.raises(SourceError, match="hasDotgit") as refused:
        mirror.fetch(f"{repo.path}", "main")
    assert refused.value.kind == "bad-objects"


def test_a_name_that_stands_twice_is_refused(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    """First a link to a folder of the host, then a folder of the same name whose files would land there."""
    mirror.fetch(f"{repo.path}", "main")
    inner = repo.tree(("100644", repo.blob(b"x"), "cron"))
    head = repo.plumb(repo.tree(("120000", repo.blob(b"elsewhere"), "a"), ("40000", inner, "a")), repo.head)
    shutil.copytree(repo.path / ".git/objects", tmp_path / "host/repo.git/objects", dirs_exist_ok=True)
    with pytest.raises(SourceError, match="twice"):
        mirror.export(head, tmp_path / "out")


OUT = ["/etc/passwd", "../../etc/passwd", "deep/../../x", "../..", "sub/../x", "x\ny", "..", "../work"]


@pytest.mark.parametrize("target", OUT)
def test_a_link_that_leads_out_is_not_there_where_code_runs(
    repo: ConfigRepo, mirror: Mirror, tmp_path: Path, target: str
) -> None:
    link = "bin/link" if target == "../.." else "link"
    (repo.path / link).symlink_to(target)
    head = repo.commit("Link")
    mirror.fetch(f"{repo.path}", "main")
    mirror.export(head, tmp_path / "out")
    assert files_below(tmp_path / "out") == {"bin/run", "site.yaml"}
    assert mirror.tree(head).read(link) == target.encode(), "it can be made in a home"
    mirror.export(head, tmp_path / "all", outward=True)
    assert (tmp_path / "all" / link).readlink() == Path(target)


@pytest.mark.parametrize("name", ["Icon\r", "a\nb", "x\x1b[2J", "x\x7f"])
def test_a_name_with_a_control_character_is_left_out_and_named(
    repo: ConfigRepo, mirror: Mirror, tmp_path: Path, name: str
) -> None:
    """git takes it: such as the icon that a Mac puts into a folder."""
    head = repo.commit("Odd", {f"bin/{name}": "x"})
    mirror.fetch(f"{repo.path}", "main")
    mirror.export(head, tmp_path / "out")
    assert files_below(tmp_path / "out") == {"bin/run", "site.yaml"}
    (told,) = mirror.tree(head).left_out()
    assert told.startswith("bin/")
    assert told.endswith("whose name holds a control character")
    assert told.isprintable()


def test_a_name_that_is_not_utf8_is_left_out_and_named(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(repo.path) + b"/caf\xe9")).write_text("x")
    head = repo.commit("Latin 1")
    mirror.fetch(f"{repo.path}", "main")
    mirror.export(head, tmp_path / "out")
    assert files_below(tmp_path / "out") == {"bin/run", "site.yaml"}
    assert mirror.tree(head).left_out() == ("caf\\xe9, whose name is not UTF-8",)


def test_a_submodule_is_left_out_and_named(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    modules = repo.blob(b'[submodule "x"]\n\tpath = vendor\n\turl = ../evil\n')
    tree = repo.tree(("100644", modules, ".gitmodules"), ("160000", repo.head, "vendor"))
    head = repo.plumb(tree, repo.head)
    mirror.fetch(f"{repo.path}", "main")
    mirror.export(head, tmp_path / "out")
    assert files_below(tmp_path / "out") == {".gitmodules"}
    found = mirror.tree(head)
    assert found.left_out() == ("the submodule vendor, which hosts do not fetch",)
    absence = found.absence("vendor/lib/x.py")
    assert absence is not None
    assert absence.why == "lies in the submodule vendor, which hosts do not fetch"
    assert found.absence("nowhere/x.py") is None


GITS_OWN = [".git", ".GIT", ".git.", ".git ", "git~1", ".git::$INDEX_ALLOCATION", ".g\u200cit"]


@pytest.mark.parametrize("name", GITS_OWN)
def test_git_itself_refuses_the_names_of_which_the_hint_says_so(repo: ConfigRepo, name: str) -> None:
    blob = repo.blob(b"x")
    argv = ["git", "-C", f"{repo.path}", "update-index", "--add", "--cacheinfo", f"100644,{blob},{name}/x"]
    protect = ["-c", "core.protectHFS=true", "-c", "core.protectNTFS=true"]
    assert not run([argv[0], *protect, *argv[1:]], timeout_s=20).ok
    with pytest.raises(SourceError) as refused:
        CommitTree("t", lambda *_: f"100644 {name}\0".encode() + bytes(20)).entries()
    assert "git itself refuses" in refused.value.hint


def test_an_export_that_cannot_be_finished_leaves_nothing(
    repo: ConfigRepo, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(git_tree, "sync_file_system", full)
    head = mirror.fetch(f"{repo.path}", "main").sha
    (tmp_path / "commits").mkdir()
    with pytest.raises(OSError, match="No space"):
        mirror.export(head, tmp_path / "commits" / head)
    assert list((tmp_path / "commits").iterdir()) == []


def test_an_empty_commit_exports_to_an_empty_folder(repo: ConfigRepo, mirror: Mirror, tmp_path: Path) -> None:
    head = repo.plumb(repo.tree(), repo.head)
    mirror.fetch(f"{repo.path}", "main")
    mirror.export(head, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
