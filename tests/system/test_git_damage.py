"""A mirror that the disk, a kill or somebody damaged: it is noticed, and heals where there is a remote."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.errors import SourceError
from agent.system.mirror import Mirror
from tests.gitserver import ConfigRepo
from tests.system.conftest import NOWHERE, trusting


def overwrite_packs(repository: Path, share: float) -> None:
    """Sixteen bytes of each pack are zeroed, so far into it."""
    for pack in repository.glob("objects/pack/*.pack"):
        pack.chmod(0o644)
        data = bytearray(pack.read_bytes())
        start = int(len(data) * share)
        data[start : start + 16] = bytes(16)
        pack.write_bytes(data)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_mirror_with_bytes_overwritten_in_its_pack_heals(repo: ConfigRepo, tmp_path: Path, share: float) -> None:
    data = os.urandom(3000)
    repo.commit("Data", {"data": data})
    trusting(tmp_path / "repo.git", repo)
    overwrite_packs(tmp_path / "repo.git", share)
    mirror = Mirror(tmp_path / "repo.git", NOWHERE)
    head = mirror.fetch(f"{repo.path}", "main").sha
    mirror.export(head, tmp_path / "out")
    assert (tmp_path / "out/data").read_bytes() == data


@pytest.mark.parametrize(
    "broken",
    ["HEAD", "config", "objects", "refs", "refs/hostwright/tip.lock", "packed-refs", "objects/pack"],
)
def test_a_mirror_with_a_broken_part_heals(repo: ConfigRepo, tmp_path: Path, broken: str) -> None:
    path = tmp_path / "repo.git"
    trusting(path, repo)
    part = path / broken
    if part.is_dir():
        shutil.rmtree(part)
    part.write_bytes(b"\0garbage")
    head = repo.commit("Second", {"x": "y"})
    mirror = Mirror(path, NOWHERE)
    assert mirror.fetch(f"{repo.path}", "main").sha == head
    assert mirror.tree(head).read("x") == b"y"


def test_a_file_where_the_mirror_should_be_is_set_aside(repo: ConfigRepo, tmp_path: Path) -> None:
    (tmp_path / "repo.git").write_text("what is this")
    assert Mirror(tmp_path / "repo.git", NOWHERE).fetch(f"{repo.path}", "main").sha == repo.head
    assert (tmp_path / "repo.git.damaged").read_text() == "what is this"


def test_damage_without_a_remote_to_heal_from_is_said(repo: ConfigRepo, tmp_path: Path) -> None:
    head = repo.commit("Data", {"data": os.urandom(3000)})
    trusting(tmp_path / "repo.git", repo)
    overwrite_packs(tmp_path / "repo.git", 0.7)
    with pytest.raises(SourceError, match="damaged") as refused:
        Mirror(tmp_path / "repo.git", NOWHERE).export(head, tmp_path / "out")
    assert refused.value.kind == "mirror-damaged"
    assert not (tmp_path / "out").exists()


def test_an_object_that_is_not_what_its_name_says_is_not_believed(repo: ConfigRepo, tmp_path: Path) -> None:
    """Git does not hash what it reads: this loose object is well-formed, and another one."""
    head = repo.commit("Data", {"data": "good"})
    objects = repo.path / ".git/objects"
    good, bad = repo.blob(b"good"), repo.blob(b"evil")
    shutil.copytree(objects, tmp_path / "copy.git/objects")
    for name in ("HEAD", "config", "refs"):
        source = repo.path / ".git" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / "copy.git" / name)
    forged = tmp_path / "copy.git/objects" / good[:2] / good[2:]
    forged.chmod(0o644)
    shutil.copy(objects / bad[:2] / bad[2:], forged)
    mirror = Mirror(tmp_path / "copy.git", NOWHERE)
    shown = subprocess.run(
        ["git", "-C", tmp_path / "copy.git", "cat-file", "blob", good], capture_output=True, check=True
    )
    assert shown.stdout == b"evil"
    with pytest.raises(SourceError) as refused:
        mirror.tree(head).read("data")
    assert refused.value.kind == "mirror-damaged"


def test_a_host_without_git_says_so(tmp_path: Path, repo: ConfigRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}")
    with pytest.raises(SourceError) as refused:
        Mirror(tmp_path / "repo.git", NOWHERE).fetch(f"{repo.path}", "main")
    assert refused.value.kind == "git-missing"
    assert re.search("install", refused.value.hint)
