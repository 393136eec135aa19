"""When a stir in a watched folder is looked into."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from selectors import BaseSelector, DefaultSelector

import pytest

from agent.domain.question import Question, QuestionKind
from agent.trace.answers import trace
from agent.trace.watch import DEBOUNCE_S, PATIENCE_S, Watching, folders

LONGEST_S = 60.0


@pytest.fixture
def selector() -> Iterator[BaseSelector]:
    with DefaultSelector() as selector:
        yield selector


@pytest.fixture
def watch(tmp_path: Path, selector: BaseSelector) -> Iterator[Watching]:
    watch = Watching(LONGEST_S, selector)
    watch.kernel.add([os.fsencode(tmp_path)])
    yield watch
    watch.close()


def stir(watch: Watching, folder: Path, now: float) -> None:
    (folder / "file").write_text("")
    watch.stir(now)


def test_nothing_is_looked_into_while_nothing_stirs(watch: Watching) -> None:
    watch.stir(100.0)
    assert watch.wait_s(100.0) is None


def test_a_stir_is_looked_into_a_moment_later(watch: Watching, tmp_path: Path) -> None:
    stir(watch, tmp_path, 100.0)
    assert watch.wait_s(100.0) == pytest.approx(DEBOUNCE_S)
    stir(watch, tmp_path, 100.1)
    assert watch.wait_s(100.0 + DEBOUNCE_S) == 0


def test_stirs_that_mean_nothing_are_looked_into_ever_more_seldom(watch: Watching, tmp_path: Path) -> None:
    now, waits = 100.0, []
    for _ in range(10):
        stir(watch, tmp_path, now)
        wait = watch.wait_s(now)
        assert wait is not None
        waits.append(wait)
        now += wait
        watch.looked(now, by_clock=False)
    assert waits[:3] == pytest.approx([DEBOUNCE_S, PATIENCE_S, 2 * PATIENCE_S])
    assert waits[-1] == LONGEST_S


def test_only_the_first_stir_after_a_look_wakes_the_daemon(
    watch: Watching, tmp_path: Path, selector: BaseSelector
) -> None:
    stir(watch, tmp_path, 100.0)
    (tmp_path / "file").chmod(0o600)
    assert selector.select(0) == []
    watch.look()
    watch.looked(101.0, by_clock=False)
    assert selector.select(0) == []
    (tmp_path / "file").chmod(0o644)
    assert [key.fileobj for key, _ in selector.select(0)] == [watch]


def test_a_stir_during_a_look_is_looked_into_again(watch: Watching, tmp_path: Path) -> None:
    stir(watch, tmp_path, 100.0)
    watch.look()
    (tmp_path / "file").chmod(0o600)
    watch.looked(101.0, by_clock=False)
    watch.stir(101.0)
    assert watch.wait_s(101.0) == pytest.approx(PATIENCE_S)


def test_a_quiet_while_makes_it_quick_again(watch: Watching, tmp_path: Path) -> None:
    for now in (100.0, 200.0, 300.0):
        stir(watch, tmp_path, now)
        watch.looked(now, by_clock=False)
    watch.looked(400.0, by_clock=True)
    stir(watch, tmp_path, 401.0)
    assert watch.wait_s(401.0) == pytest.approx(DEBOUNCE_S)


def test_the_folders_of_a_trace_are_watched_each_once() -> None:
    lines = [b"path\t/etc/motd\t1\n", b"path\t/etc/hosts\t1\n", b"folder\t/srv/app\t1\n", b"unit\tx.service\t1\n"]
    assert folders(lines) == [b"/etc", b"/srv"]


@pytest.mark.parametrize("name", ["back\\slash", "a\ttab", "a\nnewline", "\\n"])
def test_a_folder_is_watched_under_the_name_that_it_has(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    lines = trace([Question(QuestionKind.PATH, f"{tmp_path / name / 'file'}")]).encode("latin-1").splitlines()
    assert folders(lines) == [os.fsencode(tmp_path / name)]
