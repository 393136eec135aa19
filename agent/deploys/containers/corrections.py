"""containers: arguments turned into wanted quadlets and their folder, and what differs from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys import tree
from agent.deploys.containers import podman
from agent.deploys.containers.quadlet import Quadlet, WantedQuadlet
from agent.deploys.correction import Correction
from agent.deploys.items import items_from_json
from agent.deploys.systemctl import require_systemd
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.question import Question


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each resource that differs. Raises DeployError without systemd, and without a podman that knows
    quadlets."""
    require_systemd("it cannot run containers")
    podman.generator()
    wanted = from_plain(arguments["quadlets"], dict[str, WantedQuadlet])
    folders = tree.corrections(items_from_json(arguments["items"]), root)
    return [*folders, *Quadlet().corrections(wanted)]


def questions(arguments: Mapping[str, JSON]) -> Iterator[Question]:
    """The questions that ``corrections`` rests on."""
    for place in (*podman.GENERATORS, "/usr/bin/podman"):
        yield from about.through(place)
    yield from about.of_items(items_from_json(arguments["items"]))
    yield from Quadlet().questions(from_plain(arguments["quadlets"], dict[str, WantedQuadlet]))
