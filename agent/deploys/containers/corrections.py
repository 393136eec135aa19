"""containers: arguments turned into wanted quadlets and their folder, and what differs from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.deploys import tree
from agent.deploys.containers import podman
from agent.deploys.containers.quadlet import Quadlet, WantedQuadlet
from agent.deploys.correction import Correction
from agent.deploys.items import items_from_json
from agent.deploys.systemctl import require_systemd
from agent.domain.codec import from_plain
from agent.domain.digest import JSON


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each resource that differs. Raises DeployError without systemd, and without a podman that knows
    quadlets."""
    require_systemd("it cannot run containers")
    podman.generator()
    wanted = from_plain(arguments["quadlets"], dict[str, WantedQuadlet])
    folders = tree.corrections(items_from_json(arguments["items"]), root)
    return [*folders, *Quadlet().corrections(wanted)]
