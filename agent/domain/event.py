"""Events: what a host remembers of its own doings, one line each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """``kind`` is for machines (``drift-repaired``); ``diff`` stays on the host."""

    at: int
    kind: str
    message: str
    deploy: str = ""
    resource: str = ""
    diff: str | None = None
