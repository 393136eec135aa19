"""A user who owns a folder moves things in it while the agent works there, or kept a way to what was his."""

from __future__ import annotations

import ctypes
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from agent.deploys.place import SYSTEM
from agent.deploys.tree import carry_out
from agent.errors import DeployError
from tests.deploys.trees import as_root, converge, directory, file, only, plan
from tests.system import acls

MAL = {"owner": "65534", "group": "65534"}
TRIES = 150
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


@contextmanager
def exchanged(one: Path, other: Path) -> Iterator[None]:
    """Both names change places, again and again, by a process of its own."""
    libc = ctypes.CDLL(None)
    child = os.fork()
    if not child:
        names = os.fsencode(one), os.fsencode(other)
        while True:
            libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@as_root
def test_a_file_of_root_that_is_moved_in_at_any_moment_is_not_given_away(tmp_path: Path) -> None:
    app = tmp_path / "app"
    converge(replace(directory(app, 0o755), **MAL), file(app / "secret", "root's\n", mode=0o600))
    wanted, moving = file(app / "app.ini", mode=0o640, **MAL), [app / "secret", app / "app.ini"]
    converge(wanted)
    given = []
    for _ in range(TRIES):
        for path in moving:
            if path.read_text() == "wanted\n":
                path.chmod(0o600)
        with exchanged(*moving), suppress(DeployError), SYSTEM.opened() as start:
            carry_out(SYSTEM, start, wanted, b"wanted\n")
        given += [path for path in moving if path.read_text() == "root's\n" and path.stat().st_uid != 0]
        if "root's\n" not in {path.read_text() for path in moving}:
            converge(file(app / "secret", "root's\n", mode=0o600), wanted)
    assert not given


@as_root
def test_a_file_that_others_could_write_to_is_replaced_when_it_is_taken_from_them(tmp_path: Path) -> None:
    for name, before in (("owned", {**MAL, "mode": 0o644}), ("open", {"mode": 0o666})):
        path = tmp_path / name
        converge(file(path, **before))
        with path.open("r+") as kept:
            step = only(converge(file(path)))
            assert step.change.operation.startswith("set ")
            kept.write("mal's\n")
        status = path.stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode), path.read_text()) == (0, 0o644, "wanted\n")


@as_root
@pytest.mark.parametrize("by", ["its group", "an ACL"])
def test_a_file_is_replaced_when_its_group_or_an_acl_loses_the_right_to_write(tmp_path: Path, by: str) -> None:
    path = tmp_path / "f"
    converge(file(path, mode=0o664, **(MAL | {"owner": "0"} if by == "its group" else {})))
    if by == "an ACL":
        acls.give(path, 65534, 6)
    with path.open("r+") as kept:
        assert only(converge(file(path, mode=0o664))).change.operation.startswith(("set owner", "remove ACL"))
        kept.write("mal's\n")
    assert path.read_text() == "wanted\n"


@as_root
def test_a_file_keeps_its_inode_where_nobody_loses_a_right_to_write(tmp_path: Path) -> None:
    converge(file(tmp_path / "f", mode=0o644))
    before = (tmp_path / "f").stat().st_ino
    assert only(plan(file(tmp_path / "f", mode=0o600)))
    converge(file(tmp_path / "f", mode=0o600, **MAL))
    assert (tmp_path / "f").stat().st_ino == before
