"""ssh: arguments turned into corrections, one for each file that is not as it should be. That of the settings asks
sshd first, and has it read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from agent.deploys import questions as about
from agent.deploys import systemctl, tree
from agent.deploys.correction import Correction, refusal
from agent.deploys.items import Item, items_from_json
from agent.deploys.ssh import host
from agent.deploys.ssh.reading import DROP_IN, UNITS, Configuration
from agent.deploys.unit_state import LoadedUnit
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.domain.question import Question
from agent.errors import Consequence, DeployError
from agent.system.systemd import booted


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One correction for each resource that is not as it should be. Settings that cannot come into force, for instance
    on a host without sshd or systemd, are refused."""
    items = items_from_json(arguments["items"])
    found = tree.corrections(items, root)
    drop_in = next((item for item in items if item.path == DROP_IN), None)
    if drop_in is None:
        return found
    plain = next((correction for correction in found if correction.change.resource == drop_in.key), None)
    try:
        settings = _settings(drop_in, plain, cast("list[str]", arguments["keywords"]))
    except DeployError as error:
        settings = refusal(drop_in.key, error)
    return [*(correction for correction in found if correction is not plain), *filter(None, [settings])]


def questions(arguments: Mapping[str, JSON]) -> Iterator[Question]:
    """The questions that ``corrections`` rests on. Raises DeployError where there is no sshd, its settings cannot be
    read, or systemctl fails."""
    items = items_from_json(arguments["items"])
    yield from about.of_items(items)
    drop_in = next((item for item in items if item.path == DROP_IN), None)
    if drop_in is None:
        return
    yield from about.through(host.daemon())
    yield from systemctl.questions(UNITS)
    yield from about.below(DROP_IN)
    for place in Configuration(drop_in.text or "").places():
        yield from about.through(place)


def _settings(drop_in: Item, plain: Correction | None, keywords: list[str]) -> Correction | None:
    """The correction of the drop-in; None where it is in place and in force. ``plain``: the correction of its file
    alone, None where the file is right. Raises DeployError where the settings cannot come into force."""
    host.daemon()
    if not booted():
        raise DeployError(
            "systemd does not run this host, so sshd cannot be told of new settings",
            hint="leave settings out for this host",
            consequence=Consequence.STALL,
        )
    unit, verb, outdated = _sshd()
    if plain is not None:
        words = [plain.change.operation, *([f"{verb} {unit}"] if unit else [])]
        change = replace(plain.change, operation=", ".join(words))
        return Correction(change, host.put_settings, drop_in, keywords, unit, verb)
    if why := Configuration(drop_in.text or "").obstacle(keywords):
        raise host.not_in_force(why)
    if unit and outdated:
        return Correction(WantedChange(drop_in.key, f"{verb} {unit}"), host.tell, unit, verb)
    return None


def _sshd() -> tuple[str | None, str, bool]:
    """The unit by which sshd runs, or failed to run; the verb by which it reads its settings; and True where it has not
    read our drop-in since that changed. The unit is None where sshd was stopped: it stays so."""
    found = systemctl.query(UNITS)
    unit = next((unit for unit in UNITS if found[unit].running), None)
    verb = host.RELOAD
    if unit is None:
        unit = next((unit for unit in UNITS if _failed(found[unit])), None)
        verb = host.START
    if unit is None:
        return None, verb, False
    return unit, verb, systemctl.behind(unit, found[unit], reload_on=[DROP_IN]) is not None


def _failed(unit: LoadedUnit) -> bool:
    return unit.load == "loaded" and (unit.active == "failed" or unit.restarting)
