"""paramiko and typeguard, loaded when they are used.

pyinfra imports paramiko, an SSH library, for the name of one exception; that takes two thirds as long as the rest of
pyinfra. It imports typeguard, a checker of types, and with it asyncio and unittest.mock, for arguments that few
operations have. A stand-in takes the place of such a library until code uses more of it.
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
    """The stand-in of a class that pyinfra only names in annotations."""


class _TypeCheckError(Exception):
    """The stand-in of an exception that nothing raises before typeguard is loaded."""


def _check_type(value: Any, expected: Any, **named: Any) -> Any:
    """The stand-in of typeguard's function. It decides the plain case itself: a value whose class is exactly the
    expected one, or one of a union. It loads typeguard for all others."""
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
"""The names that pyinfra imports from each library, with their stand-ins. All other code gets the real ones, because a
stand-in of an exception catches nothing."""

_TAKERS = {"paramiko": "pyinfra.api.state", "typeguard": "pyinfra.api.util"}
"""By library, the module of pyinfra that has the stand-ins, and gets the real ones when the library is loaded."""


class _Deferred(ModuleType):
    """A library before it is loaded."""

    def __getattr__(self, name: str) -> Any:
        if _asker() == _TAKERS[self.__name__] and name in _STAND_INS[self.__name__]:
            return _STAND_INS[self.__name__][name]
        if name.startswith("__"):
            raise AttributeError(name)
        self.load()
        return getattr(self, name)

    def load(self) -> None:
        """Load the library into this module, and put the real names into the module of pyinfra that took stand-ins."""
        spec = self.__spec__
        assert spec is not None
        assert spec.loader is not None
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)
        if taker := sys.modules.get(_TAKERS[spec.name]):
            for name in _STAND_INS[spec.name]:
                setattr(taker, name, getattr(self, name))


def _asker() -> str:
    """The name of the module that asks for an attribute of a library. Frames of the import machinery, which ``from …
    import`` passes, do not count."""
    frame = sys._getframe(2)
    while frame.f_globals["__name__"] == "importlib._bootstrap" and frame.f_back is not None:
        frame = frame.f_back
    name: str = frame.f_globals["__name__"]
    return name


class _Finder(MetaPathFinder):
    """A finder that loads a deferred library before a module of it is imported, as Python does with any other."""

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
        # The import machinery uses this specification for a module that was loaded with the library.
        module.__spec__ = ModuleSpec(fullname, _Loaded(module))
        return module.__spec__


class _Loaded(Loader):
    """The loader of a module that was loaded with its library: it returns the module and leaves it as it is."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._own = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own


def defer_libraries() -> None:
    """Defer the libraries, except those that are loaded already or are missing."""
    sys.meta_path.insert(0, _Finder())
    for name in _STAND_INS:
        if name not in sys.modules and (spec := PathFinder.find_spec(name)):
            module = _Deferred(name)
            module.__spec__, module.__file__, module.__loader__ = spec, spec.origin, spec.loader
            module.__path__ = spec.submodule_search_locations or []
            sys.modules[name] = module
    if isinstance(ssh := sys.modules.get("paramiko"), _Deferred):
        ssh.SSHException = importlib.import_module(_SSH_EXCEPTIONS).SSHException  # type: ignore[attr-defined]
