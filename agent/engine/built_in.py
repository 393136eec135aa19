"""A built-in deploy in the engine child: its corrections, found and carried out without pyinfra.

They are Python functions of the agent, and need no connector, fact or state of pyinfra. In a deploy file, an operation
of pyinfra's calls the same functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, chdir, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.deploys.correction import Correction, host_side
from agent.domain.digest import JSON
from agent.domain.outcome import OperationResult, Status
from agent.domain.question import Question, UnsignedError, UnsteadyError
from agent.engine.code import UnpreparedError, explain, one_line
from agent.engine.logs import tail
from agent.engine.protocol import Done, FoundDeploy, Operated, Order, Started
from agent.errors import DeployError, HostwrightError
from agent.trace import answers

_KIND = re.compile(r"[a-z][a-z0-9_]*")

Send = Callable[[Started | Operated], None]

TOGETHER = 50
"""The most results in one line: each may have 64 KiB of output, and as much of errors."""


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The differences of a built-in deploy, as they are now."""

    name: str
    corrections: tuple[Correction, ...]
    trace: str = ""
    """The answers to the look's questions, from before it; empty where they were not asked for."""

    @property
    def found(self) -> FoundDeploy:
        """The message for the parent. Its resources are only those that change; the desired state has all others."""
        changes = tuple(correction.change for correction in self.corrections)
        resources = tuple(dict.fromkeys(change.resource for change in changes))
        return FoundDeploy(self.name, changes, resources, trace=self.trace)


def look(order: Order, root: Path, *, traced: bool = False) -> BuiltIn:
    """The differences that a built-in finds now. ``root``: the folder of the commit's files. ``traced``: True to ask
    the questions of the look before it. Raises UnpreparedError."""
    try:
        if not _KIND.fullmatch(order.kind):
            raise DeployError(f"{order.kind!r} is not the name of a built-in deploy")
        part = _part_to_look_at(order)
        if part is None:
            side = host_side(order.kind)
            found = _trace(side.questions, order) if traced else ""
            return BuiltIn(order.name, tuple(side.corrections(order.arguments, root)), trace=found)
        found, arguments = part
        corrections = host_side(order.kind).corrections(arguments, root) if arguments is not None else ()
        return BuiltIn(order.name, tuple(corrections), trace=found if traced else "")
    except (Exception, SystemExit) as error:
        raise UnpreparedError(explain(error, root, [])) from error


def _part_to_look_at(order: Order) -> tuple[str, Mapping[str, JSON] | None] | None:
    """The trace of an earlier look with new answers, and the arguments of the items to look at again (None: of no
    item). None where everything has to be looked at: without an earlier look, where that one wanted to change most of
    it, or where an answer changed that is about more than single items."""
    earlier = order.earlier
    if earlier is None or 2 * len(earlier.wanted) > earlier.trace.count("\n"):
        return None
    try:
        renewed = answers.renewed(earlier.trace)
    except (UnsignedError, UnsteadyError, HostwrightError, OSError):
        return None
    if renewed is None:
        return None
    trace, changed = renewed
    if not changed and not earlier.wanted:
        return trace, None
    narrow = getattr(host_side(order.kind), "narrow", None)  # optional
    arguments = narrow(order.arguments, changed, earlier.wanted) if narrow is not None else None
    return None if arguments is None else (trace, arguments)


def _trace(questions: Callable[[Mapping[str, JSON]], Iterable[Question]], order: Order) -> str:
    try:
        found = answers.trace(questions(order.arguments))
        return found or answers.unsigned(f"{order.name}: there is nothing to look at")
    except UnsteadyError as error:
        return answers.unsteady(f"{order.name}: {error}")
    except (UnsignedError, HostwrightError, OSError) as error:
        return answers.unsigned(f"{order.name}: {error}")


def carry_out(deploy: BuiltIn, allowed: frozenset[str], *, send: Send, stopping: Callable[[], bool]) -> Done:
    """Make the corrections of the ``allowed`` resources, in order, until the end or until ``stopping`` is true. The
    corrections behind a failed one are made, too."""
    permitted = [each for each in deploy.corrections if each.change.resource in allowed]
    for correction in permitted:
        correction.allowed = True  # corrections that are made together have to know each other
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
    """Send that a correction begins, and at the end how it went."""
    send(_started(deploy, correction))
    try:
        with _outside():
            yield
    finally:
        send(Operated((_result(deploy, correction),)))


def _outside() -> AbstractContextManager[None]:
    """A change of the working directory to ``/``. Corrections use names relative to folders that they have open. The
    guard of the commit's files cannot tell them from names relative to the folder that a deploy file works in."""
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
    """The error of the first failed correction, in one line, and the number of the others; empty where none failed."""
    if not failed:
        return ""
    told = one_line(f"{failed[0].change.resource}: {failed[0].error}")
    return f"{told} (and {len(failed) - 1} more)" if len(failed) > 1 else told
