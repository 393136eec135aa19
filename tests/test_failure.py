"""A failure of a booted test tells what its hosts were like."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import conftest
from tests.lab.lab import Lab

TEST = """\
def test_waiting(lab):
    host = lab.boot("bookworm", image="agent", name="web1")
    host.run("echo the last value seen; exit 3", check=False)
    host.run("systemd-run --quiet --wait --unit=said echo the last line of the journal")
    assert not "what was waited for"
"""


class Telling:
    """What tests/conftest.py gives to every test, with the hosts of the run around."""

    pytest_runtest_makereport = staticmethod(conftest.pytest_runtest_makereport)

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.told: dict[str, str] = {}

    @pytest.fixture
    def lab(self) -> Lab:
        return self._lab

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.told.update(report.sections)


def test_a_failed_test_tells_the_last_commands_state_and_journal_of_its_hosts(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)  # meant for the run around
    (tmp_path / "test_waiting.py").write_text(TEST)
    telling = Telling(lab)
    options = ["-c", "/dev/null", f"--rootdir={tmp_path}", "--import-mode=importlib"]
    options += [f"-pno:{name}" for name in ("cacheprovider", "faulthandler", "terminal")]
    assert pytest.main([*options, f"{tmp_path}"], plugins=[telling]) == 1
    lab.hosts[-1].destroy()
    told = telling.told["host web1"]
    for part in ("code: 3\nstdout: the last value seen\n", "# hostwright status", "the last line of the journal\n"):
        assert part in told
