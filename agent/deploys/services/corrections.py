"""services: arguments turned into wanted units and their drop-ins, and what differs from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.deploys import tree
from agent.deploys.correction import Correction
from agent.deploys.items import items_from_json
from agent.deploys.services.unit import Unit
from agent.deploys.systemctl import require_systemd
from agent.deploys.unit_state import WantedUnit
from agent.domain.codec import from_plain
from agent.domain.digest import JSON


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each resource that differs. Raises DeployError without systemd."""
    require_systemd("it has no services to manage")
    wanted = from_plain(arguments["units"], dict[str, WantedUnit])
    drop_ins = tree.corrections(items_from_json(arguments["items"]), root)
    return [*drop_ins, *Unit().corrections(wanted, {drop_in.change.resource for drop_in in drop_ins})]
