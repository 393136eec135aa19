"""Which prunable resources an operation of pyinfra's looks after: a call of one turned into keys.

``kind_table`` says which operations are understood. All else (shell commands, uploads of folders, lines of files,
blocks, whose markers are pyinfra's and not ours) maps to nothing: it is counted as unowned and never pruned. So is
whatever has a path or a name that cannot be a resource's.
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

from agent.deploys.kind_table import NAMES, OPERATIONS, row_of

_OPERATIONS = "pyinfra.operations."

CORRECT = "agent.deploys.correct.correct"
"""Our own operation, which is called with the keys of all that it looks after."""

_CLOSURE = ("func", "args", "kwargs")
"""What pyinfra's ``command_generator`` closes over: the operation as it was written and what it was called with, its
global arguments (``name``, ``_if``, …) taken out. In a generator, and so the same for operations with a name (of which
pyinfra itself notes no arguments), with changes, and without."""

_UNIT_TYPES = (".service", ".socket", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".slice")

_PASSING = ("restarted", "reloaded", "command", "daemon_reload")
_OTHER_SYSTEMD = ("user_mode", "machine", "user_name")


@dataclass(frozen=True, slots=True)
class Call:
    """An operation (``pyinfra.operations.files.put``) as deploy code called it. ``arguments``: those that it gave, by
    name."""

    operation: str
    arguments: Mapping[str, object]

    def texts(self, name: str) -> list[str]:
        value = self.arguments.get(name)
        items = value if isinstance(value, (list, tuple, set)) else [value]
        return [os.fspath(item) for item in items if isinstance(item, (str, os.PathLike))]

    def says(self, name: str) -> bool:
        return self.arguments.get(name) is not None


def call_of(generator: Callable[..., object]) -> Call:
    """The call behind an operation's ``command_generator``. Nested operations are within the outer one's generator,
    so they count to that."""
    assert isinstance(generator, FunctionType)
    cells = dict(zip(generator.__code__.co_freevars, generator.__closure__ or (), strict=True))
    function, positional, named = (cells[name].cell_contents for name in _CLOSURE)
    arguments = _signature(function).bind(*positional, **named).arguments
    # What deploy code defines has its own module's name, or none where the deploy file itself defines it.
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
    """Keys of what the operation looks after, whether it is to be there or not; empty for what the table lacks.

    Asks the host only which of two paths a call means: what is put into a folder has its own name there.
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
    """The key of what is called so; none for what cannot be a resource's name."""
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
    """Copies into a folder, and whole folders too: those are more than one file."""
    for target in call.texts(argument):
        if not any(map(os.path.isdir, call.texts("src"))):
            yield from _inside(target, call)


def _inside(folder: str, call: Call) -> Iterable[str]:
    names = (posixpath.basename(source) for source in call.texts("src"))
    return (posixpath.join(folder, name) for name in names if name)


def _service(call: Call, argument: str) -> Iterable[str]:
    """A call that only restarts or reloads leaves nothing behind, though pyinfra then also has it ``running``."""
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
"""Operations that do not simply name what they look after in an argument."""
