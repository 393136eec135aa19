"""paramiko, loaded when somebody uses it.

pyinfra imports an SSH library for the name of one exception; that takes two thirds as long as the rest of pyinfra.
Until somebody asks for more of it, this stands in its place.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # it loads much that nothing else here needs
    from importlib.abc import Loader, MetaPathFinder
else:
    Loader = MetaPathFinder = object

_NAME = "paramiko"
_EXCEPTIONS = f"{_NAME}.ssh_exception"


class _PKey:
    """Stands for a class that pyinfra names in annotations alone."""


class _Deferred(ModuleType):
    """The module before it is loaded: it knows its exceptions, which are a module without imports."""

    def __getattr__(self, name: str) -> Any:
        if name == "PKey":
            return _PKey
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
        sys.modules["pyinfra.api.state"].PKey = self.PKey  # type: ignore[attr-defined]


class _Finder(MetaPathFinder):
    """Has everything loaded before a module of it, as an import does otherwise."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        deferred = sys.modules.get(_NAME)
        if not fullname.startswith(f"{_NAME}.") or fullname == _EXCEPTIONS or not isinstance(deferred, _Deferred):
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


def defer_paramiko() -> None:
    """Has no effect where it is loaded already, or not there."""
    if _NAME in sys.modules or not (spec := PathFinder.find_spec(_NAME)):
        return
    module = _Deferred(_NAME)
    module.__spec__, module.__file__, module.__loader__ = spec, spec.origin, spec.loader
    module.__path__ = spec.submodule_search_locations or []
    sys.modules[_NAME] = module
    sys.meta_path.insert(0, _Finder())
    module.SSHException = importlib.import_module(_EXCEPTIONS).SSHException  # type: ignore[attr-defined]
