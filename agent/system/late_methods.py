"""The methods of the agent's dataclasses, compiled only when they are first called.

``dataclasses`` writes the source of six methods for each frozen class, and compiles it when the module is loaded. A
command loads some 150 such classes and uses few of them: compiling was a fifth of the CPU time of `hostwright plan`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

Method = Callable[..., Any]
Compile = Callable[..., Method]

_COMPILE = "_create_fn"
"""The function of Python 3.11 and 3.12 that compiles a method. Later versions compile the methods of a class together;
with them nothing is changed."""


def compile_late(package: str) -> None:
    """Have the methods of dataclasses of ``package`` compiled late from now on. Before the first call, only
    ``inspect.signature`` shows a difference, and the ``__doc__`` that ``dataclasses`` makes of the signature for a
    class without a docstring."""
    if compile_now := getattr(dataclasses, _COMPILE, None):
        setattr(dataclasses, _COMPILE, _late(compile_now, package))


def _late(compile_now: Compile, package: str) -> Compile:
    def compile_or_wait(name: str, *source: Any, **names: Any) -> Method:
        module: str = (names.get("globals") or {}).get("__name__", "")
        if module.partition(".")[0] != package:
            return compile_now(name, *source, **names)
        return _waiting(name, functools.partial(compile_now, name, *source, **names))

    return compile_or_wait


def _waiting(name: str, compiled: Callable[[], Method]) -> Method:
    """A method that, when it is first called, is compiled and puts the compiled method in its place. ``dataclasses``
    wraps ``__repr__`` in another function: there this method stays, and is compiled once."""
    compiled = functools.cache(compiled)

    def method(self: object, /, *values: Any, **named: Any) -> Any:
        made = compiled()
        made.__qualname__ = method.__qualname__
        for kind in type(self).__mro__:
            if vars(kind).get(name) is method:
                setattr(kind, name, made)
        return made(self, *values, **named)

    method.__name__ = name
    return method
