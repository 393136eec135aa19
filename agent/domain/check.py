"""The health checks of a deploy, and their results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.domain.digest import JSON


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``kind``: http, tcp, command, unit, file, process or certificate. ``label``: its name within the
    deploy. ``spec``: its arguments, concrete."""

    deploy: str
    kind: str
    label: str
    spec: Mapping[str, JSON] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check. ``output``: at most 1,000 characters, the most telling first."""

    deploy: str
    label: str
    passed: bool
    output: str = ""
    seconds: float = 0.0
