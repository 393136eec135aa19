"""The kind ``quadlet``: a file of which podman makes a unit of systemd, for a container, a volume or another thing of
its own. Images and the contents of volumes are not the agent's. Below the kind stands what podman is asked: whether its
generator takes a quadlet, and to pull an image."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from agent.deploys import questions as about
from agent.deploys import systemctl
from agent.deploys.at_path import AtPath
from agent.deploys.containers.quadlet_text import FOLDER, file_name, image_of, service_of
from agent.deploys.correction import Correction
from agent.deploys.items import FILE_MODE, Item, items_from_json
from agent.deploys.kind import Kind, ResourceState, state_before
from agent.deploys.place import SYSTEM, Place
from agent.deploys.telling import reason
from agent.deploys.tree import item_corrections, put_item
from agent.deploys.unit_state import LoadedUnit, UnitStep, WantedUnit, steps
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.domain.plan import WantedChange
from agent.domain.question import Question
from agent.errors import DeployError
from agent.system.files import read_bounded
from agent.system.process import run
from agent.system.safe_open import UnsafePath
from agent.system.systemd import booted

_GENERATORS = ("/usr/libexec/podman/quadlet", "/usr/lib/systemd/system-generators/podman-system-generator")

_CHECK_TIMEOUT_S = 30.0
"""Seconds; the generator takes 3 ms."""

_PULL_TIMEOUT_S = 900.0
"""Seconds; enough for an image of a gigabyte over a slow line. systemd gives a start up after 90 s."""

_UNIT = re.compile(r"^---(\S+)---$", re.MULTILINE)
_COMPLAINT = re.compile(r'^(?:quadlet-generator\[\d+\]: )?(?:converting|loading|error loading) "?([^":]+)"?[:,] ?(.*)$')


_ORDER = ("network", "volume", "image", "build", "pod", "kube", "container")
"""The order in which quadlets need each other."""


@dataclass(frozen=True, slots=True)
class WantedQuadlet:
    """One quadlet as it should be. ``running`` is None if its unit stays as it is. ``restart_on``: paths of the
    host."""

    text: str
    running: bool | None
    restart_on: tuple[str, ...] = ()


class Quadlet(Kind):
    """Names are file names, ``web.container``. State: ``sha256`` and ``mode`` of the file, and ``running``, true if its
    unit runs. The image is the file's content."""

    runs = True

    def look(self, name: str) -> Seen | None:
        found = _file(name)
        if found.status is None:
            return None
        if found.content is None:
            raise UnsafePath(f"{FOLDER}/{name} is {found.name}, and is left alone")
        digest = hashlib.sha256(found.content).hexdigest()
        return Seen({"sha256": digest, "mode": found.mode, "running": _runs(_service(name, found))}, found.content)

    def corrections(self, arguments: Mapping[str, JSON], root: Path) -> list[Correction]:
        """The corrections of the quadlets' folder, then of each quadlet that differs, in the order in which quadlets
        can start. Asks systemd once. Raises DeployError without systemd, and without a podman that knows quadlets."""
        systemctl.require_systemd("it cannot run containers")
        _generator()
        wanted = from_plain(arguments["quadlets"], dict[str, WantedQuadlet])
        folders = item_corrections(items_from_json(arguments["items"]), root)
        names = sorted(wanted, key=lambda name: _ORDER.index(name.rpartition(".")[2]))
        services = {name: service_of(name, wanted[name].text) for name in names}
        found = systemctl.query(services.values())
        made = (self._correction(name, wanted, found[services[name]]) for name in names)
        return [*folders, *filter(None, made)]

    def questions(self, arguments: Mapping[str, JSON]) -> Iterator[Question]:
        """The questions that ``corrections`` rests on."""
        wanted = from_plain(arguments["quadlets"], dict[str, WantedQuadlet])
        for place in (*_GENERATORS, "/usr/bin/podman"):
            yield from about.through(place)
        yield from about.of_items(items_from_json(arguments["items"]))
        yield from about.of_items(_item(name, quadlet.text) for name, quadlet in wanted.items())
        yield from about.of_units(service_of(name, quadlet.text) for name, quadlet in wanted.items())
        for place in {place for quadlet in wanted.values() for place in quadlet.restart_on}:
            yield from about.below(place)

    def make(self, name: str, needed: Sequence[UnitStep], texts: Mapping[str, str]) -> None:
        """Do the steps to the quadlet and its unit, in order. ``texts``: the texts of all quadlets of its deploy, by
        name. Nothing is touched before podman takes the quadlet and its image is there. Raises DeployError with the
        unit's last words; what was done stays."""
        text = texts[name]
        service = service_of(name, text)
        if UnitStep.WRITE in needed:
            _require_sound(name, texts)
        if UnitStep.START in needed or UnitStep.RESTART in needed:
            _pull(name, text)
        for step in needed:
            if step is UnitStep.WRITE:
                put_item(_item(name, text), text.encode())
            elif step is UnitStep.REREAD:
                systemctl.systemctl(service, "daemon-reload")
            elif step in (UnitStep.START, UnitStep.RESTART):
                systemctl.start(service, step.value)
            else:
                systemctl.systemctl(service, step.value, service)

    def changed(self, left: ResourceState, now: Seen) -> str:
        if left.get("sha256") != now.state["sha256"]:
            return "its content changed"
        return "its mode changed" if left.get("mode") != now.state["mode"] else ""

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool, wanted: Collection[str] = ()) -> Mapping[str, str]:
        stayed = super().remove(entries, purge=purge, wanted=wanted)
        if booted():
            systemctl.systemctl(FOLDER, "daemon-reload")
        return stayed

    def remove_one(self, entry: LedgerEntry) -> None:
        found = _file(entry.name)
        if found.status is None:
            return
        service = _service(entry.name, found)
        if _runs(service):
            systemctl.systemctl(service, "stop", service)
        put_item(replace(_item(entry.name, ""), absent=True), None)
        # Many containers end with the signal's number when stopped; a unit that is gone must not count as failed.
        run(["systemctl", "reset-failed", "--", service], timeout_s=systemctl.QUERY_TIMEOUT_S)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        before = state_before(entry)
        if image is None:
            raise DeployError(f"{entry.key}: what was in it was not kept; it is left as it is")
        text = image.decode(errors="surrogateescape")
        service = service_of(entry.name, text)
        put_item(replace(_item(entry.name, text), mode=cast("int", before["mode"])), image)
        systemctl.systemctl(service, "daemon-reload")
        if before.get("running"):
            systemctl.start(service, "restart")
        else:
            systemctl.systemctl(service, "stop", service)

    def units(self, entry: LedgerEntry) -> Collection[str]:
        """The unit that the text on the host now makes; if that cannot be read, the unit by the quadlet's name
        alone."""
        try:
            return (_service(entry.name, _file(entry.name)),)
        except (UnsafePath, OSError):
            return (service_of(entry.name),)

    def _correction(self, name: str, wanted: Mapping[str, WantedQuadlet], found: LoadedUnit) -> Correction | None:
        quadlet = wanted[name]
        item = _item(name, quadlet.text)
        file = next(iter(item_corrections([item], Path("/"))), None)
        needed = steps(
            found,
            WantedUnit(running=quadlet.running, content=quadlet.text),
            same_file=file is None,
            behind=systemctl.behind(found.id, found, [*quadlet.restart_on, item.path]),
        )
        if not needed:
            return None
        words = [file.change.operation if file and step is UnitStep.WRITE else step.value for step in needed]
        change = WantedChange(item.key, ", ".join(words), file.change.diff if file else None)
        return Correction(change, self.make, name, needed, {each: wanted[each].text for each in wanted})


def _item(name: str, text: str) -> Item:
    """The item of the quadlet's file. Raises UnsafePath if ``name`` is not the file name of a quadlet."""
    path = f"{FOLDER}/{_checked(name)}"
    return Item(resource_key=f"quadlet:{name}", path=path, kind="file", text=text, mode=FILE_MODE)


def _file(name: str) -> AtPath:
    return Place(SYSTEM, f"{FOLDER}/{_checked(name)}").look()


def _checked(name: str) -> str:
    """``name``, the file name of a quadlet. Raises UnsafePath for any other name."""
    try:
        proper = file_name(name) == name
    except ValueError:
        proper = False
    if not proper:
        raise UnsafePath(f"{name!r} is not the name of a quadlet")
    return name


def _service(name: str, found: AtPath) -> str:
    return service_of(name, (found.content or b"").decode(errors="replace"))


def _runs(service: str) -> bool:
    """True if the unit runs or waits to be restarted: removing the quadlet has to stop either."""
    found = systemctl.query([service])[service]
    return found.running or found.restarting


def _generator() -> str:
    """The path of podman's generator. Raises DeployError if there is none."""
    for path in _GENERATORS:
        if os.access(path, os.X_OK):
            return path
    if Path("/usr/bin/podman").exists():
        raise DeployError(
            "this host's podman is older than quadlets, which came with version 4.4",
            hint="leave the deploy out for this host, or bring it to Debian 13 or newer",
        )
    raise DeployError(
        "there is no podman on this host",
        hint="install it in a deploy before this one (`packages: {present: [podman]}`)",
    )


def _require_sound(name: str, texts: Mapping[str, str]) -> None:
    """Raise DeployError, with the generator's complaint, if podman does not understand the quadlet ``name``. It is
    tried together with the other ``texts`` of its deploy and with the quadlets that are on the host."""
    tried = {**_others(), **texts}
    while True:
        units, complaints = _generated(tried)
        broken = [other for other in complaints if other != name and other in tried]
        if name in complaints or not broken:
            break
        for other in broken:  # one that cannot be read keeps the generator from going on to the next
            del tried[other]
    if name in complaints or service_of(name, texts[name]) not in units:
        raise DeployError(
            f"{name} is not a quadlet that podman understands: {complaints.get(name, 'it makes no unit of it')}",
            hint="see podman-systemd.unit(5); nothing was changed",
        )


def _generated(texts: Mapping[str, str]) -> tuple[frozenset[str], Mapping[str, str]]:
    """The units that podman's generator makes of these quadlets, and its complaints by quadlet. Raises DeployError."""
    with tempfile.TemporaryDirectory(prefix="hostwright-quadlet-") as folder:
        for name, text in texts.items():
            Path(folder, name).write_text(text, errors="surrogateescape")
        environment = {"PATH": os.environ.get("PATH", os.defpath), "QUADLET_UNIT_DIRS": folder}
        done = run([_generator(), "-dryrun"], timeout_s=_CHECK_TIMEOUT_S, env=environment)
        output, said = (
            stream.decode(errors="replace").replace(f"{folder}/", "") for stream in (done.output, done.error)
        )
    if done.timed_out:
        raise DeployError(f"podman's generator of units was not done after {_CHECK_TIMEOUT_S:.0f} s")
    complaints = (match for line in said.splitlines() if (match := _COMPLAINT.match(line.strip())))
    return frozenset(_UNIT.findall(output)), {match[1]: match[2] for match in complaints}


def _others() -> Mapping[str, str]:
    """The texts of the quadlets that are on the host, by file name; without those that cannot be read."""
    found = {}
    folder = Path(FOLDER)
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            found[path.name] = read_bounded(path).decode(errors="surrogateescape")
        except OSError:
            continue
    return found


def _pull(name: str, text: str) -> None:
    """Pull the image of the container ``name`` if the host does not have it. This comes before the start of the unit,
    which would not wait so long. Raises DeployError if the image cannot be had."""
    image = image_of(name, text)
    if not image or run(["podman", "image", "exists", image], timeout_s=_CHECK_TIMEOUT_S).ok:
        return
    done = run(["podman", "pull", "--quiet", image], timeout_s=_PULL_TIMEOUT_S)
    if done.timed_out:
        raise DeployError(f"{name}: the image {image} had not come after {_PULL_TIMEOUT_S:.0f} s")
    if not done.ok:
        raise DeployError(f"{name}: the image {image} cannot be had: {reason(done)}")


corrections, questions = Quadlet().corrections, Quadlet().questions
