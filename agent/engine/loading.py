"""The quick way to load pyinfra: without libraries that are not needed, and with caches where it repeats work.

The caches are put in place before any module with facts is loaded: pyinfra reads the types of all global arguments for
each class of facts, as it does for each operation and for each fact that is asked.
"""

from __future__ import annotations

import functools
import gc
import importlib
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from agent.engine.deferred import defer_libraries

_FEW_COLLECTIONS = 100_000
"""The number of new objects between two garbage collections. Most objects stay, and collections take 6 % of the
time."""


class _WithMergedData:
    """A host whose data are merged once, not for each of 32 names."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self.data = SimpleNamespace(**host.data.dict())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)


def _with_merged_data(pop: Callable[..., Any]) -> Callable[..., Any]:
    """``pop``, pyinfra's ``pop_global_arguments``, for a host whose data are merged once."""

    def popped(state: Any, host: Any, kwargs: dict[str, Any]) -> Any:
        return pop(state, _WithMergedData(host), kwargs)

    return popped


def _with_last_result_kept(pop: Callable[..., Any]) -> Callable[..., Any]:
    """``pop``, pyinfra's ``pop_global_arguments``, with the last result kept. Most facts are asked with the arguments
    of their operation; then the result is the same each time."""
    quicker = _with_merged_data(pop)
    last: list[Any] = [None, None]

    def popped(state: Any, host: Any, kwargs: dict[str, Any]) -> Any:
        own = host.current_op_global_arguments
        if not own or any(name not in kwargs or kwargs[name] is not value for name, value in own.items()):
            return quicker(state, host, kwargs)
        if any(name.startswith("_") or name == "name" for name in kwargs.keys() - own.keys()):
            return quicker(state, host, kwargs)
        if last[0] is not own:
            last[:] = own, quicker(state, host, kwargs)
        arguments, found = last[1]
        return {**arguments}, [*found]

    return popped


def _binding_once(bind: Callable[..., Any]) -> Callable[..., Any]:
    """``inspect.getcallargs`` that looks up the parameters of each method of facts once."""
    signature = functools.cache(inspect.signature)

    def bound(method: Any, *values: Any, **named: Any) -> Any:
        try:
            found = signature(method.__func__).bind(method.__self__, *values, **named)
        except (AttributeError, TypeError):
            return bind(method, *values, **named)  # it raises its own error for wrong arguments
        found.apply_defaults()
        return found.arguments

    return bound


def _splitting_once(shlex: Any) -> Any:
    """The module ``shlex`` with a cache, for a caller that splits the same few texts and does not change the words."""
    return SimpleNamespace(**(vars(shlex) | {"split": functools.cache(shlex.split)}))


_QUICKER: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("pyinfra.api.arguments", "all_global_arguments", functools.cache),
    ("pyinfra.api.facts", "all_global_arguments", functools.cache),
    ("pyinfra.api.facts", "getcallargs", _binding_once),
    ("pyinfra.api.facts", "pop_global_arguments", _with_last_result_kept),
    ("pyinfra.api.operation", "pop_global_arguments", _with_merged_data),
    ("pyinfra.api.operation", "signature", functools.cache),
    ("pyinfra.api.command", "shlex", _splitting_once),
)
"""Modules of pyinfra, names in them, and the functions that make the quicker replacement: it returns the same for the
same arguments."""


@functools.cache
def load_pyinfra() -> None:
    """Load pyinfra, once in the life of a process. Names that this pyinfra does not have are skipped."""
    gc.set_threshold(_FEW_COLLECTIONS)
    defer_libraries()
    for name, function, quicker in _QUICKER:
        module = importlib.import_module(name)
        if hasattr(module, function):
            setattr(module, function, quicker(getattr(module, function)))
