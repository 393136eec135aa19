"""containers: arguments turned into corrections, one for each quadlet that is not as it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from agent.deploys import system_items, systemctl, units
from agent.deploys.containers import host
from agent.deploys.containers.quadlet import service_of
from agent.deploys.containers.spec import quadlet_item
from agent.deploys.correction import Correction
from agent.deploys.items import items_from_json
from agent.deploys.units import Found, Step, Times, Wanted
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.errors import Consequence, DeployError
from agent.system.systemd import booted

_ORDER = ("network", "volume", "image", "build", "pod", "kube", "container")
"""What containers need before them."""


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each resource that is not as it should be.

    Raises DeployError without systemd, and without a podman that knows quadlets.
    """
    quadlets = cast("Mapping[str, Any]", arguments["quadlets"])
    if not booted():
        raise DeployError(
            "systemd does not run this host, so it cannot run containers",
            hint="leave the deploy out for this host",
            consequence=Consequence.STALL,
        )
    host.generator()
    folders = system_items.corrections(items_from_json(arguments["items"]), root)
    return [*folders, *_corrections(quadlets, root)]


def _corrections(quadlets: Mapping[str, Any], root: Path) -> Sequence[Correction]:
    names = sorted(quadlets, key=lambda name: _ORDER.index(name.rpartition(".")[2]))
    texts = {name: quadlets[name]["text"] for name in names}
    found = systemctl.query([service_of(name, texts[name]) for name in names])
    made = (_correction(name, quadlets[name], texts, found, root) for name in names)
    return [correction for correction in made if correction is not None]


def _correction(
    name: str, entry: Mapping[str, Any], texts: Mapping[str, str], found: Mapping[str, Found], root: Path
) -> Correction | None:
    service = service_of(name, texts[name])
    item = quadlet_item(name, texts[name])
    file = next(iter(system_items.corrections([item], root)), None)
    clock = systemctl.now()
    steps = units.steps(
        found[service],
        Wanted(running=entry["running"], content=texts[name]),
        same_file=file is None,
        times=Times(restart_us=systemctl.changed_us([*entry["restart_on"], item.path])),
        clock=clock,
    )
    if not steps:
        return None
    words = [file.change.operation if file and step is Step.WRITE else step.value for step in steps]
    change = WantedChange(item.key, ", ".join(words), file.change.diff if file else None)
    return Correction(change, host.carry_out, name, service, steps, texts)
