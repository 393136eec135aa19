"""Which questions a look asks again, and that it finds what asking all of them would find."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.domain.question import Question, QuestionKind
from agent.trace import answers
from agent.trace.answers import differing, trace
from agent.trace.glance import Glance
from agent.trace.rest import Rest, lines, write

ALL = 2**40
YEAR_2300_S = 10_413_792_000


class Looking:
    """A file of a rest about a folder, a file and a link in it and a path where nothing is, looked at again and
    again."""

    def __init__(self, folder: Path, asked: list[bytes]) -> None:
        self.folder = folder
        self.rest = folder.with_name("rest")
        self.glance = Glance()
        self._asked = asked
        (folder / "file").write_text("x")
        (folder / "link").symlink_to("file")
        self.keep()

    def keep(self) -> None:
        """As a cycle does, which asks."""
        names = ("file", "link", "missing")
        questions = [Question(QuestionKind.PATH, f"{self.folder / name}") for name in names]
        write(self.rest, Rest(ALL), trace([Question(QuestionKind.FOLDER, f"{self.folder}"), *questions]))

    def changes(self) -> list[tuple[bytes, bytes]]:
        return self.glance.differing(self.rest, ALL)

    def asked(self) -> int:
        """The number of questions that a look asks, one by one."""
        self._asked.clear()
        assert self.changes() == []
        return len(self._asked)


@pytest.fixture
def looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Looking:
    asked: list[bytes] = []

    def counted(answer: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        return lambda subject: asked.append(subject) or answer(subject)  # type: ignore[func-returns-value]

    (tmp_path / "folder").mkdir()
    looking = Looking(tmp_path / "folder", asked)
    monkeypatch.setattr(answers, "_ALONE", {kind: counted(answer) for kind, answer in answers._ALONE.items()})
    return looking


def grown_old(path: Path) -> None:
    """Wait until a later change of it has another ctime."""
    while answers.is_young(path.lstat().st_ctime_ns, time.time_ns()):
        time.sleep(0.001)


def test_a_question_about_a_path_is_asked_once_while_nothing_changes(looking: Looking) -> None:
    grown_old(looking.folder)
    assert [looking.asked() for _ in range(3)] == [4, 0, 0]


def test_a_folder_in_which_something_comes_and_goes_is_asked_about_once_more(looking: Looking) -> None:
    looking.asked()
    (looking.folder / "new").write_text("")
    grown_old(looking.folder)
    assert [looking.asked() for _ in range(2)] == [1, 0]


def test_a_folder_that_has_just_changed_is_asked_about_until_a_change_would_show(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking.asked()
    (looking.folder / "new").write_text("")
    moment = looking.folder.lstat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: moment)
    assert [looking.asked() for _ in range(2)] == [1, 1]
    monkeypatch.setattr(time, "time_ns", lambda: moment + 2 * answers.COARSE_GRAIN_NS)
    assert [looking.asked() for _ in range(2)] == [1, 0]


def test_a_time_beyond_what_is_kept_has_its_path_asked_about_each_time(looking: Looking) -> None:
    os.utime(looking.folder / "file", (YEAR_2300_S, YEAR_2300_S))
    if (looking.folder / "file").lstat().st_mtime != YEAR_2300_S:
        pytest.skip("this file system keeps no such time")
    looking.keep()
    grown_old(looking.folder)
    assert [looking.asked() for _ in range(2)] == [4, 1]


ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", who, 5, 2**32 - 1) for who in (0x01, 0x04, 0x20))
"""Of the owner, the group and others (acl(5), as the kernel keeps it)."""

CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda folder: (folder / "file").write_text("y"),
    "deleted": lambda folder: (folder / "file").unlink(),
    "created": lambda folder: (folder / "missing").write_text(""),
    "another target": lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("elsewhere")),
    "mode of the folder": lambda folder: folder.chmod(0o700),
    "default ACL of the folder": lambda folder: os.setxattr(folder, "system.posix_acl_default", ACL),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_after_many_looks_is_seen_as_long_as_it_is_there(
    looking: Looking, change: Callable[[Path], object]
) -> None:
    grown_old(looking.folder)
    assert [looking.changes() for _ in range(3)] == [[], [], []]
    change(looking.folder)
    expected = list(differing(lines(looking.rest)))
    assert expected
    assert [looking.changes() for _ in range(3)] == [expected] * 3


def test_what_another_cycle_kept_is_asked_anew(looking: Looking) -> None:
    grown_old(looking.folder)
    looking.changes()
    before = looking.rest.read_bytes()
    (looking.folder / "file").write_text("y")
    looking.keep()
    assert [looking.asked() for _ in range(2)] == [4, 0]
    (looking.rest.with_name("other")).write_bytes(before)
    (looking.rest.with_name("other")).replace(looking.rest)
    assert looking.changes()


def test_no_more_changes_are_told_than_asked_for(looking: Looking) -> None:
    for name in ("file", "link"):
        (looking.folder / name).unlink()
    assert len(looking.glance.differing(looking.rest, 1)) == 1


@pytest.mark.parametrize("line", ["no tabs\n", "of a newer version\t\t\n"])
def test_what_is_no_trace_is_said_each_time(tmp_path: Path, line: str) -> None:
    glance = Glance()
    write(tmp_path / "rest", Rest(ALL), line)
    for _ in range(2):
        with pytest.raises((ValueError, LookupError)):
            glance.differing(tmp_path / "rest", 1)
