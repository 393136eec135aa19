"""Whatever is changed on a host: where a plan would find it, an answer to what the last plan rested on differs, and a
second look by a glance finds the same.

Paths here, changed at random; the other kinds in tests/deploys, whose driver holds this for every plan that it makes.
"""

from __future__ import annotations

import itertools
import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.deploys import systemctl
from agent.deploys.items import Item, concrete_items
from agent.deploys.questions import below, through
from agent.deploys.tree import corrections, questions
from agent.deploys.unit_state import LoadedUnit
from agent.domain.digest import JSON
from agent.domain.question import Question
from agent.engine.built_in import look
from agent.engine.protocol import EarlierLook, Order
from agent.errors import HostwrightError
from agent.trace.answers import differing, trace
from agent.trace.glance import Glance
from agent.trace.rest import Rest, lines, write
from tests.drawing import cases

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: owners and attributes are changed")

NUMBERS = itertools.count(1)
"""For names that nothing else has."""

NAMES = ("top", "top/file", "top/private", "top/sub", "top/sub/file", "top/link", "top/sub/listed", "gone", "way/below")
"""Paths that are wanted, and ``way``, a link on the way to one."""


def wanted(root: Path) -> list[Item]:
    def item(path: str, kind: str, **fields: object) -> Item:
        return Item(path=f"{root}/{path}", kind=kind, **fields)  # type: ignore[arg-type]

    return [
        item("top", "directory", mode=0o755),
        item("top/file", "file", text="wanted\n", mode=0o644),
        item("top/private", "file", text="wanted\n", mode=0o600, owner="nobody"),
        item("top/sub", "directory"),
        item("top/sub/file", "file", text="wanted\n"),
        item("top/sub/listed", "block", part="ours", text="wanted\n"),
        item("top/sub/listed", "line", part="b = 1", text="b = 1"),
        item("top/link", "link", target="file"),
        item("gone", "file", absent=True),
        item("way/below", "file", text="wanted\n"),
    ]


def _acl(path: Path, name: str = "system.posix_acl_access") -> None:
    entries = ((0x01, 7, 2**32 - 1), (0x02, 7, 12345), (0x04, 5, 2**32 - 1), (0x10, 7, 2**32 - 1), (0x20, 5, 2**32 - 1))
    os.setxattr(path, name, struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries))


def _keeping_times(change: Callable[[Path], object]) -> Callable[[Path], object]:
    def changed(path: Path) -> None:
        before = path.lstat()
        change(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns), follow_symlinks=False)

    return changed


def _moved_aside(path: Path, make: Callable[[Path], object]) -> None:
    path.rename(path.with_name(f"aside-{next(NUMBERS)}"))
    make(path)


def _written(path: Path, text: str, flags: int = os.O_TRUNC) -> None:
    """Without waiting: a change before may have made a FIFO of it, which nobody reads."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | flags, 0o666)
    with open(descriptor, "w") as file:
        file.write(text)


CHANGES: Mapping[str, Callable[[Path], object]] = {
    "append": lambda path: _written(path, "more\n", os.O_APPEND),
    "same size": lambda path: _written(path, "x" * path.stat().st_size),
    "same size and times": _keeping_times(lambda path: _written(path, "x" * path.stat().st_size)),
    "mode": lambda path: path.chmod(0o777),
    "setuid": lambda path: path.chmod(0o4755),
    "owner": lambda path: os.chown(path, 12345, -1, follow_symlinks=False),
    "group": lambda path: os.chown(path, -1, 12345, follow_symlinks=False),
    "ACL": _acl,
    "ACL and times": _keeping_times(_acl),
    "default ACL": lambda path: _acl(path, "system.posix_acl_default"),
    "capability": lambda path: os.setxattr(
        path, "security.capability", struct.pack("<IIIII", 0x02000001, 1024, 0, 0, 0)
    ),
    "label": lambda path: os.setxattr(path, "user.label", b"x"),
    "deleted": lambda path: shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(),
    "moved": lambda path: path.rename(path.with_name("moved")),
    "made anew": lambda path: _moved_aside(path, lambda at: _written(at, "wanted\n")),
    "copied back": lambda path: _moved_aside(path, lambda at: shutil.copy2(max(at.parent.glob("aside-*")), at)),
    "a link instead": lambda path: _moved_aside(path, lambda at: at.symlink_to("moved")),
    "a link of somebody else": lambda path: _moved_aside(
        path, lambda at: (at.symlink_to("sub"), os.chown(at, 12345, 12345, follow_symlinks=False))
    ),
    "a folder instead": lambda path: _moved_aside(path, Path.mkdir),
    "a FIFO instead": lambda path: _moved_aside(path, os.mkfifo),
    "there": lambda path: _written(path, "new"),
    "something in it": lambda path: _written(path / "other", ""),
    "touched": lambda path: os.utime(path, follow_symlinks=False),
    "a second name": lambda path: os.link(path, path.with_name(f"second-{next(NUMBERS)}")),
    "the folder's mode": lambda path: path.parent.chmod(0o777),
    "the folder's owner": lambda path: os.chown(path.parent, 12345, 12345),
    "the folder moved and linked": lambda path: (
        path.parent.rename(f"{path.parent}.real"),
        path.parent.symlink_to(f"{path.parent.name}.real"),
    ),
}


def found(arguments: Mapping[str, JSON], root: Path) -> list[object]:
    try:
        return [each.change for each in corrections(arguments, root)]
    except (HostwrightError, OSError) as error:
        return [f"{error}"]


@cases(40)
@example(changes=[("top/file", "a FIFO instead"), ("top/file", "append")])
@given(changes=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(sorted(CHANGES))), min_size=1, max_size=3))
def test_a_path_that_a_plan_would_find_changed_has_another_answer(
    tmp_path: Path, changes: list[tuple[str, str]]
) -> None:
    root = tmp_path / f"{next(NUMBERS)}"
    (root / "elsewhere").mkdir(parents=True)
    (root / "way").symlink_to("elsewhere")
    arguments: Mapping[str, JSON] = {"items": concrete_items(wanted(root))[0]}
    for correction in corrections(arguments, root):
        correction.run()
    rest, glance = root.with_suffix(".rest"), Glance()
    write(rest, Rest(), trace(questions(arguments)))
    assert found(arguments, root) == []
    assert glance.differing(rest, 1000) == []
    made = []
    for name, change in changes:
        try:
            CHANGES[change](root / name)
            made.append(f"{change} of {name}")
        except OSError:
            continue
    differ = sorted(differing(lines(rest)))
    if found(arguments, root):
        assert differ, made
    assert sorted(glance.differing(rest, 1000)) == differ, made


@cases(40)
@given(
    before=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(sorted(CHANGES))), max_size=2),
    since=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(sorted(CHANGES))), max_size=2),
)
def test_a_second_look_at_what_may_differ_finds_what_a_whole_look_does(
    tmp_path: Path, before: list[tuple[str, str]], since: list[tuple[str, str]]
) -> None:
    root = tmp_path / f"{next(NUMBERS)}"
    (root / "elsewhere").mkdir(parents=True)
    (root / "way").symlink_to("elsewhere")
    order = Order("files", "files", None, {"items": concrete_items(wanted(root))[0]}, {}, False)
    for correction in corrections(order.arguments, root):
        correction.run()
    for name, change in before:
        with suppress(OSError):
            CHANGES[change](root / name)
    first = look(order, root, traced=True)
    for name, change in since:
        with suppress(OSError):
            CHANGES[change](root / name)
    second = look(replace(order, earlier=EarlierLook(first.trace, first.found.resources)), root, traced=True)
    whole = look(order, root, traced=True)
    assert second.found == whole.found


def pointed(link: Path, target: str) -> None:
    (link.parent / "new").symlink_to(target)
    (link.parent / "new").replace(link)


ALONG_LINKS: Mapping[str, Callable[[Path], object]] = {
    "the link": lambda root: pointed(root / "read/link", "../archive/2"),
    "the link that it leads to": lambda root: pointed(root / "live/link", "../archive/2"),
    "a folder on the way that is a link": lambda root: pointed(root / "live", "other"),
    "the last link": lambda root: pointed(root / "current/link", "2"),
    "the file": lambda root: (root / "archive/1").write_text("other"),
    "the file is gone": lambda root: (root / "archive/1").unlink(),
}


@pytest.mark.parametrize(
    ("asked", "name"),
    [*itertools.product([through, below], ["read/link", "away/link"]), (below, "read"), (below, "away")],
)
def test_a_change_of_any_link_on_the_way_to_what_is_read_has_another_answer(
    tmp_path: Path, asked: Callable[[str], Iterator[Question]], name: str
) -> None:
    """As certbot's certificates are, and shells by update-alternatives: a link to a link to a link."""
    for number, make in enumerate(ALONG_LINKS.values()):
        root = tmp_path / f"{number}"
        for folder in ("read", "real", "other", "archive"):
            (root / folder).mkdir(parents=True)
        for each in ("1", "2"):
            (root / "archive" / each).write_text(each)
        for link, target in {
            "away": "read",
            "read/link": f"{root}/live/link",
            "live": "real",
            "real/link": "../current/link",
            "other/link": "../archive/2",
            "current": "archive",
            "archive/link": "1",
        }.items():
            (root / link).symlink_to(target)
        text = (root / name if name.endswith("link") else root / name / "link").read_text()
        kept = trace(asked(f"{root / name}")).encode("latin-1").splitlines()
        assert list(differing(kept)) == []
        make(root)
        with suppress(OSError):
            assert (root / "read/link").read_text() != text
        assert list(differing(kept)), list(ALONG_LINKS)[number]


def test_a_second_look_restarts_what_reads_through_a_link_that_was_pointed_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd is stood in for."""
    for name in ("1", "2"):
        (tmp_path / name).write_text(name)
    (tmp_path / "between").symlink_to("1")
    (tmp_path / "read").symlink_to(tmp_path / "between")
    time.sleep(0.02)
    clock = systemctl.now()
    unit = LoadedUnit(
        "loaded",
        "active",
        "running",
        "enabled",
        started_us=clock.wall_us,
        started_monotonic_us=clock.monotonic_us,
        id="web.service",
    )
    monkeypatch.setattr(systemctl, "require_systemd", lambda *_: None)
    monkeypatch.setattr(systemctl, "query", lambda names: dict.fromkeys(names, unit))
    units: JSON = {"web.service": {"running": True, "restart_on": [f"{tmp_path}/read"]}}
    order = Order("web", "services", None, {"units": units, "items": []}, {}, False)
    first = look(order, Path("/"), traced=True)
    assert first.found.changes == ()
    time.sleep(0.02)
    pointed(tmp_path / "between", "2")
    second = look(replace(order, earlier=EarlierLook(first.trace, first.found.resources)), Path("/"), traced=True)
    assert [change.operation for change in second.found.changes] == ["restart"]


def test_most_changes_are_found_by_a_plan(tmp_path: Path) -> None:
    """Otherwise the test above would hold nothing."""
    seen = set()
    for change, make in CHANGES.items():
        for name in NAMES:
            root = tmp_path / f"{next(NUMBERS)}"
            (root / "elsewhere").mkdir(parents=True)
            (root / "way").symlink_to("elsewhere")
            arguments: Mapping[str, JSON] = {"items": concrete_items(wanted(root))[0]}
            for correction in corrections(arguments, root):
                correction.run()
            try:
                make(root / name)
            except OSError:
                continue
            if found(arguments, root):
                seen.add(change)
                break
    assert set(CHANGES) - seen <= {"label", "touched", "a second name", "something in it", "copied back", "made anew"}
