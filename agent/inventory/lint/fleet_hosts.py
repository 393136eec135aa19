"""The parts of fleet.yaml that depend on hosts: the windows of one host, unknown names in patterns, windows that are
too short."""

from __future__ import annotations

from collections.abc import Callable, Collection

from agent.domain.fault import Path
from agent.domain.window import Window
from agent.inventory.ansible.inventory import Inventory
from agent.inventory.complaint import Complaints
from agent.inventory.fleet import Fleet
from agent.system.yaml import Node, locate

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def windows_of(fleet: Fleet, host: str, match: Callable[[str], Collection[str]]) -> tuple[Window, ...]:
    """The windows of ``host``. ``match`` gives the hosts of a pattern."""
    return tuple(
        Window(
            days=tuple(_DAYS.index(day) for day in window.days),
            from_minute=int(window.from_[:2]) * 60 + int(window.from_[3:]),
            for_s=window.for_,
            tz=window.tz,
            holds_drift=window.drift == "hold",
        )
        for window in fleet.windows
        if host in match(window.hosts)
    )


def check_windows(fleet: Fleet, root: Node, complaints: Complaints) -> None:
    """Complain of windows that are too short for the longest deploy and the settling after it."""
    budget = fleet.schedule.deploy_timeout + fleet.schedule.settle
    for index, window in enumerate(fleet.windows):
        if window.for_ < budget:
            path = ("windows", index, "for")
            complaints.add(
                locate(root, path),
                path,
                f"nothing would ever begin: a change needs {budget} s (schedule.deploy_timeout + schedule.settle)",
                f"write {-(-budget // 60)}m or more, or lower schedule.deploy_timeout",
            )


def check_hosts(fleet: Fleet, root: Node, inventory: Inventory, complaints: Complaints) -> None:
    """Complain of patterns in fleet.yaml with unknown names. Such a suspension would suspend nobody."""
    patterns: dict[Path, str] = {("suspend", index, "hosts"): entry.hosts for index, entry in enumerate(fleet.suspend)}
    patterns |= {("windows", index, "hosts"): window.hosts for index, window in enumerate(fleet.windows)}
    if fleet.reboot != "never":
        patterns["reboot", "hosts"] = fleet.reboot.hosts
    for path, hosts in patterns.items():
        position = locate(root, path)
        with complaints.of(position, path):
            inventory.match(hosts)
            for fault in inventory.unknown_names(hosts):
                complaints.add(position, path, fault.problem, fault.remedy)
