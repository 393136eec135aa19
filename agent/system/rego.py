"""Rego, evaluated by regorus in a process of its own: with limits, without a network, an environment or files.

regorus, the Rego interpreter, reads what strangers wrote (names of files, the words of programs) and runs rules that
may never end.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from agent.domain.text import printable
from agent.system.process import Completed, run

CPU_S = 10
"""Seconds of CPU for one evaluation."""
MEMORY_BYTES = 512 * 1024 * 1024
"""Of data that one evaluation may hold, beside what the loaded interpreter holds."""
BATCH_BYTES = 2 * 1024 * 1024
"""Inputs that one process is handed: the modules are compiled once for them."""
ANSWER_BYTES = 8 * 1024 * 1024
WALL_S = 60.0
"""For a process to start and compile on a machine that is busy; the limit of CPU ends what never ends."""

RUNS_ON = "it runs on x86-64 and aarch64 with glibc 2.34 or newer, as Debian 12 and Ubuntu 22.04 have it"

MESSAGE_LIMIT = 300
"""Characters of what the interpreter says."""

_UNSCHEDULED = b"could not schedule all statements"
"""The interpreter's words for a rule that it leaves out."""
UNSET = "a rule asks for a variable that nothing sets"
_NAME = re.compile(r"[A-Za-z_]\w*")
_PACKAGE = "regorus"
_ENVIRON = {"MIMALLOC_ARENA_EAGER_COMMIT": "0"}
"""The allocator of regorus reserves 1 GiB as it loads. So it takes of that, and is counted for, what it needs."""


class RegoError(Exception):
    """Modules that cannot be compiled or evaluated. ``line`` and ``column`` count from 1; 0: not known. ``remedy``:
    empty where the message says it."""

    def __init__(self, message: str, file: str = "", line: int = 0, column: int = 0, *, remedy: str = "") -> None:
        super().__init__(f"{file}:{line}:{column}: {message}" if file else message)
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class ModuleOutline:
    """What stands in a module. ``line`` is that of its ``package``; ``rules``: their names and lines; ``uses``: what
    its rules and imports refer to below ``data``."""

    file: str
    package: Sequence[str]
    line: int
    rules: Sequence[tuple[str, int]]
    uses: Sequence[Sequence[str]]


def has_interpreter() -> bool:
    """Whether the interpreter is installed; it is not loaded here."""
    return find_spec(_PACKAGE) is not None


def evaluate(
    modules: Mapping[str, str], package: str, rules: str, inputs: Iterable[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """For each input, the values of the rules of ``package`` whose names match the regular expression ``rules``.

    ``modules``: their sources by path. A built-in function that fails is an error, not undefined, and so is
    one that has nothing to look at (``http.send``). Raises RegoError.
    """
    begin = {"modules": modules, "package": package, "rules": rules}
    batch: list[bytes] = []
    size = 0
    for each in inputs:
        batch.append(json.dumps(each).encode())
        size += len(batch[-1])
        if size > BATCH_BYTES:
            yield from _ask(begin, batch, len(batch))
            batch, size = [], 0
    if batch:
        yield from _ask(begin, batch, len(batch))


def outlines(modules: Mapping[str, str]) -> list[ModuleOutline]:
    """What stands in ``modules``, their sources by path. Raises RegoError."""
    [found] = _ask({"modules": modules}, (), 1)
    return [ModuleOutline(**each) for each in found]


def asking_unset(modules: Mapping[str, str], outlined: Sequence[ModuleOutline]) -> Iterator[str]:
    """The paths of those ``modules`` with a rule that asks for a variable that nothing sets. Of a rule that is left out
    regorus tells no place, so each module is asked by itself, with stand-ins for the other rules of its package."""
    for each in outlined:
        others = {rule for other in outlined if other.package == each.package for rule, _ in other.rules}
        names = sorted(filter(_NAME.fullmatch, others - {rule for rule, _ in each.rules}))
        package = ".".join(each.package)
        stands_in = "\n".join((f"package {package}", *(f"{name} := 1" for name in names)))
        try:
            deque(evaluate({each.file: modules[each.file], "": stands_in}, package, "", [{}]), maxlen=0)
        except RegoError as error:
            if error.message == UNSET:
                yield each.file


def _ask(begin: Mapping[str, Any], inputs: Sequence[bytes], expected: int) -> Iterator[Any]:
    """The ``expected`` answers of a process. Raises RegoError."""
    begin = {**begin, "cpu_s": CPU_S, "memory": MEMORY_BYTES}
    argv = (sys.executable, "-I", "-m", "agent.system.rego_child")
    try:
        done = run(
            argv,
            timeout_s=WALL_S + CPU_S * expected,
            input=b"\n".join((json.dumps(begin).encode(), *inputs)) + b"\n",
            env=_ENVIRON,
            output_limit=ANSWER_BYTES,
        )
    except OSError as error:
        raise RegoError(f"the Rego interpreter cannot start: {error.strerror}") from None
    if done.cut:
        raise RegoError(f"the rules say more than {ANSWER_BYTES // 1024**2} MiB")
    answers = done.output.splitlines()
    if _UNSCHEDULED in done.error:
        raise RegoError(UNSET, *_place(json.loads(answers[-1]) if answers else {}))
    for line in answers:
        answer = json.loads(line)
        if "error" in answer:
            remedy = f"a newer distribution has what it needs: {RUNS_ON}" if "unloadable" in answer else ""
            raise RegoError(printable(answer["error"], MESSAGE_LIMIT), *_place(answer), remedy=remedy)
        yield answer["value"]
    if len(answers) < expected:
        raise RegoError(_why_ended(done))


def _place(answer: Mapping[str, Any]) -> tuple[str, int, int]:
    return answer.get("file", ""), answer.get("line", 0), answer.get("column", 0)


def _why_ended(done: Completed) -> str:
    if done.timed_out or done.code == -signal.SIGXCPU:
        return f"an evaluation took more than {CPU_S} s"
    if done.code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL) or b"MemoryError" in done.error:
        return f"the Rego interpreter crashed, or needed more than {MEMORY_BYTES // 1024**2} MiB of memory"
    return f"the Rego interpreter failed: {printable(done.complaint)}"
