"""services: arguments turned into corrections, one for each unit and drop-in that is not as it should be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from agent.deploys import system_items, systemctl, units
from agent.deploys.correction import Correction, refusal
from agent.deploys.difference import unified
from agent.deploys.items import items_from_json
from agent.deploys.services import host
from agent.deploys.units import Found, Step, Times, Wanted, is_template, obstacle, template_of
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.errors import Consequence, DeployError
from agent.system.systemd import booted


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each resource that is not as it should be.

    Raises DeployError without systemd.
    """
    wanted = {name: _wanted(entry) for name, entry in cast("Mapping[str, Any]", arguments["units"]).items()}
    if not booted():
        raise DeployError(
            "systemd does not run this host, so it has no services to manage",
            hint="leave the deploy out for this host",
            consequence=Consequence.STALL,
        )
    drop_ins = system_items.corrections(items_from_json(arguments["items"]), root)
    return [*drop_ins, *_corrections(wanted, {drop_in.change.resource for drop_in in drop_ins})]


def _corrections(wanted: Mapping[str, Wanted], changing: set[str]) -> Sequence[Correction]:
    """Services before the timers, sockets and paths that start them, templates before their instances.
    ``changing``: keys of the drop-ins that are written before."""
    names = tuple(name for name in wanted if not is_template(name))
    found = systemctl.query(names)
    ordered = sorted(wanted, key=lambda name: (not is_template(name), not name.endswith(".service")))
    running = _running_wanters(wanted, found)
    looks = {name: _Look(name, wanted[name], changing) for name in ordered}
    made: list[Correction] = []
    refused: list[Correction] = []
    for name in ordered:
        template = looks.get(template_of(name)) if template_of(name) != name else None
        try:
            _require(name, wanted, found, running)
            correction = _correction(looks[name], template, found.get(name, _TEMPLATE))
        except DeployError as error:
            refused.append(refusal(f"unit:{name}", error))
        else:
            made += [correction] if correction is not None else []
    return [*made, *refused]


def _require(name: str, wanted: Mapping[str, Wanted], found: Mapping[str, Found], running: Collection[str]) -> None:
    """Raises DeployError for a unit that cannot be as it is wanted. ``running``: units that run and start others."""
    if name not in found:
        return  # A template.
    if wanted[name].needs_unit and not found[name].exists and not _brought(name, wanted):
        raise DeployError(
            f"there is no unit {name} on this host",
            hint="install its package in a deploy before this one, or give its unit file with unit or content",
        )
    if why := obstacle(found[name], wanted[name], running):
        raise DeployError(why, hint="change it where it comes from, or leave `enabled` out")
    same = (other for other in wanted if other < name and other in found and found[other].id == found[name].id)
    for other in same if found[name].exists else ():
        if _contradict(wanted[other], wanted[name]):
            raise DeployError(
                f"{name} and {other} are the same unit ({found[name].id}), and are wanted differently",
                hint="keep one of them",
                consequence=Consequence.STALL,
            )


def _contradict(one: Wanted, other: Wanted) -> bool:
    pairs = ((one.running, other.running), (one.enabled, other.enabled), (one.masked, other.masked))
    return any(a is not None and b is not None and a is not b for a, b in pairs)


def _running_wanters(wanted: Mapping[str, Wanted], found: Mapping[str, Found]) -> frozenset[str]:
    """Of the units that start one which is not to be enabled, those that run."""
    names = sorted({wanter for name, unit in found.items() if wanted[name].enabled is False for wanter in unit.wanters})
    return frozenset(name for name, unit in systemctl.query(names).items() if unit.running)


def _brought(name: str, wanted: Mapping[str, Wanted]) -> bool:
    """Whether this deploy itself writes the unit's file, or that of its template."""
    return any(given in wanted and wanted[given].content is not None for given in (name, template_of(name)))


_TEMPLATE = Found("loaded", "inactive", "dead", "", stale=False, started_us=0, started_monotonic_us=0)
"""What a template looks like: systemd shows only instances."""


class _Look:
    """A unit's wanted state beside its files on the host. ``changing``: keys of the drop-ins that are written first."""

    def __init__(self, name: str, wanted: Wanted, changing: set[str]) -> None:
        self.name = name
        self.wanted = wanted
        self.text, proper = host.unit_file(name) if wanted.content is not None else (None, True)
        self.same_file = wanted.content is None or (self.text == wanted.content and proper)
        self.same_drop_ins = not any(f"file:{path}" in changing for path in wanted.drop_ins)
        own = (str(host.UNIT_FOLDER / name),) if wanted.content is not None else ()
        self.files = (*own, *wanted.drop_ins)


def _correction(look: _Look, template: _Look | None, found: Found) -> Correction | None:
    """``template``: what an instance is made from, where this deploy knows it."""
    unit = found.id if found.exists and look.wanted.content is None and found.id else look.name
    clock, wanted = systemctl.now(), look.wanted
    files = (*look.files, *template.files) if template is not None else look.files
    times = Times(
        restart_us=systemctl.changed_us((*wanted.restart_on, *files)),
        reload_us=systemctl.changed_us(wanted.reload_on),
        reloaded_us=systemctl.reloaded_us(unit, clock),
    )
    same_template = template is None or (template.same_file and template.same_drop_ins)
    steps = units.steps(
        found,
        wanted,
        same_file=look.same_file,
        same_drop_ins=look.same_drop_ins and same_template,
        times=times,
        clock=clock,
    )
    if not steps:
        return None
    diff = None
    if Step.WRITE in steps:
        diff = unified(str(host.UNIT_FOLDER / look.name), (look.text or "").encode(), (wanted.content or "").encode())
    change = WantedChange(f"unit:{look.name}", ", ".join(steps), diff)
    return Correction(change, host.carry_out, unit, steps, wanted.content)


def _wanted(entry: Mapping[str, Any]) -> Wanted:
    return Wanted(
        running=entry["running"],
        enabled=entry["enabled"],
        masked=entry["masked"],
        content=entry["content"],
        restart_on=tuple(entry["restart_on"]),
        reload_on=tuple(entry["reload_on"]),
        drop_ins=tuple(entry["drop_ins"]),
    )
