"""A deploy's own health checks: what is asked of the host, and what it answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.domain.digest import JSON


@dataclass(frozen=True, slots=True)
class Check:
    """One question. ``kind`` is http, tcp, command, unit, file, process or certificate; ``label`` names it among those
    of its deploy; ``spec`` is what the kind takes, concrete."""

    deploy: str
    kind: str
    label: str
    spec: Mapping[str, JSON] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The answer. ``output``: at most 1,000 characters, what says most first."""

    deploy: str
    label: str
    passed: bool
    output: str = ""
    seconds: float = 0.0
