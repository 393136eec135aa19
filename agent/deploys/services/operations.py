"""services: arguments turned into corrections, one for each unit that is not as it should be."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pyinfra.api.facts import FactBase
from pyinfra.context import host as pyinfra_host

from agent.deploys.correction import Correction, correct
from agent.deploys.services import host, units
from agent.deploys.services.spec import is_template, template_of
from agent.deploys.services.units import Clock, Found, Step, Times, Wanted
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.errors import Consequence, DeployError
from agent.system.systemd import booted


def deploy(arguments: Mapping[str, JSON], root: Path) -> None:  # noqa: ARG001 - unit files are in the arguments
    """Every deploy has this door. Raises DeployError without systemd, and for a unit that does not exist."""
    wanted = {name: _wanted(entry) for name, entry in cast("Mapping[str, Any]", arguments["units"]).items()}
    if not booted():
        raise DeployError(
            "systemd does not run this host, so it has no services to manage",
            hint="leave the deploy out for this host",
            consequence=Consequence.STALL,
        )
    correct("services", corrections(wanted))


class SystemdUnits(FactBase[Mapping[str, Found]]):
    """Some units, by one question."""

    def command(self, names: tuple[str, ...]) -> str:
        self.names = names
        return shlex.join((*units.QUERY, "--", *names))

    def process(self, output: list[str]) -> Mapping[str, Found]:
        return units.parsed("\n".join(output), self.names)


def corrections(wanted: Mapping[str, Wanted]) -> Sequence[Correction]:
    """Services before the timers, sockets and paths that start them, templates before their instances."""
    names = tuple(name for name in wanted if not is_template(name))
    found = pyinfra_host.get_fact(SystemdUnits, names=names) if names else {}
    clock = host.now()
    ordered = sorted(wanted, key=lambda name: (not is_template(name), not name.endswith(".service")))
    for name in names:
        if wanted[name].needs_unit and not found[name].exists and not _brought(name, wanted):
            raise DeployError(
                f"there is no unit {name} on this host",
                hint="install its package in a deploy before this one, or give its unit file with unit or content",
            )
    made = (_correction(name, wanted[name], found.get(name, _TEMPLATE), clock) for name in ordered)
    return [correction for correction in made if correction is not None]


def _brought(name: str, wanted: Mapping[str, Wanted]) -> bool:
    """Whether this deploy itself writes the unit's file, or that of its template."""
    return any(given in wanted and wanted[given].content is not None for given in (name, template_of(name)))


_TEMPLATE = Found("loaded", "inactive", "dead", "", stale=False, started_us=0, started_monotonic_us=0)
"""What a template looks like: systemd shows only instances."""


def _correction(name: str, wanted: Wanted, found: Found, clock: Clock) -> Correction | None:
    text, proper = host.unit_file(name) if wanted.content is not None else (None, True)
    same_file = wanted.content is None or (text == wanted.content and proper)
    own_file = (str(host.UNIT_FOLDER / name),) if wanted.content is not None else ()
    times = Times(
        restart_us=host.changed_us((*wanted.restart_on, *own_file)),
        reload_us=host.changed_us(wanted.reload_on),
        reloaded_us=host.reloaded_us(name, clock),
    )
    steps = units.steps(found, wanted, same_file=same_file, times=times, clock=clock)
    if not steps:
        return None
    diff = _diff(name, text or "", wanted.content or "") if Step.WRITE in steps else None
    change = WantedChange(f"unit:{name}", ", ".join(steps), diff)
    return Correction(change, host.carry_out, name, steps, wanted.content)


def _diff(name: str, before: str, after: str) -> str:
    path = str(host.UNIT_FOLDER / name)
    lines: Iterable[str] = difflib.unified_diff(before.splitlines(), after.splitlines(), path, path, lineterm="", n=3)
    return "\n".join(lines)


def _wanted(entry: Mapping[str, Any]) -> Wanted:
    return Wanted(
        running=entry["running"],
        enabled=entry["enabled"],
        masked=entry["masked"],
        content=entry["content"],
        restart_on=tuple(entry["restart_on"]),
        reload_on=tuple(entry["reload_on"]),
    )
