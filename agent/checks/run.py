"""Runs the checks of deploys, some at a time, each with its own time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from agent.checks import look, network
from agent.checks.spec import spec_of
from agent.domain.check import Check, CheckResult
from agent.errors import HostwrightError

AT_ONCE = 8
"""Checks at once: ten that hang cost two time limits, and the smallest host can run them."""

OUTPUT_KEPT = 1000
"""Characters of what a failing check says."""

_ASK: Mapping[str, Callable[..., str]] = {
    "http": network.http,
    "tcp": network.tcp,
    "certificate": network.certificate,
    "command": look.command,
    "unit": look.unit,
    "file": look.file,
    "process": look.process,
}
"""By kind: the function that returns the reason for a failure, or nothing."""


def run_checks(checks: Sequence[Check]) -> tuple[CheckResult, ...]:
    """The results, in the order of ``checks``. An error that a check meets is its result."""
    if not checks:
        return ()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="check") as pool:
        return tuple(pool.map(_answer, checks))


def _answer(check: Check) -> CheckResult:
    began = time.monotonic()
    spec = spec_of(check)
    try:
        why = _ASK[spec.kind](spec)
    except HostwrightError as error:
        why = error.message
    except TimeoutError:
        why = f"no answer within {spec.timeout} s"
    except OSError as error:
        why = f"{error.strerror or error}"
    seconds = round(time.monotonic() - began, 3)
    return CheckResult(check.deploy, check.label, not why, why[:OUTPUT_KEPT], seconds)
