"""What systemd says of some units, as a fact of pyinfra."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from pyinfra.api.facts import FactBase
from pyinfra.context import host

from agent.deploys import units
from agent.deploys.systemctl import as_installed
from agent.deploys.units import Found


class SystemdUnits(FactBase[Mapping[str, Found]]):
    """Some units, by one question."""

    def command(self, names: tuple[str, ...]) -> str:
        self.names = names
        return shlex.join((*units.QUERY, "--", *names))

    def process(self, output: list[str]) -> Mapping[str, Found]:
        found = units.parsed("\n".join(output), self.names)
        return {name: as_installed(unit) for name, unit in found.items()}


def ask(names: Sequence[str]) -> Mapping[str, Found]:
    """How systemd has these units loaded, by name."""
    return host.get_fact(SystemdUnits, names=tuple(names)) if names else {}
