"""paramiko and typeguard, loaded when somebody uses them.

pyinfra imports an SSH library for the name of one exception; that takes two thirds as long as the rest of pyinfra. It
imports a checker of types, and with that asyncio and unittest.mock, for arguments that few operations are given. Until
somebody asks for more of such a library, this stands in its place.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

if TYPE_CHECKING:  # it loads much that nothing else here needs
    from importlib.abc import Loader, MetaPathFinder
else:
    Loader = MetaPathFinder = object

_SSH_EXCEPTIONS = "paramiko.ssh_exception"
"""A module without imports: it may be loaded alone."""


class _PKey:
    """Stands for a class that pyinfra names in annotations alone."""


class _TypeCheckError(Exception):
    """Stands for one that nothing raises before typeguard is loaded."""


def _check_type(value: Any, expected: Any, **named: Any) -> Any:
    """Stands for typeguard's. It knows the plain case: a value of the very class that is asked for, alone or in a
    union."""
    union = get_origin(expected) in (Union, UnionType)
    if type(value) in (get_args(expected) if union else (expected,)):
        return value
    typeguard: Any = sys.modules["typeguard"]
    if isinstance(typeguard, _Deferred):
        typeguard.load()
    return typeguard.check_type(value, expected, **named)


_STAND_INS: Mapping[str, Mapping[str, Any]] = {
    "paramiko": {"PKey": _PKey},
    "typeguard": {"check_type": _check_type, "TypeCheckError": _TypeCheckError},
}
"""By library, what pyinfra takes from it as it is loaded. Anybody else gets the real thing: a stand-in of an exception
catches nothing."""

_TAKERS = {"paramiko": "pyinfra.api.state", "typeguard": "pyinfra.api.util"}
"""The module that takes it, and gets the real things when the library is loaded."""


class _Deferred(ModuleType):
    """The module before it is loaded."""

    def __getattr__(self, name: str) -> Any:
        if _asker() == _TAKERS[self.__name__] and name in _STAND_INS[self.__name__]:
            return _STAND_INS[self.__name__][name]
        if name.startswith("__"):
            raise AttributeError(name)
        self.load()
        return getattr(self, name)

    def load(self) -> None:
        """Become the real one."""
        spec = self.__spec__
        assert spec is not None
        assert spec.loader is not None
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)
        if taker := sys.modules.get(_TAKERS[spec.name]):
            for name in _STAND_INS[spec.name]:
                setattr(taker, name, getattr(self, name))


def _asker() -> str:
    """The module that asks for an attribute of a library. ``from … import`` asks by the import machinery, too."""
    frame = sys._getframe(2)
    while frame.f_globals["__name__"] == "importlib._bootstrap" and frame.f_back is not None:
        frame = frame.f_back
    name: str = frame.f_globals["__name__"]
    return name


class _Finder(MetaPathFinder):
    """Has everything loaded before a module of it, as an import does otherwise."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        deferred = sys.modules.get(fullname.partition(".")[0])
        if fullname == _SSH_EXCEPTIONS or not isinstance(deferred, _Deferred):
            return None
        deferred.load()
        module = sys.modules.get(fullname)
        if module is None:
            return None
        # The import machinery takes the specification that the module has by now.
        module.__spec__ = ModuleSpec(fullname, _Loaded(module))
        return module.__spec__


class _Loaded(Loader):
    """Of a module that came with the rest."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._own = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own


def defer_libraries() -> None:
    """Has no effect on a library that is loaded already, or not there."""
    sys.meta_path.insert(0, _Finder())
    for name in _STAND_INS:
        if name not in sys.modules and (spec := PathFinder.find_spec(name)):
            module = _Deferred(name)
            module.__spec__, module.__file__, module.__loader__ = spec, spec.origin, spec.loader
            module.__path__ = spec.submodule_search_locations or []
            sys.modules[name] = module
    if isinstance(ssh := sys.modules.get("paramiko"), _Deferred):
        ssh.SSHException = importlib.import_module(_SSH_EXCEPTIONS).SSHException  # type: ignore[attr-defined]
