"""Which prunable resources an operation of pyinfra's looks after: a call of one turned into keys.

The table is the whole of what is understood. All else (shell commands, uploads of folders, lines of files, blocks,
whose markers are pyinfra's and not ours) maps to nothing: it is counted as unowned and never pruned. So is whatever
has a path or a name that cannot be a resource's.
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

from agent.deploys.kind_table import NAMES

_OPERATIONS = "pyinfra.operations."

CORRECT = "agent.deploys.correct.correct"
"""Our own operation, which is called with the keys of all that it looks after."""

_CLOSURE = ("func", "args", "kwargs")
"""What pyinfra's ``command_generator`` closes over: the operation as it was written and what it was called with, its
global arguments (``name``, ``_if``, …) taken out. In a generator, and so the same for operations with a name (of which
pyinfra itself notes no arguments), with changes, and without."""

_PACKAGE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9+._-]*(:[a-z0-9-]+)?)(=\S+)?")
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_UNIT = re.compile(r"(?!-)[A-Za-z0-9:_.\\@-]{1,240}")
_UNIT_TYPES = (".service", ".socket", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".slice")

_PASSING = ("restarted", "reloaded", "command", "daemon_reload")
_OTHER_SYSTEMD = ("user_mode", "machine", "user_name")


@dataclass(frozen=True, slots=True)
class Call:
    """An operation (``pyinfra.operations.files.put``) as deploy code called it. ``arguments``: those that it gave, by
    name."""

    operation: str
    arguments: Mapping[str, object]

    def text(self, name: str) -> str:
        value = self.arguments.get(name)
        return os.fspath(value) if isinstance(value, (str, os.PathLike)) else ""

    def texts(self, name: str) -> list[str]:
        value = self.arguments.get(name)
        items = value if isinstance(value, (list, tuple, set)) else [value]
        return [item for item in items if isinstance(item, str)]

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
    if name == call.operation or name not in _TABLE:
        return ()
    return tuple(dict.fromkeys(_TABLE[name](call)))


def _at(kind: str, argument: str) -> Callable[[Call], Iterable[str]]:
    return lambda call: _path(kind, call.text(argument))


def _put(call: Call) -> Iterable[str]:
    target = call.text("dest")
    if target.startswith("/") and os.path.isdir(target):  # noqa: PTH112  # a path as deploy code wrote it
        source = posixpath.basename(call.text("src"))
        return _path("file", posixpath.join(target, source)) if source else ()
    return _path("file", target)


def _copy(call: Call) -> Iterable[str]:
    """Copies into a folder, and whole folders too: those are more than one file."""
    source, target = call.text("src"), call.text("dest")
    if os.path.isdir(source):  # noqa: PTH112  # a path as deploy code wrote it
        return ()
    return _path("file", posixpath.join(target.rstrip("/"), posixpath.basename(source))) if source else ()


def _path(kind: str, path: str) -> Iterable[str]:
    proper = path.startswith("/") and not path.startswith("//") and posixpath.normpath(path) == path != "/"
    return (f"{kind}:{path}",) if proper and path.isprintable() else ()


def _packages(call: Call) -> Iterable[str]:
    found = map(_PACKAGE.fullmatch, call.texts("packages"))
    return [f"package:{match['name']}" for match in found if match]


def _account(kind: str) -> Callable[[Call], Iterable[str]]:
    return lambda call: [f"{kind}:{name}" for name in call.texts(kind) if _ACCOUNT.fullmatch(name)]


def _unit(call: Call) -> Iterable[str]:
    """A call that only restarts or reloads leaves nothing behind, though pyinfra then also has it ``running``."""
    name = call.text("service")
    passing = any(call.arguments.get(argument) for argument in _PASSING)
    if (passing and not call.says("running") and not call.says("enabled")) or any(map(call.says, _OTHER_SYSTEMD)):
        return ()
    name = name if name.endswith(_UNIT_TYPES) else f"{name}.service"
    return (f"unit:{name}",) if _UNIT.fullmatch(name) else ()


_TABLE: Mapping[str, Callable[[Call], Iterable[str]]] = {
    "files.put": _put,
    "files.template": _at("file", "dest"),
    "files.download": _at("file", "dest"),
    "files.copy": _copy,
    "files.file": _at("file", "path"),
    "files.directory": _at("directory", "path"),
    "files.link": _at("link", "path"),
    "apt.packages": _packages,
    "dnf.packages": _packages,
    "yum.packages": _packages,
    "zypper.packages": _packages,
    "apk.packages": _packages,
    "pacman.packages": _packages,
    "server.packages": _packages,
    "server.user": _account("user"),
    "server.group": _account("group"),
    "server.service": _unit,
    "systemd.service": _unit,
}
