"""What a run costs: at its end the files that took most CPU seconds, how long workers had nothing left to do, and how
much of what its cores had nobody used.

CPU seconds are those of the test process and of all that it started and waited for, booted hosts included. They say
more than the clock does on a machine that is busy, or where tests wait. A host counts for the file that destroys it.
One that is shared by all files counts for none: it is destroyed with the fixtures of the session, which have a line of
their own. What ended before in a host, and nobody waited for, is not counted. So the sum is less than what the machine
did, which stands beside it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest

from tests.lab.host import Host

SHOWN = 10
SHARED = "the end of what all files share: hosts, folders"


def _spent_s() -> float:
    return sum(os.times()[:4]) + Host.killed_s


class Cost:
    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()
        """By file."""
        self._workers_s = 0.0
        """What the workers and all that they waited for took, imports and collection included."""
        self._machine_s = _busy_s()
        self._begun = time.monotonic()
        self._ends: list[float] = []
        """When each worker was done."""
        self._is_last = False
        """True in the last test of a worker, behind which all ends that files share."""
        self._own_s = 0.0
        """What had been spent when the last thing ended that files do not share; known in the last test."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        before, self._is_last = _spent_s(), nextitem is None
        found = yield
        spent = _spent_s()
        own = self._own_s if nextitem is None else spent
        self._seconds[item.nodeid.partition("::")[0]] += own - before
        self._seconds[SHARED] += spent - own
        return found

    def pytest_runtest_teardown(self) -> None:
        if self._is_last:
            self._own_s = _spent_s()

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[object]) -> None:
        if self._is_last and fixturedef.scope != "session":
            self._own_s = _spent_s()

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """In a worker: hand over what was counted."""
        if (handed := getattr(session.config, "workeroutput", None)) is not None:
            handed["cost"] = {"seconds": dict(self._seconds), "all": _spent_s(), "end": time.time()}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """In the controller: a worker of pytest-xdist has ended, or was killed and handed nothing over."""
        if cost := getattr(node, "workeroutput", {}).get("cost"):
            self._seconds.update(cost["seconds"])
            self._workers_s += cost["all"]
            self._ends.append(cost["end"])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._ends:
            return
        terminalreporter.section("CPU seconds")
        total, shared = self._seconds.total(), self._seconds.pop(SHARED, 0.0)
        for path, seconds in self._seconds.most_common(SHOWN):
            terminalreporter.write_line(f"{seconds:6.0f}  {path}")
        terminalreporter.write_line(f"{shared:6.0f}  {SHARED}")
        idle = sum(max(self._ends) - end for end in self._ends)
        terminalreporter.write_line(f"{total:6.0f}  in all; workers waited {idle:.0f} s for the last")
        terminalreporter.write_line(f"{self._workers_s - total:6.0f}  of the workers beside: imports, collection")
        cores = psutil.cpu_count() or 1
        had = (time.monotonic() - self._begun) * cores
        busy = _busy_s() - self._machine_s
        terminalreporter.write_line(f"{busy:6.0f}  of the whole machine meanwhile")
        terminalreporter.write_line(f"{had - busy:6.0f}  that nobody used of what {cores} cores had")


def _busy_s() -> float:
    """CPU seconds of this machine since it booted, the kernel's included."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq")))
