"""Ordinary runs of property tests draw the same cases, whatever else is loaded, and judge nothing by the clock."""

from __future__ import annotations

import re
import sys
import types

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.drawing import cases
from tests.test_layout import ROOT, TESTS


def drawn() -> list[tuple[int, str, bytes]]:
    seen = []

    @cases(200)
    @given(number=st.integers(), text=st.text(), data=st.data())
    def note(number: int, text: str, data: st.DataObject) -> None:
        seen.append((number, text, data.draw(st.binary())))

    note()
    return seen


def test_ordinary_runs_draw_the_same_cases(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    first = drawn()
    further = types.ModuleType("further")
    further.__file__ = str(ROOT / "benchmarks/__main__.py")  # Hypothesis knows those of tests as such
    monkeypatch.setitem(sys.modules, "further", further)
    assert (drawn() == first) is not pytestconfig.getoption("--long")


def test_no_property_is_judged_by_the_clock() -> None:
    in_force = cases(100)
    assert in_force.deadline is None
    assert HealthCheck.too_slow in in_force.suppress_health_check


def test_property_tests_leave_it_to_the_profile_how_they_run() -> None:
    asked = re.compile(r"from hypothesis import .*\b(settings|HealthCheck|seed)\b")
    own = {ROOT / "tests" / name for name in ("drawing.py", "test_drawing.py")}
    assert [path for path in TESTS if path not in own and asked.search(path.read_text())] == []
