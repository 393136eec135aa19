"""Mistakes in fleet.yaml as a whole: unknown names in patterns, windows that are too short."""

from __future__ import annotations

from agent.domain.fault import KeyPath
from agent.inventory.ansible.inventory import Inventory
from agent.inventory.complaint import Complaints
from agent.inventory.fleet import Fleet
from agent.system.yaml import Node, locate


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
    patterns: dict[KeyPath, str] = {
        ("suspend", index, "hosts"): entry.hosts for index, entry in enumerate(fleet.suspend)
    }
    patterns |= {("windows", index, "hosts"): window.hosts for index, window in enumerate(fleet.windows)}
    if fleet.reboot != "never":
        patterns["reboot", "hosts"] = fleet.reboot.hosts
    for path, hosts in patterns.items():
        position = locate(root, path)
        with complaints.of(position, path):
            inventory.match(hosts)
            for fault in inventory.unknown_names(hosts):
                complaints.add(position, path, fault.problem, fault.remedy)
