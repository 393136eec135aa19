"""The health checks of a deploy, and their results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.domain.digest import JSON


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``kind``: http, tcp, command, unit, file, process or certificate. ``label``: its name within the
    deploy. ``spec``: its arguments, concrete, with the defaults of those that nobody gave."""

    deploy: str
    kind: str
    label: str
    spec: Mapping[str, JSON] = field(default_factory=dict, hash=False)

    @property
    def only_looks(self) -> bool:
        """True where it starts no program as anybody and sees no other's process: a daemon that may do neither can ask
        it."""
        return self.kind not in ("command", "process")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check. ``output``: at most 1,000 characters, the most telling first."""

    deploy: str
    label: str
    passed: bool
    output: str = ""
    seconds: float = 0.0
