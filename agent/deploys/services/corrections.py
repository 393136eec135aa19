"""services: arguments turned into wanted units and their drop-ins, and what differs from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys import systemctl, tree
from agent.deploys.correction import Correction
from agent.deploys.items import items_from_json
from agent.deploys.services.unit import Unit
from agent.deploys.systemctl import require_systemd
from agent.deploys.unit_state import UNIT_FOLDER, WantedUnit
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.question import Question


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each resource that differs. Raises DeployError without systemd."""
    require_systemd("it has no services to manage")
    wanted = from_plain(arguments["units"], dict[str, WantedUnit])
    drop_ins = tree.corrections(items_from_json(arguments["items"]), root)
    return [*drop_ins, *Unit().corrections(wanted, {drop_in.change.resource for drop_in in drop_ins})]


def questions(arguments: Mapping[str, JSON]) -> Iterator[Question]:
    """The questions that ``corrections`` rests on. Raises DeployError where systemd does not tell."""
    yield from about.of_items(items_from_json(arguments["items"]))
    wanted = from_plain(arguments["units"], dict[str, WantedUnit])
    disabled = [name for name, unit in wanted.items() if unit.enabled is False]
    yield from systemctl.questions(wanted, beside=disabled)
    for name, unit in wanted.items():
        if unit.content is not None:
            yield from about.at(UNIT_FOLDER / name)
        for place in {*unit.restart_on, *unit.reload_on, *unit.drop_ins}:
            yield from about.below(place)
