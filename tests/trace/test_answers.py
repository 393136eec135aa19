"""Answers to questions about this host, and whether a changed host gives another one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from agent.domain.question import Question, QuestionKind, UnsignedError, UnsteadyError
from agent.system import dbus
from agent.trace import answers
from agent.trace.answers import differing, trace, unsigned, unsteady
from agent.trace.way import way


def asked(*questions: Question) -> list[bytes]:
    return trace(questions).encode("latin-1").splitlines(keepends=True)


def subjects(lines: list[bytes]) -> list[bytes]:
    return [line.split(b"\t")[1] for line, _ in differing(lines)]


def path(name: Path | str) -> Question:
    return Question(QuestionKind.PATH, f"{name}")


def test_each_kind_of_question_has_an_answer() -> None:
    known = {*answers._ALONE, *answers._TOGETHER}
    assert {kind.value.encode() for kind in QuestionKind} == known


SYSTEMCTL = """\
#!/bin/sh
echo >>calls
while [ "$1" != -- ]; do shift; done; shift
for unit; do
    case $unit in *@.service) exit 1 ;; *) printf 'Id=%s\\nActiveState=%s\\n\\n' "$unit" "$(cat "$unit")" ;; esac
done
"""


def units(*names: str) -> tuple[Question, ...]:
    return tuple(Question(QuestionKind.UNIT, name) for name in names)


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a file says how a unit is: for a systemctl that ends at the first template, as it does."""
    program = tmp_path / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}", prepend=":")
    monkeypatch.setattr(answers, "_SYSTEMD", f"{tmp_path}", raising=False)
    monkeypatch.setattr(dbus, "SOCKET", f"{tmp_path / 'none'}")
    for name in ("a.service", "b.service", "c.service"):
        (tmp_path / name).write_text("active")
    return tmp_path


def test_a_unit_that_changed_has_another_answer(systemd: Path) -> None:
    lines = asked(*units("a.service", "b.service"))
    assert subjects(lines) == []
    (systemd / "b.service").write_text("failed")
    assert subjects(lines) == [b"b.service"]
    assert (systemd / "calls").read_text().count("\n") == 3, "one call for all of them"


def test_a_look_at_a_unit_that_systemd_does_not_tell_of_is_unsigned(systemd: Path) -> None:
    with pytest.raises(UnsignedError, match=r"tell of web@\.service"):
        asked(*units("a.service", "web@.service", "b.service"))


def test_one_unit_that_systemd_does_not_tell_of_hides_no_other(systemd: Path) -> None:
    lines = [*asked(*units("a.service", "b.service", "c.service")), b"unit\tweb@.service\t-\n"]  # of an older version
    assert subjects(lines) == [b"web@.service"]
    (systemd / "c.service").write_text("failed")
    assert subjects(lines) == [b"c.service", b"web@.service"]


def test_what_is_as_before_differs_in_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    lines = asked(
        *(path(tmp_path / name) for name in ("file", "link", "missing", ".")), Question(QuestionKind.PAST, "1")
    )
    assert subjects(lines) == []


def _same_size_and_mtime(file: Path) -> None:
    before = file.stat()
    file.write_text("y")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace_by_a_link(file: Path) -> None:
    file.rename(file.with_name("moved"))
    file.symlink_to("moved")


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_text("longer"),
        _same_size_and_mtime,
        lambda file: file.chmod(0o600),
        lambda file: os.setxattr(file, "user.mark", b"1"),
        lambda file: os.link(file, file.with_name("second")),
        lambda file: file.unlink(),
        _replace_by_a_link,
    ],
    ids=["content", "restored-mtime", "mode", "xattr", "hard-link", "deleted", "link"],
)
def test_a_path_that_was_changed_has_another_answer(tmp_path: Path, change: Callable[[Path], object]) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    lines = asked(path(file))
    change(file)
    assert subjects(lines) == [f"{file}".encode()]


def test_a_change_right_behind_an_answer_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in "abcdefghij":
        file.write_text("x")
        lines = asked(path(file))
        file.write_text(content)
        assert subjects(lines), content


def test_a_change_while_others_are_asked_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    now, ask, times = file.lstat().st_ctime_ns + 1, answers.ask, []

    def long_asked(questions: Iterable[bytes]) -> list[bytes]:
        nonlocal now
        told = ask(questions)
        now += 2 * answers.COARSE_GRAIN_NS
        times.append(now)
        return told

    monkeypatch.setattr(answers.time, "time_ns", lambda: now)
    monkeypatch.setattr(answers.time, "sleep", lambda _: None)
    monkeypatch.setattr(answers, "ask", long_asked)
    trace([path(file)])
    assert len(times) == 2, "asked again: the first answer may be from within the tick of a change"


def test_a_thing_stamped_in_the_future_gives_no_answer_to_rely_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    now = time.time_ns()
    monkeypatch.setattr(answers.time, "time_ns", lambda: now - 3_600_000_000_000)
    monkeypatch.setattr(answers.time, "sleep", lambda _: None)
    with pytest.raises(UnsteadyError, match="file changes all the time"):
        trace([path(tmp_path / "file")])


def test_what_no_question_covers_never_differs_and_what_is_unsteady_always() -> None:
    lines = (unsigned("a program is asked") + unsteady("it waits for a process")).encode().splitlines()
    assert subjects(lines) == [b"it waits for a process"]


def test_a_folder_tells_of_its_mode_and_not_of_what_comes_and_goes_in_it(tmp_path: Path) -> None:
    lines = asked(Question(QuestionKind.FOLDER, f"{tmp_path}"))
    (tmp_path / "new").write_text("")
    assert subjects(lines) == []
    tmp_path.chmod(0o711)
    assert subjects(lines) == [f"{tmp_path}".encode()]


def test_the_path_of_a_folder_tells_of_what_comes_and_goes_in_it(tmp_path: Path) -> None:
    lines = asked(path(tmp_path))
    (tmp_path / "new").write_text("")
    assert subjects(lines) == [f"{tmp_path}".encode()]


def test_a_moment_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = asked(Question(QuestionKind.PAST, "2000000000"), Question(QuestionKind.PAST, "9999999999"))
    monkeypatch.setattr(answers.time, "time", lambda: 2_000_000_000.5)
    assert subjects(lines) == [b"2000000000"]


@pytest.mark.parametrize("name", ["tab\there", "line\nhere", "back\\slash", "\\t", "\\\n\\\\n\t", "\udcff", "ä"])
def test_a_name_of_any_bytes_is_asked_about(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("x")
    lines = asked(path(file))
    assert len(lines) == 1
    assert subjects(lines) == []
    file.write_text("longer")
    assert len(subjects(lines)) == 1


def test_a_question_that_many_ask_is_asked_once(tmp_path: Path) -> None:
    assert len(asked(path(tmp_path), path(tmp_path))) == 1


def test_the_way_to_a_path_leads_through_links(tmp_path: Path) -> None:
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "absolute").symlink_to(tmp_path / "real")
    (tmp_path / "real/relative").symlink_to("../real/deep")
    passed = {question.subject for question in way(f"{tmp_path}/absolute/relative/file")}
    expected = ("absolute", "real", "real/relative", "real/deep")
    assert passed == {
        "/",
        *(f"{each}" for each in tmp_path.parents),
        f"{tmp_path}",
        *(f"{tmp_path}/{each}" for each in expected),
    }


def test_links_in_a_circle_end_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert len(list(way(f"{tmp_path}/a/file"))) < 100


FAILED_UNITS = Question(QuestionKind.FAILED_UNITS)


@pytest.mark.parametrize("answer", ["exit 1", "exec sleep 30"])
def test_a_systemd_that_does_not_answer_does_not_say_that_no_unit_has_failed(
    systemd: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    before = b"failed-units\t\t\n"
    (systemd / "bin/systemctl").write_text(f"#!/bin/sh\n{answer}\n")
    monkeypatch.setattr(answers, "ASK_TIMEOUT_S", 0.2)
    assert list(differing([before])) == [(before, b"?")]
    with pytest.raises(UnsteadyError, match="which units have failed"):
        asked(FAILED_UNITS)


def test_where_there_is_no_systemd_no_unit_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_SYSTEMD", f"{tmp_path}/none")
    assert asked(FAILED_UNITS) == [b"failed-units\t\t\n"]
