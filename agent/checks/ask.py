"""The checks of a host at rest, run beside the daemon: ``python -I -m agent.checks.ask FILE``.

They run in a process of their own that ends afterwards: the modules that talk to servers would make the daemon half as
large again. FILE is the document that the cycle left (``trace.rest``).
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
"""Seconds for the process to begin and to end, on a busy host."""

STACK = 512 * 1024
"""Bytes of stack of each thread; a check of a server has two threads. The system's default, 8 MiB each, would count as
memory that the process holds."""


def command(checks: Sequence[Check], file: Path) -> TimedCommand:
    """The command by which the daemon runs ``checks``, which must only look, its environment and its limit in
    seconds."""
    argv = [sys.executable, "-I", "-m", "agent.checks.ask", f"{file}"]
    longest = max(int(str(check.spec["timeout"])) for check in checks)
    rounds = -(-len(checks) // AT_ONCE)
    return argv, {"LC_ALL": "C.UTF-8"}, longest * rounds + START_S


def main(file: Path) -> int:
    """Print ``PASSED`` if all checks pass, else a line for each that fails. Return the exit status: 1 if ``file`` holds
    no checks."""
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
