"""Calls of pyinfra's operations by deploy code, and the keys of the prunable resources that each looks after.

``deploys.kind`` has the operations that are understood. All others have no keys (shell commands, uploads of folders,
lines of files, blocks, whose markers are pyinfra's and not the agent's): they count as unowned and are never pruned.
So do calls with a path or a name that no resource can have.
"""

from __future__ import annotations

import functools
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import signature
from types import CodeType, FunctionType

from agent.deploys.kind import NAMES, OPERATIONS, row_of

_OPERATIONS = "pyinfra.operations."

CORRECT = "agent.deploys.correct.correct"
"""The agent's own operation, which is called with the keys of all that it looks after."""

_CLOSURE = ("func", "args", "kwargs")
"""The variables that pyinfra's ``command_generator`` closes over: the function of the operation, and the arguments of
the call without global ones (``name``, ``_if``, …). Every operation has this generator, also one with a name, for
which pyinfra itself keeps no arguments, and one without changes."""

_UNIT_TYPES = (".service", ".socket", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".slice")

_PASSING = ("restarted", "reloaded", "command", "daemon_reload")
_OTHER_SYSTEMD = ("user_mode", "machine", "user_name")


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an operation (``pyinfra.operations.files.put``) by deploy code. ``arguments``: those of the call, by
    name; defaults are left out."""

    operation: str
    arguments: Mapping[str, object]

    def texts(self, name: str) -> list[str]:
        value = self.arguments.get(name)
        items = value if isinstance(value, (list, tuple, set)) else [value]
        return [os.fspath(item) for item in items if isinstance(item, (str, os.PathLike))]

    def says(self, name: str) -> bool:
        return self.arguments.get(name) is not None


def call_of(generator: Callable[..., object]) -> Call:
    """The call behind an operation's ``command_generator``. Nested operations are in the generator of the outer one,
    and belong to its call."""
    assert isinstance(generator, FunctionType)
    cells = dict(zip(generator.__code__.co_freevars, generator.__closure__ or (), strict=True))
    function, positional, named = (cells[name].cell_contents for name in _CLOSURE)
    arguments = _signature(function).bind(*positional, **named).arguments
    # An operation that deploy code defines has its module's name, or none where the deploy file itself defines it.
    return Call(f"{function.__module__}.{function.__name__}", arguments)


_signature = functools.cache(signature)


def require_closure(wrapper: Callable[..., object]) -> None:
    """Check that ``call_of`` will understand pyinfra's ``_wrap_operation``. Raises AssertionError."""
    code: CodeType | None = getattr(wrapper, "__code__", None)
    for name in ("decorated_func", "command_generator"):
        within = code.co_consts if code is not None else ()
        code = next((part for part in within if isinstance(part, CodeType) and part.co_name == name), None)
    assert code is not None, "pyinfra's operations have no command_generator any more"
    assert set(_CLOSURE) <= set(code.co_freevars), "pyinfra's command_generator does not know its call any more"


def owned(call: Call) -> tuple[str, ...]:
    """The keys of the resources that the call looks after, present or absent; empty for an operation that the table
    lacks.

    The host is asked for one thing only, whether a path is a folder: a file that is put there has its own name in it.
    """
    if call.operation == CORRECT:
        return tuple(key for key in call.texts("resources") if key.partition(":")[0] in NAMES)
    name = call.operation.removeprefix(_OPERATIONS)
    if name == call.operation or name not in OPERATIONS:
        return ()
    kind, argument = OPERATIONS[name]
    named = _NAMED.get(name, Call.texts)(call, argument)
    return tuple(dict.fromkeys(key for each in named for key in _keys(kind, each)))


def _keys(kind: str, named: str) -> Iterable[str]:
    """The key of the resource called ``named``; none where no resource of the kind can be called so."""
    row = row_of(kind)
    if row.shape is None:
        found = re.fullmatch(row.named, named)
        return (f"{kind}:{found['name']}",) if found else ()
    proper = named.startswith("/") and not named.startswith("//") and posixpath.normpath(named) == named != "/"
    return (f"{kind}:{named}",) if proper and named.isprintable() else ()


def _put(call: Call, argument: str) -> Iterable[str]:
    for target in call.texts(argument):
        within = target.startswith("/") and os.path.isdir(target)  # noqa: PTH112  # a path as deploy code wrote it
        yield from _inside(target, call) if within else (target,)


def _copy(call: Call, argument: str) -> Iterable[str]:
    """The paths of the copies in a folder; none where the call copies a folder, which is more than one file."""
    for target in call.texts(argument):
        if not any(map(os.path.isdir, call.texts("src"))):
            yield from _inside(target, call)


def _inside(folder: str, call: Call) -> Iterable[str]:
    names = (posixpath.basename(source) for source in call.texts("src"))
    return (posixpath.join(folder, name) for name in names if name)


def _service(call: Call, argument: str) -> Iterable[str]:
    """The units of a call. One that only restarts or reloads looks after none, though pyinfra's default for it is
    ``running``."""
    passing = any(call.arguments.get(each) for each in _PASSING)
    if (passing and not call.says("running") and not call.says("enabled")) or any(map(call.says, _OTHER_SYSTEMD)):
        return
    for name in call.texts(argument):
        yield name if name.endswith(_UNIT_TYPES) else f"{name}.service"


_NAMED: Mapping[str, Callable[[Call, str], Iterable[str]]] = {
    "files.put": _put,
    "files.copy": _copy,
    "server.service": _service,
    "systemd.service": _service,
}
"""Operations whose resources are not simply named in one argument, each with the function that finds them."""
