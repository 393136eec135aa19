"""Engines whose children are forks of two processes, one with pyinfra, that all tests of a worker share.

An engine of the agent starts such a process of its own, which takes 0.2 s of CPU, for the children of one cycle. What
becomes of that process itself is tried in ``engine/test_preloaded.py`` and ``engine/test_client.py``.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, TypeVar

from agent.engine.child import Child, environment
from agent.engine.client import Engine
from agent.engine.preloaded import Preloaded

E = TypeVar("E", bound=Engine)


def engine(kind: type[E] = Engine, **given: Any) -> E:
    """An engine with these arguments; without ``python``, which says what to start."""
    made = kind(**given)
    made._preloaded = _Shared()  # type: ignore[assignment]
    return made


class _Shared:
    """In the place of an engine's own process: one that has the variables which its own would have."""

    def child(self, *given: Any, pyinfra: bool, **named: Any) -> Child:
        variables = tuple(sorted(environment(os.environ).items()))
        return _process(pyinfra, variables).child(*given, pyinfra=pyinfra, **named)


@lru_cache(4)
def _process(pyinfra: bool, variables: tuple[tuple[str, str], ...]) -> Preloaded:
    return Preloaded()
