"""Asks what the deploys' own checks ask, some at a time, each within its own time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from agent.checks import look, network
from agent.checks.spec import spec_of
from agent.domain.check import Check, CheckResult
from agent.errors import HostwrightError

AT_ONCE = 8
"""Enough that ten that hang do not make a minute of ten, few enough for the smallest host."""

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
"""By kind: the function that says why what is checked is not well; nothing where it is."""


def run_checks(checks: Sequence[Check]) -> tuple[CheckResult, ...]:
    """The answers, in the order of ``checks``. Nothing that a check meets is raised: it is its answer."""
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
