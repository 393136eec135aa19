"""Asking the health checks of deploys, some at a time, each with its own time limit.

A cycle asks them itself. For a host at rest a program beside the daemon does, ``python -I -m agent.checks.ask FILE``,
and ends afterwards: the modules that talk to servers would make the daemon half as large again. FILE is the document
that the cycle left (``trace.rest``).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from agent.domain.check import CHECK_KINDS, Check, CheckResult
from agent.domain.codec import from_plain
from agent.errors import HostwrightError
from agent.trace.rest import PASSED, TimedCommand, read

AT_ONCE = 8
"""Checks at once: the smallest host can run them, and ten checks that hang cost no more than two time limits."""

OUTPUT_KEPT = 1000
"""Characters that are kept of the reason for a failure."""

START_S = 30
"""Seconds for the process to begin and to end, on a busy host."""

STACK = 512 * 1024
"""Bytes of stack of each thread; a check of a server has two threads. The system's default, 8 MiB each, would count as
memory that the process holds."""


def run_checks(checks: Sequence[Check]) -> tuple[CheckResult, ...]:
    """The results, in the order of ``checks``. A check that ends in an error has failed; the error is the reason."""
    if not checks:
        return ()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="check") as pool:
        return tuple(pool.map(_answer, checks))


def _answer(check: Check) -> CheckResult:
    began = time.monotonic()
    spec = SimpleNamespace(**check.spec)  # valid already; the models that validate it take long to load
    try:
        module = import_module(f"agent.checks.{CHECK_KINDS[check.kind].module}")
        ask: Callable[[SimpleNamespace], str] = getattr(module, check.kind)
        why = ask(spec)
    except HostwrightError as error:
        why = error.message
    except TimeoutError:
        why = f"no answer within {spec.timeout} s"
    except OSError as error:
        why = f"{error.strerror or error}"
    seconds = round(time.monotonic() - began, 3)
    return CheckResult(check.deploy, check.label, not why, why[:OUTPUT_KEPT], seconds)


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
