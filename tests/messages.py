"""What a worker of pytest-xdist tells the run of each test: its outcome, in one message instead of five.

Each message is packed, sent, unpacked and passed to all plugins; together that took 2 of the 5 ms of an empty test.
Nobody reads that a test begins or ends, that its fixtures were made and removed well, or its names as keywords; but by
two of these pytest tells the skips of a file in one line.
"""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol

_TOLD_TOGETHER = ("skip", "pytestmark")


class OutcomesOnly:
    """Takes the place of pytest's own loop over the phases of a test."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            if report.when == "call" or not report.passed:
                report.keywords = {name: report.keywords[name] for name in _TOLD_TOGETHER if name in report.keywords}
                item.ihook.pytest_runtest_logreport(report=report)
        return True


def register(config: pytest.Config) -> None:
    """Leave messages out, if this is a worker and nobody asked for something that they hold."""
    asked = config.getoption("durations") is not None or config.getoption("xmlpath", None)
    if hasattr(config, "workerinput") and not asked:
        config.pluginmanager.register(OutcomesOnly())
