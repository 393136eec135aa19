"""Loads pyinfra, without what is not needed and without working out the same again and again.

Before any module with facts is loaded: pyinfra looks at the types of all global arguments for each class of facts, as
it does for each operation and for each fact that is asked.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from agent.engine.deferred import defer_paramiko


class _Arguing:
    """A host whose data are put together once, not for each of 32 names."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self.data = SimpleNamespace(**host.data.dict())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)


def _arguing(pop: Callable[..., Any]) -> Callable[..., Any]:
    """pyinfra's ``pop_global_arguments``, quicker."""

    def popped(state: Any, host: Any, kwargs: dict[str, Any]) -> Any:
        return pop(state, _Arguing(host), kwargs)

    return popped


def _splitting_once(shlex: Any) -> Any:
    """The module ``shlex`` for one that splits the same few texts, and only reads the words."""
    return SimpleNamespace(**(vars(shlex) | {"split": functools.cache(shlex.split)}))


_QUICKER: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("pyinfra.api.arguments", "all_global_arguments", functools.cache),
    ("pyinfra.api.facts", "all_global_arguments", functools.cache),
    ("pyinfra.api.facts", "pop_global_arguments", _arguing),
    ("pyinfra.api.operation", "pop_global_arguments", _arguing),
    ("pyinfra.api.operation", "signature", functools.cache),
    ("pyinfra.api.command", "shlex", _splitting_once),
)
"""Names of pyinfra's modules, and what is put in their place: the same, for the same arguments."""


@functools.cache
def load_pyinfra() -> None:
    """Once in the life of a process. A name that pyinfra has no more is left alone."""
    defer_paramiko()
    for name, function, quicker in _QUICKER:
        module = importlib.import_module(name)
        if hasattr(module, function):
            setattr(module, function, quicker(getattr(module, function)))
