"""The run of the checks of deploys, some at a time, each with its own time limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import SimpleNamespace

from agent.domain.check import CHECK_KINDS, Check, CheckResult
from agent.errors import HostwrightError

AT_ONCE = 8
"""Checks at once: the smallest host can run them, and ten checks that hang cost no more than two time limits."""

OUTPUT_KEPT = 1000
"""Characters that are kept of the reason for a failure."""


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
