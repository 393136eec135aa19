"""What a run says about its cost."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cost import SHARED, Cost
from tests.lab.host import Host

TESTS = """\
import pytest
from tests.lab.host import Host

@pytest.fixture(scope="session")
def of_all():
    yield
    Host.killed_s += 1000

@pytest.fixture(scope="module")
def of_file():
    yield
    Host.killed_s += 50

def test_one(of_all, of_file):
    pass

def test_other(of_all, of_file):
    pass
"""


class Worker:
    """As pytest-xdist makes a run one of its workers."""

    workeroutput: dict[str, object]

    def pytest_configure(self, config: pytest.Config) -> None:
        self.workeroutput = {}
        config.workeroutput = self.workeroutput  # type: ignore[attr-defined]


def test_killed_hosts_count_for_their_file_or_for_all_and_never_as_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Host, "killed_s", 0.0)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)  # meant for the run around
    (tmp_path / "test_killing.py").write_text(TESTS)
    worker, lines = Worker(), list[str]()
    options = ["-c", "/dev/null", f"--rootdir={tmp_path}", "--import-mode=importlib"]
    options += [f"-pno:{name}" for name in ("cacheprovider", "faulthandler", "terminal")]
    assert pytest.main([*options, f"{tmp_path}"], plugins=[worker, Cost()]) == 0
    cost = Cost()
    cost.pytest_testnodedown(worker)
    cost.pytest_terminal_summary(SimpleNamespace(section=lines.append, write_line=lines.append))  # type: ignore[arg-type]
    told = {match[2]: float(match[1]) for line in lines if (match := re.match(r" *(-?\d+)  ([^;:]+)", line))}
    assert 50 <= told["test_killing.py"] < 1000 <= told[SHARED.partition(":")[0]]
    assert told["in all"] >= 1050
    assert told["of the workers beside"] >= 0
    assert {"of the whole machine meanwhile", f"that nobody used of what {os.cpu_count()} cores had"} <= set(told)
