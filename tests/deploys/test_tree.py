"""Trees: what differs is said, put right whole or not at all, and nothing leads out of its place."""

from __future__ import annotations

import os
import socket
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agent.deploys import at_path
from agent.deploys.items import Item, Policy
from agent.deploys.place import SYSTEM
from agent.deploys.tree import carry_out
from agent.domain.tree import blob_id
from agent.errors import DeployError
from tests.deploys.commit import snapshot
from tests.deploys.trees import ROOT, absent, as_root, converge, directory, edit_line, file, link, only, plan

# What is wanted comes to be, exactly


def test_a_missing_file_is_created_with_its_mode_and_parents(tmp_path: Path) -> None:
    usual = os.umask(0o077)
    try:
        steps = converge(file(tmp_path / "a/b/f", mode=0o640), directory(tmp_path / "a"), directory(tmp_path / "a/b"))
    finally:
        os.umask(usual)
    assert [step.item.key for step in steps] == [
        f"directory:{tmp_path}/a",
        f"directory:{tmp_path}/a/b",
        f"file:{tmp_path}/a/b/f",
    ]
    assert snapshot(tmp_path) == {
        "a": ("directory", 0o755, None),
        "a/b": ("directory", 0o755, None),
        "a/b/f": ("file", 0o640, b"wanted\n"),
    }


def test_a_plan_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("found\n")
    before = snapshot(tmp_path)
    assert plan(file(tmp_path / "f"), file(tmp_path / "new"), link(tmp_path / "l", "x"), directory(tmp_path / "d"))
    assert snapshot(tmp_path) == before


def test_a_change_is_told_with_the_old_mode_and_a_diff(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.write_text("a\nfound\n")
    target.chmod(0o600)
    change = only(plan(file(target, "a\nwanted\n"))).change
    assert change.operation == "write content, set mode 0644 (was 0600)"
    assert change.diff == (f"--- {target} (found)\n+++ {target} (wanted)\n@@ -1,2 +1,2 @@\n a\n-found\n+wanted\n")
    assert change.private


def test_a_further_part_of_a_new_file_is_told_beside_the_one_before(tmp_path: Path) -> None:
    first, second = plan(edit_line(tmp_path / "f", "a"), edit_line(tmp_path / "f", "b"))
    assert first.change.diff is not None
    assert second.change.diff == f"--- {tmp_path}/f (found)\n+++ {tmp_path}/f (wanted)\n@@ -1 +1,2 @@\n a\n+b\n"


def test_a_wrong_mode_alone_is_set_without_writing_the_content(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.write_text("wanted\n")
    target.chmod(0o600)
    inode = target.stat().st_ino
    assert only(converge(file(target))).change.operation == "set mode 0644 (was 0600)"
    assert target.stat().st_ino == inode


@as_root
def test_owner_and_group_are_exact_and_survive_set_id_bits(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.write_text("wanted\n")
    step = only(converge(file(target, mode=0o4755, owner="65534", group="12345")))
    assert step.change.operation == "set mode 4755 (was 0644), set owner nobody:12345 (was root:root)"
    status = target.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (65534, 12345, 0o4755)


def test_an_owner_who_does_not_exist_is_shown_in_a_plan_and_refused_when_applied(tmp_path: Path) -> None:
    item = file(tmp_path / "f", owner="no-such-user", group=None)
    step = only(plan(item))
    assert step.change.operation == "create file, mode 0644, owner no-such-user, who does not exist yet"
    with pytest.raises(DeployError, match="user no-such-user does not exist"), SYSTEM.opened() as start:
        carry_out(SYSTEM, start, item, step.content)
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize("found", ["missing", "other", "dangling", "file", "empty"])
def test_a_link_takes_the_place_of_what_may_be_replaced(tmp_path: Path, found: str) -> None:
    target = tmp_path / "l"
    _make(target, found)
    converge(link(target, "somewhere"))
    assert f"{target.readlink()}" == "somewhere"


@pytest.mark.parametrize("found", ["missing", "other", "dangling", "file", "empty"])
def test_a_file_takes_the_place_of_what_may_be_replaced(tmp_path: Path, found: str) -> None:
    target = tmp_path / "f"
    _make(target, found)
    (tmp_path / "elsewhere").write_text("untouched")
    converge(file(target))
    assert not target.is_symlink()
    assert target.read_text() == "wanted\n"
    assert (tmp_path / "elsewhere").read_text() == "untouched"


def test_a_named_directory_takes_the_place_of_a_file_and_a_mere_parent_does_not(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("x")
    assert only(plan(directory(tmp_path / "d"))).change.refused
    converge(directory(tmp_path / "d", 0o750))
    assert snapshot(tmp_path) == {"d": ("directory", 0o750, None)}


def test_a_parent_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o700)
    assert plan(directory(tmp_path / "d")) == []


@pytest.mark.parametrize("found", ["missing", "other", "dangling", "file", "empty", "fifo"])
def test_absent_removes_a_name_and_not_what_it_leads_to(tmp_path: Path, found: str) -> None:
    target = tmp_path / "x"
    _make(target, found)
    (tmp_path / "elsewhere").write_text("untouched")
    converge(absent(target), absent(tmp_path / "elsewhere/below"))
    assert snapshot(tmp_path).keys() == {"elsewhere"}


def test_nested_absent_directories_go_from_the_inside_out(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for step in plan(absent(tmp_path / "a"), absent(tmp_path / "a/b")):
        with SYSTEM.opened() as start:
            carry_out(SYSTEM, start, step.item, step.content)
    assert snapshot(tmp_path) == {}


# What stands in the way


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        *(("file", found) for found in ("full", "fifo", "socket")),
        *(("link", found) for found in ("full", "fifo", "socket")),
        *(("directory", found) for found in ("other", "dangling", "fifo", "socket")),
    ],
)
def test_what_only_a_person_may_remove_is_refused_and_stands(tmp_path: Path, wanted: str, found: str) -> None:
    target = tmp_path / "x"
    _make(target, found)
    (tmp_path / "elsewhere").mkdir()
    item = {"file": file(target), "link": link(target, "x"), "directory": directory(target, 0o755)}[wanted]
    before = snapshot(tmp_path)
    step = only(plan(item))
    assert step.change.refused
    assert "in the way" in step.change.operation
    with pytest.raises(DeployError, match="in the way"), SYSTEM.opened() as start:
        carry_out(SYSTEM, start, item, step.content)
    assert snapshot(tmp_path) == before


def test_a_directory_that_is_not_empty_is_never_removed(tmp_path: Path) -> None:
    _make(tmp_path / "x", "full")
    assert only(plan(absent(tmp_path / "x"))).change.refused
    assert (tmp_path / "x/kept").exists()


def test_what_is_blocked_comes_last(tmp_path: Path) -> None:
    _make(tmp_path / "a", "fifo")
    steps = plan(file(tmp_path / "a"), file(tmp_path / "b"))
    assert [(step.item.path, step.change.refused) for step in steps] == [
        (f"{tmp_path}/b", False),
        (f"{tmp_path}/a", True),
    ]


def test_what_needs_an_owner_who_does_not_exist_comes_last_with_all_that_lies_in_it(tmp_path: Path) -> None:
    theirs = replace(directory(tmp_path / "a", 0o755), owner="no-such-user", group=None)
    steps = plan(theirs, file(tmp_path / "a/f"), file(tmp_path / "b"))
    assert [step.item.path for step in steps] == [f"{tmp_path}/b", f"{tmp_path}/a", f"{tmp_path}/a/f"]


def test_keep_leaves_what_is_there_and_creates_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("mine\n")
    converge(file(tmp_path / "f", policy=Policy.KEEP), file(tmp_path / "g", policy=Policy.KEEP))
    assert (tmp_path / "f").read_text() == "mine\n"
    assert (tmp_path / "g").read_text() == "wanted\n"


def test_fail_leaves_what_is_there_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("mine\n")
    step = only(plan(file(tmp_path / "f", policy=Policy.FAIL)))
    assert step.change.operation.startswith("differs, and its policy is fail")
    assert "-mine\n+wanted\n" in (step.change.diff or "")
    with pytest.raises(DeployError, match="its policy is fail"), SYSTEM.opened() as start:
        carry_out(SYSTEM, start, step.item, step.content)
    assert (tmp_path / "f").read_text() == "mine\n"


# Whole or not at all


def test_a_write_that_fails_half_way_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_text("found\n")
    before = snapshot(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    step = only(plan(file(tmp_path / "f")))
    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(DeployError, match="f: No space left on device"), SYSTEM.opened() as start:
        carry_out(SYSTEM, start, step.item, step.content)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("call", ["fchmod", "fsync", "rename"])
def test_killed_at_any_step_the_old_file_stands_and_the_next_run_cleans_up(tmp_path: Path, call: str) -> None:
    (tmp_path / "f").write_text("found\n")
    step = only(plan(file(tmp_path / "f", "wanted\n" * 10_000)))
    child = os.fork()
    if child == 0:
        setattr(os, call, lambda *_, **__: os.kill(os.getpid(), 9))
        with SYSTEM.opened() as start:
            carry_out(SYSTEM, start, step.item, step.content)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9
    assert (tmp_path / "f").read_text() == "found\n"
    assert len(snapshot(tmp_path)) == 2
    converge(step.item)
    assert snapshot(tmp_path).keys() == {"f"}


def test_what_was_there_first_is_kept_once(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.write_text("first\n")
    target.chmod(0o600)
    converge(file(target, "second\n", backup=True))
    converge(file(target, "third\n", backup=True))
    assert snapshot(tmp_path) == {
        "f": ("file", 0o644, b"third\n"),
        "f.before-hostwright": ("file", 0o600, b"first\n"),
    }


@pytest.mark.parametrize("item", [lambda path: link(path, "x"), absent, lambda path: directory(path, 0o755)])
def test_a_backup_is_kept_whatever_takes_the_place(tmp_path: Path, item: object) -> None:
    (tmp_path / "f").write_text("first\n")
    converge(replace(item(tmp_path / "f"), backup=True))  # type: ignore[operator]
    assert (tmp_path / "f.before-hostwright").read_text() == "first\n"


# Edits


def line(path: Path, text: str, match: str | None = None, part: str = "x") -> Item:
    return Item(path=f"{path}", kind="line", part=part, text=text, match=match)


def block(path: Path, name: str, text: str) -> Item:
    return Item(path=f"{path}", kind="block", part=name, text=text)


def test_edits_of_one_file_add_up_and_keep_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.write_bytes(b"latin \xe9\n#p yes\n")
    target.chmod(0o640)
    steps = converge(line(target, "p no", "^#?p ", part="p"), block(target, "b", "one\n"))
    assert target.read_bytes() == b"latin \xe9\np no\n# BEGIN hostwright b\none\n# END hostwright b\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert [step.change.operation for step in steps] == ["edit p", "edit b"]
    assert all(step.change.private for step in steps)


def test_an_edit_of_a_missing_file_creates_it_and_of_a_link_is_refused(tmp_path: Path) -> None:
    if ROOT:
        converge(line(tmp_path / "f", "x"))
        assert snapshot(tmp_path) == {"f": ("file", 0o644, b"x\n")}
    (tmp_path / "l").symlink_to("f")
    step = only(plan(line(tmp_path / "l", "y")))
    assert step.change.operation == "cannot edit a link to f; name the file that it leads to"


# Files of the commit


def source(root: Path, path: Path, content: bytes) -> Item:
    (root / "x").write_bytes(content)
    return file(path, source="x", blob=blob_id(content), text=None)


def test_a_file_of_the_commit_that_is_not_what_git_holds_is_refused(tmp_path: Path) -> None:
    item = source(tmp_path, tmp_path / "f", b"signed")
    (tmp_path / "x").write_bytes(b"forged")
    with pytest.raises(DeployError, match="is not what the commit holds"):
        plan(item, root=tmp_path)


def test_binary_content_is_told_by_its_size(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\0\1\2")
    step = only(converge(source(tmp_path, tmp_path / "f", b"\0\xff\xfe\xfd"), root=tmp_path))
    assert step.change.diff == "binary, 3 → 4 bytes\n"


def test_a_long_diff_is_cut(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    change = only(plan(file(tmp_path / "f", text))).change
    assert change.diff is not None
    assert len(change.diff) < 66_000
    assert change.diff.endswith("… (cut at 65536 characters)\n")


def test_the_worst_text_is_compared_in_bounded_time(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\nb\n" * 30_000)
    begun = time.process_time()
    plan(file(tmp_path / "f", "b\nc\na\n" * 20_000))
    assert time.process_time() - begun < 10


def test_a_host_file_that_is_too_long_to_read_is_replaced(tmp_path: Path) -> None:
    with open(tmp_path / "f", "wb") as found:
        found.truncate(at_path.CONTENT_LIMIT + 1)
    assert only(converge(file(tmp_path / "f"))).change.diff == "more than 67108864 → 7 bytes\n"


def test_files_in_sync_cost_little_more_than_reading_them(tmp_path: Path) -> None:
    content = b"some configuration\n" * 50
    (tmp_path / "x").write_bytes(content)
    items = [
        file(tmp_path / f"d{number % 40}/f{number}", source="x", blob=blob_id(content), text=None)
        for number in range(1000)
    ]
    for item in items:
        Path(item.path).parent.mkdir(exist_ok=True)
        Path(item.path).write_bytes(content)
        Path(item.path).chmod(0o644)
    looked, read = [], []
    for _ in range(5):
        begun = time.process_time()
        assert plan(*items, root=tmp_path) == []
        looked.append(time.process_time() - begun)
        begun = time.process_time()
        assert {blob_id(Path(item.path).read_bytes()) for item in items} == {blob_id(content)}
        read.append(time.process_time() - begun)
    assert min(looked) < 5 * min(read)


def _make(path: Path, what: str) -> None:
    if what == "other":
        path.symlink_to("elsewhere")
    elif what == "dangling":
        path.symlink_to("nowhere")
    elif what == "file":
        path.write_text("found\n")
    elif what == "empty":
        path.mkdir()
    elif what == "full":
        path.mkdir()
        (path / "kept").write_text("kept")
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "socket":
        os.chdir(path.parent)  # a socket's path is short by nature
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)


def test_a_stand_in_for_content_is_refused_and_nothing_else(tmp_path: Path) -> None:
    pointer = source(tmp_path, tmp_path / "f", b"\0GITCRYPT\0secret")
    said = "x is encrypted by git-crypt; "
    steps = plan(pointer, file(tmp_path / "g"), root=tmp_path)
    blocked = next(step for step in steps if step.item is pointer)
    assert blocked.change.refused
    assert blocked.change.operation.startswith(said)
    for step in steps:
        if step is not blocked:
            with SYSTEM.opened() as start:
                carry_out(SYSTEM, start, step.item, step.content)
    with pytest.raises(DeployError, match=said), SYSTEM.opened() as start:
        carry_out(SYSTEM, start, blocked.item, blocked.content)
    assert snapshot(tmp_path).keys() == {"x", "g"}


def test_a_refused_change_shows_nothing_of_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a secret of this host\n")
    (tmp_path / "f").chmod(0o600)
    change = only(plan(source(tmp_path, tmp_path / "f", b"\0GITCRYPT\0secret"), root=tmp_path)).change
    assert (change.refused, change.diff) == (True, None)
