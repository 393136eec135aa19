"""Rego, evaluated by regorus in a process of its own: with limits, without a network, an environment or files.

The process is confined because regorus, the Rego interpreter, reads what strangers wrote (names of files, output of
programs) and runs rules that may never end.
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
"""Bytes of data that one evaluation may hold, beside those that the loaded interpreter holds."""
BATCH_BYTES = 2 * 1024 * 1024
"""Bytes of inputs that one process gets; it compiles the modules once for all of them."""
ANSWER_BYTES = 8 * 1024 * 1024
WALL_S = 60.0
"""Seconds for a process to start and compile on a busy machine; CPU_S ends rules that never end."""

RUNS_ON = "it runs on x86-64 and aarch64 with glibc 2.34 or newer, as Debian 12 and Ubuntu 22.04 have it"

MESSAGE_LIMIT = 300
"""Characters of the interpreter's message."""

_UNSCHEDULED = b"could not schedule all statements"
"""The interpreter's message for a rule that it leaves out."""
UNSET = "a rule asks for a variable that nothing sets"
SET_IT = "correct its name, or set it: by `:=` or `some` in the rule, or by a rule of that name"
_CORRECT = "correct the rule, which is read as OPA 1 reads Rego"
_LESS = "have it compare less, or build shorter lists; does it call itself?"
_NAME = re.compile(r"[A-Za-z_]\w*")
_PACKAGE = "regorus"
_ENVIRON = {"MIMALLOC_ARENA_EAGER_COMMIT": "0"}
"""The allocator of regorus reserves 1 GiB when it is loaded. With this setting only the memory that it uses counts."""


class RegoError(Exception):
    """Modules that cannot be compiled or evaluated, and the remedy. ``line`` and ``column`` count from 1; 0: not
    known."""

    def __init__(self, message: str, remedy: str, file: str = "", line: int = 0, column: int = 0) -> None:
        place = f"{file}:{line}:{column}" if line else file
        super().__init__(f"{place}: {message}" if place else message)
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class ModuleOutline:
    """The outline of a module. ``line``: the line of its ``package``. ``rules``: their names and lines. ``uses``: the
    paths below ``data`` to which its rules and imports refer."""

    file: str
    package: Sequence[str]
    line: int
    rules: Sequence[tuple[str, int]]
    uses: Sequence[Sequence[str]]


def has_interpreter() -> bool:
    """True if the interpreter is installed; this does not load it."""
    return find_spec(_PACKAGE) is not None


def evaluate(
    modules: Mapping[str, str], package: str, rules: str, inputs: Iterable[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """The values, by name and for each input, of the rules of ``package`` whose names match the regular expression
    ``rules``.

    ``modules``: the sources by path. Raises RegoError, also if a built-in function fails, which in Rego makes a rule
    undefined, and if a rule refers to a function without a use here (``http.send``).
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
    """The outlines of ``modules``, which are sources by path. Raises RegoError."""
    [found] = _ask({"modules": modules}, (), 1)
    return [ModuleOutline(**each) for each in found]


def asking_unset(modules: Mapping[str, str], outlined: Sequence[ModuleOutline]) -> Iterator[str]:
    """The paths of the ``modules`` with a rule that asks for a variable that nothing sets. regorus leaves such a rule
    out and does not name its place, so each module is compiled by itself, with stand-ins for the other rules of its
    package."""
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
    """The answers of a process, ``expected`` in number. Raises RegoError, also for fewer answers."""
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
        remedy = "what keeps programs from starting on this machine: memory, or its limits?"
        raise RegoError(f"the Rego interpreter cannot start: {error.strerror}", remedy) from None
    if done.cut:
        raise RegoError(f"the rules say more than {ANSWER_BYTES // 1024**2} MiB", "let each message be a line")
    answers = done.output.splitlines()
    if _UNSCHEDULED in done.error:
        raise RegoError(UNSET, SET_IT, *_place(json.loads(answers[-1]) if answers else {}))
    for line in answers:
        answer = json.loads(line)
        if "error" in answer:
            newer = f"a newer distribution has what it needs: {RUNS_ON}"
            remedy = newer if "unloadable" in answer else answer.get("remedy", _CORRECT)
            raise RegoError(printable(answer["error"], MESSAGE_LIMIT), remedy, *_place(answer))
        yield answer["value"]
    if len(answers) < expected:
        raise RegoError(*_why_ended(done))


def _place(answer: Mapping[str, Any]) -> tuple[str, int, int]:
    return answer.get("file", ""), answer.get("line", 0), answer.get("column", 0)


def _why_ended(done: Completed) -> tuple[str, str]:
    if done.timed_out or done.code == -signal.SIGXCPU:
        return f"an evaluation took more than {CPU_S} s", _LESS
    if done.code in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL) or b"MemoryError" in done.error:
        most = MEMORY_BYTES // 1024**2
        return f"the Rego interpreter crashed, or needed more than {most} MiB of memory", _LESS
    return f"the Rego interpreter failed: {printable(done.complaint)}", "run it again; if it fails again, report it"
