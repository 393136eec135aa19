"""Places that cannot be replaced: mount points, immutable and append-only files; what is said of them."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.deploys.files.file import File
from agent.deploys.items import Item
from agent.deploys.place import SYSTEM
from agent.deploys.services import host
from agent.deploys.services.host import Unit
from agent.domain.ownership import LedgerEntry, Origin
from agent.errors import DeployError
from agent.system.files import write_atomic
from tests.deploys.trees import absent, carry_out, converge, directory, edit_line, file, link, only, plan

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts, which only root may")

IMMUTABLE, APPEND_ONLY = 0x10, 0x20
SET_FLAGS, GET_FLAGS = 0x40086602, 0x80086601


CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000


def with_mount(target: Path, work: Callable[[], object]) -> Any:
    """What ``work`` returns (as JSON does) in a mount namespace of its own, where the file ``other`` is mounted on
    ``target``, as a container's /etc/hosts is. The namespace goes with its process, whatever happens."""
    target.write_text("below\n")
    other = target.with_name("other")
    other.write_text("a much longer text than what is wanted\n")
    other.chmod(0o644)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            done = libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)
            done = done or libc.mount(os.fsencode(other), os.fsencode(target), None, MS_BIND, None)
            os.write(writing, json.dumps(os.strerror(ctypes.get_errno()) if done else work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer)


@contextmanager
def flagged(path: Path, flag: int) -> Iterator[None]:
    try:
        _flag(path, flag, on=True)
    except OSError:
        pytest.skip("this file system has no such attributes")
    try:
        yield
    finally:
        _flag(path, flag, on=False)


def _flag(path: Path, flag: int, *, on: bool) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flags = int.from_bytes(fcntl.ioctl(descriptor, GET_FLAGS, bytes(8)), sys.byteorder)
        flags = flags | flag if on else flags & ~flag
        fcntl.ioctl(descriptor, SET_FLAGS, flags.to_bytes(8, sys.byteorder))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("item", "operation", "content"),
    [
        (lambda path: file(path, mode=0o640), "write content, set mode 0640 (was 0644)", "wanted\n"),
        (edit_line, "edit b", "a much longer text than what is wanted\nb\n"),
    ],
)
def test_content_at_a_mount_point_is_written_in_place(
    tmp_path: Path, item: Callable[[Path], Item], operation: str, content: str
) -> None:
    target = tmp_path / "f"
    told = with_mount(target, lambda: [step.change.operation for step in converge(item(target))])
    assert told == [f"{operation}, in place because something is mounted there"]
    assert (tmp_path / "other").read_text() == content
    assert target.read_text() == "below\n"
    assert {path.name for path in tmp_path.iterdir()} == {"f", "other"}


@pytest.mark.parametrize("item", [absent, lambda path: link(path, "x"), lambda path: directory(path, 0o755)])
def test_what_nothing_can_take_the_place_of_is_told_when_planned(tmp_path: Path, item: Callable[[Path], Item]) -> None:
    wanted = item(tmp_path / "f")

    def planned() -> object:
        step = only(plan(wanted))
        with SYSTEM.opened() as start, pytest.raises(DeployError) as refused:
            carry_out(SYSTEM, start, wanted, None)
        return step.change.refused, step.change.operation, refused.value.message

    told = "something is mounted there; unmount it, or leave it out"
    assert with_mount(tmp_path / "f", planned) == [True, told, f"{tmp_path}/f: {told}"]


@pytest.mark.parametrize(("flag", "word", "letter"), [(IMMUTABLE, "immutable", "i"), (APPEND_ONLY, "append-only", "a")])
def test_an_attribute_that_keeps_a_file_is_named_with_the_way_out(
    tmp_path: Path, flag: int, word: str, letter: str
) -> None:
    target = tmp_path / "f"
    target.write_text("found\n")
    step = only(plan(file(target)))
    with flagged(target, flag), SYSTEM.opened() as start, pytest.raises(DeployError) as refused:
        carry_out(SYSTEM, start, step.item, step.content)
    assert (refused.value.message, refused.value.hint) == (
        f"{target}: {target} is {word}",
        f"`chattr -{letter} {target}`",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_an_immutable_folder_is_named_with_the_way_out(tmp_path: Path) -> None:
    step = only(plan(file(tmp_path / "f")))
    with flagged(tmp_path, IMMUTABLE), SYSTEM.opened() as start, pytest.raises(DeployError) as refused:
        carry_out(SYSTEM, start, step.item, step.content)
    assert refused.value.hint == f"`chattr -i {tmp_path}`"


@pytest.mark.parametrize("locked", ["document", "."])
def test_a_document_that_cannot_be_written_names_the_way_out(tmp_path: Path, locked: str) -> None:
    (tmp_path / "document").touch()
    wording = f"is immutable; `chattr -i {tmp_path}"
    with flagged(tmp_path / locked, IMMUTABLE), pytest.raises(OSError, match=wording) as told:
        write_atomic(tmp_path / "document", b"ours")
    assert told.value.errno == errno.EPERM
    assert [path.name for path in tmp_path.iterdir()] == ["document"]


def test_a_unit_that_cannot_be_removed_keeps_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "booted", lambda: False)
    for name in ("a.service", "b.service"):
        (tmp_path / name).touch()
    entries = [LedgerEntry(f"unit:{name}", "services", 5, Origin.CREATED) for name in ("a.service", "b.service")]
    with flagged(tmp_path / "a.service", IMMUTABLE):
        stayed = Unit(tmp_path).remove(entries, purge=False)
    told = f"{tmp_path}/a.service is immutable; `chattr -i {tmp_path}/a.service`"
    assert stayed == {"unit:a.service": told}
    assert [path.name for path in tmp_path.iterdir()] == ["a.service"]


def test_what_cannot_be_removed_keeps_nothing_else(tmp_path: Path) -> None:
    names = ("a", "f", "locked", "b")
    for name in names:
        (tmp_path / name).touch()
    entries = [LedgerEntry(f"file:{tmp_path / name}", "files", 5, Origin.CREATED) for name in names]
    with flagged(tmp_path / "locked", IMMUTABLE):
        stayed = with_mount(tmp_path / "f", lambda: File().remove(entries, purge=False))
    assert stayed == {
        f"file:{tmp_path}/f": f"{tmp_path}/f: something is mounted there; `umount {tmp_path}/f`, or leave it out",
        f"file:{tmp_path}/locked": f"{tmp_path}/locked: {tmp_path}/locked is immutable; `chattr -i {tmp_path}/locked`",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"f", "other", "locked"}
