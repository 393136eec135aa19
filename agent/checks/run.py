"""Runs the checks of deploys, some at a time, each with its own time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import SimpleNamespace

from agent.domain.check import CHECK_KINDS, Check, CheckResult
from agent.errors import HostwrightError

AT_ONCE = 8
"""Checks at once: ten that hang cost two time limits, and the smallest host can run them."""

OUTPUT_KEPT = 1000
"""Characters of what a failing check says."""


def run_checks(checks: Sequence[Check]) -> tuple[CheckResult, ...]:
    """The results, in the order of ``checks``. An error that a check meets is its result."""
    if not checks:
        return ()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="check") as pool:
        return tuple(pool.map(_answer, checks))


def _answer(check: Check) -> CheckResult:
    began = time.monotonic()
    spec = SimpleNamespace(**check.spec)  # what it was written as; the models that hold it to that take long to load
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
