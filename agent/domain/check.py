"""The health checks of a deploy, and their results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.domain.digest import JSON, digest_of


class CheckKind(NamedTuple):
    """A kind of checks, apart from its options.

    ``module``: the module of ``agent.checks`` with the function of the kind's name, which returns the reason for a
    failure, or nothing. ``only_looks``: True if the check starts no program and looks at no process of others; the
    daemon may do neither, so it asks only such checks. ``resource``: the kind of resource that the value of a check
    names; empty where it names none."""

    module: str
    only_looks: bool = True
    resource: str = ""


CHECK_KINDS: Mapping[str, CheckKind] = {
    "http": CheckKind("network"),
    "tcp": CheckKind("network"),
    "command": CheckKind("look", only_looks=False),
    "unit": CheckKind("look", resource="unit"),
    "file": CheckKind("look", resource="file"),
    "process": CheckKind("look", only_looks=False),
    "certificate": CheckKind("network", resource="file"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``kind``: one of CHECK_KINDS. ``label``: its name within the deploy. ``spec``: all its arguments,
    rendered, those that nobody gave at their defaults."""

    deploy: str
    kind: str
    label: str
    spec: Mapping[str, JSON] = field(default_factory=dict, hash=False)

    @property
    def digest(self) -> str:
        return digest_of([self.deploy, self.kind, self.label, self.spec])

    @property
    def resource(self) -> str:
        """The key of the resource that the check looks at, such as ``unit:nginx.service``; empty without one."""
        kind = CHECK_KINDS[self.kind].resource
        return kind and f"{kind}:{self.spec.get(self.kind, '')}"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check. ``output``: at most 1,000 characters, the most telling first."""

    deploy: str
    label: str
    passed: bool
    output: str = ""
    seconds: float = 0.0
