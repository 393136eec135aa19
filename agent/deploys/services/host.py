"""The kind ``unit``: services, timers, sockets and every other type of systemd's units."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import cast

from agent.deploys import questions as about
from agent.deploys import systemctl
from agent.deploys.correction import Correction, each_alone, unified
from agent.deploys.items import items_from_json
from agent.deploys.kind import Kind, ResourceState, state_before
from agent.deploys.services.unit_file import (
    UNIT_MODE,
    UnitFile,
    erase,
    linked_from,
    put_back,
    require_startable,
    unit_file,
)
from agent.deploys.systemctl import JOB_TIMEOUT_S, QUERY_TIMEOUT_S
from agent.deploys.tree import item_corrections
from agent.deploys.unit_state import (
    UNIT_FOLDER,
    LoadedUnit,
    UnitStep,
    WantedUnit,
    is_template,
    obstacle,
    steps,
    template_of,
    undone,
)
from agent.domain.codec import from_plain
from agent.domain.digest import JSON
from agent.domain.ownership import LedgerEntry, Seen
from agent.domain.plan import WantedChange
from agent.domain.question import Question
from agent.errors import Consequence, DeployError
from agent.system.files import explained, fsync_folder, write_atomic
from agent.system.process import run
from agent.system.systemd import booted

_CHECKED_AFTERWARDS = frozenset({UnitStep.UNMASK, UnitStep.ENABLE, UnitStep.DISABLE, UnitStep.STOP, UnitStep.MASK})


class Unit(Kind):
    """The kind ``unit``. Its state: ``file``, the state of its ``UnitFile``; ``enabled``, its UnitFileState;
    ``active``, True where it runs; ``id``, its own name where ``name`` is another one. The image is the content of the
    file."""

    runs = True

    def __init__(self, folder: Path = UNIT_FOLDER) -> None:
        self._folder = folder

    def look(self, name: str) -> Seen | None:
        file = unit_file(self._folder / name)
        unit = systemctl.query([name])[name]
        if file.state is None and not unit.exists:
            return None
        state: dict[str, JSON] = {"file": file.state, "enabled": unit.file_state, "active": unit.running}
        if unit.id not in ("", name):
            state["id"] = unit.id
        return Seen(state, file.content)

    def corrections(self, arguments: Mapping[str, JSON], root: Path) -> list[Correction]:
        """One correction for each unit and drop-in that is not as it should be. Drop-ins come first, then templates,
        services, and the other units: timers, sockets and paths may start a service. Raises DeployError without
        systemd."""
        systemctl.require_systemd("it has no services to manage")
        wanted = from_plain(arguments["units"], dict[str, WantedUnit])
        drop_ins = item_corrections(items_from_json(arguments["items"]), root)
        changing = {drop_in.change.resource for drop_in in drop_ins}
        found = systemctl.query(wanted)
        arriving = {name for name, unit in wanted.items() if unit.running or unit.enabled}
        found = {name: state.triggered(dict.fromkeys(arriving, _COMING)) for name, state in found.items()}
        starters = {by for name, state in found.items() if wanted[name].enabled is False for by in state.wanters}
        running = {name for name, state in systemctl.query(sorted(starters)).items() if state.running}
        looks = {name: _Look(name, unit, self._folder / name, changing) for name, unit in wanted.items()}

        def correction(name: str) -> Correction | None:
            _require_possible(name, wanted, found, running)
            return self._correction(looks[name], looks.get(template_of(name), looks[name]), found[name])

        names = sorted(wanted, key=lambda name: (not is_template(name), not name.endswith(".service")))
        return [*drop_ins, *each_alone({f"unit:{name}": partial(correction, name) for name in names})]

    def questions(self, arguments: Mapping[str, JSON]) -> Iterator[Question]:
        """The questions that ``corrections`` rests on. Raises DeployError where systemctl fails."""
        yield from about.of_items(items_from_json(arguments["items"]))
        wanted = from_plain(arguments["units"], dict[str, WantedUnit])
        disabled = [name for name, unit in wanted.items() if unit.enabled is False]
        yield from systemctl.questions(wanted, beside=disabled)
        for name, unit in wanted.items():
            if unit.content is not None:
                yield from about.at(UNIT_FOLDER / name)
            for place in {*unit.restart_on, *unit.reload_on, *unit.drop_ins}:
                yield from about.below(place)

    def make(self, name: str, needed: Sequence[UnitStep], content: str | None) -> str:
        """Do the steps to the unit ``name`` (its own name, not an alias) in order, then check that they had an effect.
        ``content``: the text of its unit file. Returns a remark for the report, mostly empty. Raises DeployError with
        the unit's last lines in the journal; steps done before stay done."""
        told = require_startable(name, content or "") if UnitStep.WRITE in needed else ""
        for step in needed:
            self._do(name, step, content or "", written=UnitStep.WRITE in needed)
        asked = _CHECKED_AFTERWARDS.intersection(needed)
        found = systemctl.query([name])[name] if asked else LoadedUnit()
        if asked and (failed := undone(found, asked)) is not None:
            state = found.file_state or found.load
            hint = "give it an [Install] section, or leave `enabled` out" if failed is UnitStep.ENABLE else ""
            raise DeployError(f"{name}: {failed}: systemctl ended well, and the unit is {state}", hint=hint)
        return told

    def changed(self, left: ResourceState, now: Seen) -> str:
        was, is_now = left.get("file"), now.state.get("file")
        if was == is_now:
            return ""
        if was is None:
            return "somebody put a unit file there"
        return "its unit file was taken away" if is_now is None else "its unit file was changed"

    def remove(
        self,
        entries: Sequence[LedgerEntry],
        *,
        purge: bool,
        wanted: Collection[str] = (),  # noqa: ARG002
    ) -> Mapping[str, str]:
        """Stop and disable the units, and remove their files and links; with ``purge`` also the record of when
        persistent timers last ran. Returns, by key, why some had to stay."""
        names = [entry.name for entry in entries]
        stayed: dict[str, str] = {}
        if booted():
            there = {name for name, state in systemctl.query(names).items() if state.exists or is_template(name)}
            # Timers and sockets would start their services again, so all are stopped by one command.
            _tell("stop", [name for name in names if name in there and not is_template(name)], JOB_TIMEOUT_S)
            running = {name for name, state in systemctl.query(names).items() if state.running}
            stayed = {entry.key: "it does not stop" for entry in entries if entry.name in running}
            _tell("disable", [name for name in names if name in there - running])
            if purge:
                timers = [name for name in names if name in there - running and name.endswith(".timer")]
                _tell("clean --what=state", timers)
        stayed |= super().remove([entry for entry in entries if entry.key not in stayed], purge=purge)
        if booted() and (gone := [entry.name for entry in entries if entry.key not in stayed]):
            run(["systemctl", "--quiet", "daemon-reload"], timeout_s=JOB_TIMEOUT_S)
            _tell("reset-failed", gone)
        return stayed

    def remove_one(self, entry: LedgerEntry) -> None:
        """Remove the file and the links of a stopped unit. Raises DeployError where somebody changed the file since the
        agent left it, or it cannot be removed."""
        try:
            file = unit_file(self._folder / entry.name).state
            if entry.left is not None and file and (why := self.changed(entry.left, Seen({"file": file}))):
                raise DeployError(f"changed since: {why}")
            erase(self._folder, entry.name)
        except OSError as error:
            raise explained(error, self._folder / entry.name) from None

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        name, before = entry.name, state_before(entry)
        was = cast("Mapping[str, JSON] | None", before.get("file"))
        moved = unit_file(self._folder / name).state != was
        if moved:
            put_back(self._folder / name, was, image)
        if not booted():
            return
        if moved:
            systemctl.systemctl(name, "daemon-reload")
        name = cast("str", before.get("id", name))  # an alias may be a link that went when the unit was disabled
        found = systemctl.query([name])[name]
        if not found.exists and not is_template(name):
            return  # Its package has gone: there is nothing to enable or start.
        enabled = before.get("enabled")
        if enabled != found.file_state and enabled in ("enabled", "disabled"):
            systemctl.systemctl(name, "enable" if enabled == "enabled" else "disable", name)
        if is_template(name):
            return
        if not before.get("active"):
            if found.running:
                systemctl.systemctl(name, "stop", name)
        elif not found.running or moved:
            systemctl.start(name, "restart")

    def units(self, entry: LedgerEntry) -> Collection[str]:
        return (entry.name,)

    def _correction(self, look: _Look, template: _Look, found: LoadedUnit) -> Correction | None:
        """The correction of one unit; None where nothing differs. ``template``: of an instance, its template's look if
        this deploy has the template; else ``look`` itself."""
        wanted = look.wanted
        unit = found.id if found.exists and wanted.content is None and found.id else look.name
        needed = steps(
            found,
            wanted,
            same_file=look.same_file,
            same_drop_ins=look.same_drop_ins and template.same_drop_ins and (template is look or template.same_file),
            behind=systemctl.behind(unit, found, {*wanted.restart_on, *look.files, *template.files}, wanted.reload_on),
        )
        if not needed:
            return None
        content = (wanted.content or "").encode()
        path = f"{self._folder / look.name}"
        diff = unified(path, look.file.content or b"", content) if UnitStep.WRITE in needed else None
        change = WantedChange(f"unit:{look.name}", ", ".join(needed), diff)
        return Correction(change, self.make, unit, needed, wanted.content)

    def _do(self, name: str, step: UnitStep, content: str, *, written: bool) -> None:
        """Do one step. ``written``: the same correction wrote the unit file, so that its [Install] section may have
        changed."""
        match step:
            case UnitStep.WRITE:
                write_atomic(self._folder / name, content.encode(), mode=UNIT_MODE)
            case UnitStep.REREAD:
                systemctl.systemctl(name, "daemon-reload")
            case UnitStep.ENABLE if written:
                # Links that the [Install] section no longer asks for must go.
                systemctl.systemctl(name, "reenable", name)
            case UnitStep.ENABLE:
                systemctl.systemctl(name, "enable", linked_from(self._folder / name) or name)
            case UnitStep.START | UnitStep.RESTART:
                systemctl.start(name, step.value)
            case UnitStep.RELOAD:
                systemctl.reload(name)
            case UnitStep.MASK:
                self._mask(name)
            case UnitStep.STOP:
                systemctl.systemctl(name, "stop", name)
            case UnitStep.UNMASK | UnitStep.DISABLE:
                systemctl.systemctl(name, step.value, name)
                if undone(systemctl.query([name])[name], [step]) is not None:
                    # Without --runtime systemctl leaves a mask or a link that lasts until the next boot only.
                    systemctl.systemctl(name, step.value, name, runtime=True)

    def _mask(self, name: str) -> None:
        """Mask a unit. Where its own file lies in the mask's place, put the mask there without systemctl, which would
        refuse, and only after the unit was stopped."""
        path = self._folder / name
        if path.is_symlink() or not path.is_file():
            systemctl.systemctl(name, "mask", name)
            return
        aside = path.with_name(f".{name}.hostwright")
        aside.unlink(missing_ok=True)
        aside.symlink_to("/dev/null")
        aside.replace(path)
        fsync_folder(self._folder)
        systemctl.systemctl(name, "daemon-reload")


class _Look:
    """A unit's wanted state beside its files on the host. ``changing``: keys of the drop-ins that are written before,
    because they are not as they should be."""

    def __init__(self, name: str, wanted: WantedUnit, path: Path, changing: Collection[str]) -> None:
        self.name = name
        self.wanted = wanted
        self.file = UnitFile()
        if wanted.content is not None:
            with suppress(OSError):  # a file that cannot be read counts as none, and is written anew
                self.file = unit_file(path)
        content = None if wanted.content is None else wanted.content.encode()
        self.same_file = content is None or (self.file.content == content and self.file.proper)
        self.same_drop_ins = not any(f"file:{path}" in changing for path in wanted.drop_ins)
        self.files = (*([f"{UNIT_FOLDER / name}"] if content is not None else []), *wanted.drop_ins)


_COMING = LoadedUnit(active="active")
"""Stands for a unit that the same deploy starts or enables: it counts as running already."""


def _require_possible(
    name: str, wanted: Mapping[str, WantedUnit], found: Mapping[str, LoadedUnit], running: Collection[str]
) -> None:
    """Raise DeployError if the unit ``name`` cannot be as it is wanted. ``running``: running units that want another
    one."""
    written = any(each in wanted and wanted[each].content is not None for each in (name, template_of(name)))
    if wanted[name].needs_unit and not found[name].exists and not written:
        raise DeployError(
            f"there is no unit {name} on this host",
            hint="install its package in a deploy before this one, or give its unit file with unit or content",
        )
    if why := obstacle(found[name], wanted[name], running):
        raise DeployError(why, hint="change it where it comes from, or leave `enabled` out")
    same = (other for other in wanted if other < name and found[other].id == found[name].id)
    for other in same if found[name].exists else ():
        if _contradict(wanted[other], wanted[name]):
            raise DeployError(
                f"{name} and {other} are the same unit ({found[name].id}), and are wanted differently",
                hint="keep one of them",
                consequence=Consequence.STALL,
            )


def _contradict(one: WantedUnit, other: WantedUnit) -> bool:
    pairs = ((one.running, other.running), (one.enabled, other.enabled), (one.masked, other.masked))
    return any(a is not None and b is not None and a is not b for a, b in pairs)


def _tell(verb: str, names: Sequence[str], timeout_s: float = QUERY_TIMEOUT_S) -> None:
    """Run ``systemctl verb names``, if there are names. A failure is passed over: the caller looks at the units
    afterwards."""
    if names:
        run(["systemctl", "--quiet", "--no-ask-password", *verb.split(), "--", *names], timeout_s=timeout_s)


corrections, questions = Unit().corrections, Unit().questions
