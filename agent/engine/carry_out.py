"""Carries out the corrections of a deploy, one by one, and tells how each went. No pyinfra.

The corrections of a built-in are Python functions of ours: they need neither a connector nor a fact nor a state, so
that a built-in deploy runs without pyinfra. In a deploy file an operation of pyinfra's calls the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, chdir, contextmanager, suppress

from agent.deploys.correction import Correction
from agent.domain.outcome import OperationResult, Status
from agent.engine.built_in import BuiltIn
from agent.engine.code import one_line
from agent.engine.logs import tail
from agent.engine.protocol import Done, Operated, Started

Send = Callable[[Started | Operated], None]

TOGETHER = 50
"""Results in one line at most: each may have 64 KiB of output, and as much of errors."""


def carry_out(deploy: BuiltIn, allowed: frozenset[str], *, send: Send, stopping: Callable[[], bool]) -> Done:
    """Makes the corrections of the ``allowed`` resources, in order, until the end or a wish to stop. One that fails
    keeps no other."""
    permitted = [each for each in deploy.corrections if each.change.resource in allowed]
    for correction in permitted:
        correction.allowed = True  # those that are made together have to know who takes part
    stopped = False
    results: list[OperationResult] = []

    def tell() -> None:
        if results:
            send(Operated(tuple(results)))
            results.clear()

    with _outside(), ExitStack() as stack:
        stack.callback(tell)
        for correction in permitted:
            if not correction.is_done():
                stopped = stopping()
                if stopped:
                    break
                tell()
                send(_started(deploy.name, correction))
            try:
                with suppress(Exception):
                    correction.run()
            finally:
                results.append(_result(deploy.name, correction))
            if len(results) == TOGETHER:
                tell()
    if failure := first_failure([each for each in permitted if each.error]):
        return Done(deploy.name, Status.FAILED, failure)
    return Done(deploy.name, Status.STOPPED if stopped else Status.DONE, "")


@contextmanager
def announced(deploy: str, correction: Correction, send: Send) -> Iterator[None]:
    """Says that a correction begins, and how it ended."""
    send(_started(deploy, correction))
    try:
        with _outside():
            yield
    finally:
        send(Operated((_result(deploy, correction),)))


def _outside() -> AbstractContextManager[None]:
    """Names of corrections are in folders that these have open, not in the folder that a deploy file works in: the
    guard of the commit's files cannot tell them apart."""
    return chdir("/")


def _started(deploy: str, correction: Correction) -> Started:
    return Started(deploy, correction.change.resource, correction.change.operation)


def _result(deploy: str, correction: Correction) -> OperationResult:
    if not correction.done:
        correction.error = correction.error or "it did not run to its end"
    return OperationResult(
        deploy=deploy,
        resource=correction.change.resource,
        operation=correction.change.operation,
        succeeded=not correction.error,
        changed=correction.done,
        seconds=round(correction.seconds, 3),
        output=tail(correction.output),
        error=tail(correction.error),
    )


def first_failure(failed: Sequence[Correction]) -> str:
    """The failure of the first, in one line, and how many more there are; empty where there is none."""
    if not failed:
        return ""
    told = one_line(f"{failed[0].change.resource}: {failed[0].error}")
    return f"{told} (and {len(failed) - 1} more)" if len(failed) > 1 else told
