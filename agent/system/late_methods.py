"""Has the methods of the agent's dataclasses compiled when they are first called.

``dataclasses`` writes the source of six methods for each frozen class, and compiles that as a module is loaded. A
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
"""Of Python 3.11 and 3.12. Later ones compile the methods of a class together; there nothing is changed."""


def compile_late(package: str) -> None:
    """From now on, for the dataclasses of ``package``. Before the first call,
    ``inspect.signature`` can tell, and the ``__doc__`` that ``dataclasses`` makes from it for a class without one."""
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
    """A method that is compiled, and put in its own place, when it is first called. ``dataclasses`` has one within
    another, ``__repr__``: that stays, and is compiled once."""
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
