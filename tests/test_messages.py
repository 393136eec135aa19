"""What a worker tells of a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import messages

TESTS = """\
import pytest

@pytest.fixture
def not_made():
    raise OSError

@pytest.fixture
def not_removed():
    yield
    raise OSError

def test_good(): pass
def test_bad(): assert not "bad"
def test_skipped(): pytest.skip("no reason")
@pytest.mark.xfail
def test_expected(): assert not "bad"
@pytest.mark.skip
def test_left_out(): pass
def test_before(not_made): pass
def test_after(not_removed): pass
"""
"""One test of each outcome; what is skipped here is what the tests below look at."""


class Run:
    """A run that keeps what it is told."""

    def __init__(self, **worker: object) -> None:
        self._worker = worker
        self.told: list[str] = []
        self.keywords: dict[str, set[str]] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        vars(config).update(self._worker)
        messages.register(config)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.told.append(f"{nodeid.partition('::')[2]} begins")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.told.append(f"{report.nodeid.partition('::')[2]} {report.when} {report.outcome}")
        self.keywords[report.nodeid.partition("::")[2]] = {*report.keywords}


def run(folder: Path, run: Run, *options: str) -> list[str]:
    (folder / "test_all.py").write_text(TESTS)
    given = ["-c", "/dev/null", f"--rootdir={folder}", "--import-mode=importlib", *options]
    given += [f"-pno:{name}" for name in ("cacheprovider", "faulthandler", "terminal")]
    assert pytest.main([*given, f"{folder}"], plugins=[run]) == 1
    return run.told


def test_a_worker_tells_each_outcome_once_and_of_fixtures_those_that_failed(tmp_path: Path) -> None:
    assert run(tmp_path, Run(workerinput={})) == [
        "test_good call passed",
        "test_bad call failed",
        "test_skipped call skipped",
        "test_expected call skipped",
        "test_left_out setup skipped",
        "test_before setup failed",
        "test_after call passed",
        "test_after teardown failed",
    ]


def test_of_keywords_a_worker_tells_those_by_which_skips_share_a_line(tmp_path: Path) -> None:
    told = Run(workerinput={})
    run(tmp_path, told)
    assert told.keywords["test_left_out"] == {"skip", "pytestmark"}
    assert told.keywords["test_good"] == set()


@pytest.mark.parametrize("option", ["--durations=1", "--junit-xml=all.xml"])
def test_who_asks_for_times_or_a_file_is_told_all(tmp_path: Path, option: str) -> None:
    assert "test_good begins" in run(tmp_path, Run(workerinput={}), option)


def test_a_run_without_workers_is_told_all(tmp_path: Path) -> None:
    told = run(tmp_path, Run())
    assert {"test_good begins", "test_good setup passed", "test_good teardown passed"} <= set(told)
