"""Asks the checks of a host at rest, beside the daemon: ``python -I -m agent.checks.ask FILE``.

A process of its own, which is gone afterwards: what talks to servers would make the daemon half as large again. FILE is
what the cycle left (``trace.rest``).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from agent.checks.run import AT_ONCE, run_checks
from agent.domain.check import Check
from agent.domain.codec import from_plain
from agent.trace.rest import PASSED, TimedCommand, read

START_S = 30
"""For the process to begin and to end, on a host that is busy."""

STACK = 512 * 1024
"""Bytes of stack of each thread, of which a check of a server has two: the 8 MiB of the system count as held."""


def command(checks: Sequence[Check], file: Path) -> TimedCommand:
    """The command by which the daemon has ``checks`` asked, of kinds that ``only_looks``."""
    argv = [sys.executable, "-I", "-m", "agent.checks.ask", f"{file}"]
    longest = max(int(str(check.spec["timeout"])) for check in checks)
    rounds = -(-len(checks) // AT_ONCE)
    return argv, {"LC_ALL": "C.UTF-8"}, longest * rounds + START_S


def main(file: Path) -> int:
    """Print ``PASSED`` where all checks pass, else a line for each that does not. Return the exit status."""
    rest = read(file)
    if rest is None or not rest.checks:
        return 1
    threading.stack_size(STACK)
    failed = [result for result in run_checks(from_plain(rest.checks, list[Check])) if not result.passed]
    told = "".join(f"{result.deploy}: {result.label}: {result.output}\n" for result in failed)
    os.write(1, told.encode(errors="replace") or PASSED)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
