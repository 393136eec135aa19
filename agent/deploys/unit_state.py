"""The state of systemd's units, read from one answer of systemctl, and the steps to a wanted state. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

UNIT_FOLDER = Path("/etc/systemd/system")
UNIT_FOLDERS = (
    UNIT_FOLDER,
    *map(Path, ("/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")),
)
"""The folders of unit files (systemd.unit(5)). /lib/systemd/system is left out: it is a link to the last one, or
systemd reads both."""

QUERY = (
    "systemctl",
    "show",
    "--timestamp=us+utc",
    "--property=Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload"
    ",InactiveExitTimestamp,InactiveExitTimestampMonotonic"
    ",SourcePath,WantedBy,RequiredBy,UpheldBy,TriggeredBy,BusName",
)
"""The command, to be followed by ``--`` and names. It prints one block of lines for each name, in that order, with an
empty line between two blocks."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

CLOCK_GRAIN_US = 10_000
"""The most that a ctime can be too early: file systems stamp with the last kernel tick, which is at most 10 ms ago."""

_RUNNING = frozenset({"active", "activating", "reloading", "refreshing"})
_UNINSTALLABLE = frozenset({"static", "generated", "transient"})
"""States of units without an [Install] section (systemctl(1), is-enabled). Enabling and disabling does nothing to them:
they start at boot where another unit wants them."""
_ENABLED = frozenset({"enabled", "enabled-runtime"})
INIT_SCRIPTS = "/etc/init.d/"


@dataclass(frozen=True, slots=True)
class LoadedUnit:
    """One unit as systemd has it loaded. Moments are in microseconds; 0: it has not left the inactive state since
    boot."""

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    file_state: str = ""
    """UnitFileState: enabled, disabled, static, masked …"""
    stale: bool = False
    """True where its files changed and systemd has not read them again."""
    started_us: int = 0
    """When it last left the inactive state: since the epoch, by the wall clock of that moment."""
    started_monotonic_us: int = 0
    """The moment of ``started_us``, by CLOCK_MONOTONIC."""
    id: str = ""
    """Its own name; the question may have used another one (an alias)."""
    source: str = ""
    """The file that a generator made it from, such as an init script or fstab; empty for other units."""
    wanters: frozenset[str] = frozenset()
    """Units that start it when they start."""
    triggers: frozenset[str] = frozenset()
    """Sockets, timers and paths that start it when they run."""
    on_demand: bool = False
    """True where a call to its name on the bus starts it, or one of its triggers runs or starts at boot."""

    @property
    def exists(self) -> bool:
        return self.load not in ("not-found", "")

    @property
    def running(self) -> bool:
        """True where it runs, also while it starts or reloads; False where it ended and waits to be restarted."""
        return self.active in _RUNNING and not self.restarting

    @property
    def masked_for_good(self) -> bool:
        """True where it is masked for good, and not only until the next boot."""
        return self.load == "masked" and self.file_state != "masked-runtime"

    @property
    def started_by_others(self) -> bool:
        """True where only other units decide if it starts at boot: enabling it would do nothing."""
        return self.file_state in _UNINSTALLABLE or self.file_state == "indirect"

    @property
    def starts_at_boot(self) -> bool:
        """True where it is enabled; where it cannot be enabled, if another unit wants it or it starts on demand."""
        if self.started_by_others:
            return self.on_demand or bool(self.wanters)
        return self.file_state in ("enabled", "alias")

    @property
    def restarting(self) -> bool:
        return self.sub.startswith("auto-restart")

    def triggered(self, triggers: Mapping[str, LoadedUnit]) -> LoadedUnit:
        """The same state, with ``on_demand`` if one of ``triggers`` (by name) starts it and runs or starts at boot."""
        live = (name for name in self.triggers if name in triggers)
        return replace(
            self,
            on_demand=self.on_demand or any(triggers[name].running or triggers[name].starts_at_boot for name in live),
        )


@dataclass(frozen=True, slots=True)
class Clock:
    """Now by three clocks, in microseconds. Placing a moment of the past takes all three."""

    wall_us: int
    monotonic_us: int
    boottime_us: int
    """Like ``monotonic_us``, but goes on while the machine is suspended."""


@dataclass(frozen=True, slots=True)
class WantedUnit:
    """One unit as it should be; the fields are called as in the deploy's arguments. None: left as it is."""

    running: bool | None = None
    enabled: bool | None = None
    masked: bool | None = None
    content: str | None = None
    restart_on: tuple[str, ...] = ()
    reload_on: tuple[str, ...] = ()
    drop_ins: tuple[str, ...] = ()
    """Paths of the drop-ins that the deploy writes."""

    @property
    def needs_unit(self) -> bool:
        """True where the unit has to exist, because it is to run or to start at boot."""
        return bool(self.running or self.enabled)


class UnitStep(StrEnum):
    """The steps that can be done to a unit, in the order in which they are done."""

    WRITE = "write unit file"
    REREAD = "daemon-reload"
    UNMASK = "unmask"
    ENABLE = "enable"
    DISABLE = "disable"
    STOP = "stop"
    MASK = "mask"
    START = "start"
    RESTART = "restart"
    RELOAD = "reload"


def is_template(name: str) -> bool:
    return name.rpartition(".")[0].endswith("@")


def template_of(name: str) -> str:
    """The template of an instance: ``getty@.service`` for ``getty@tty1.service``. Another name is returned as it is."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem.partition('@')[0]}@.{suffix}" if "@" in stem else name


def parsed(output: str, names: Sequence[str]) -> Mapping[str, LoadedUnit]:
    """The units in the answer to ``QUERY``, by name. Raises ValueError where it has more or fewer than ``names``."""
    blocks = [block for block in output.strip().split("\n\n") if block]
    if len(blocks) != len(names):
        raise ValueError(f"systemctl show told of {len(blocks)} units, asked for {len(names)}")
    return {name: _found(block) for name, block in zip(names, blocks, strict=True)}


def steps(
    found: LoadedUnit,
    wanted: WantedUnit,
    *,
    same_file: bool,
    same_drop_ins: bool = True,
    behind: UnitStep | None = None,
) -> tuple[UnitStep, ...]:
    """The steps from ``found`` to ``wanted``, in order; none where nothing differs.

    ``same_file``: the unit file is as it should be. ``same_drop_ins``: so are its drop-ins and its template, which are
    written before it. ``behind``: the step that changes of other files which it reads ask for (``step_behind``).
    """
    same = same_file and same_drop_ins
    last = behind if same else UnitStep.RESTART
    if wanted.running is False or wanted.masked:
        last = None
    elif not found.running:
        last = UnitStep.START if wanted.running else None
    # systemd 252 does not notice (NeedDaemonReload) that it has not read a drop-in whose folder is new.
    unread = bool(wanted.drop_ins) and (found.stale or last in (UnitStep.START, UnitStep.RESTART))
    unmask = found.load == "masked" and same_file and (wanted.needs_unit or wanted.masked is False)
    needed = {
        UnitStep.WRITE: not same_file,
        UnitStep.REREAD: not same or unread or (found.stale and wanted.content is not None),
        UnitStep.UNMASK: unmask,
        UnitStep.ENABLE: wanted.enabled is True and not found.starts_at_boot,
        UnitStep.DISABLE: wanted.enabled is False and found.file_state in _ENABLED,
        UnitStep.STOP: wanted.running is False and (found.running or found.restarting),
        UnitStep.MASK: wanted.masked is True and not found.masked_for_good,
    }
    chosen = [step for step, due in needed.items() if due]
    return tuple(chosen) if last is None else (*chosen, last)


def obstacle(found: LoadedUnit, wanted: WantedUnit, running: Collection[str]) -> str:
    """The reason why no step leads from ``found`` to ``wanted``; empty where one does, or none is needed. ``running``:
    names of running units; those that want it start it at boot."""
    if wanted.content is not None or found.file_state not in _UNINSTALLABLE:
        return ""
    made = f" is made of {found.source}" if found.source else " has no [Install] section"
    if wanted.enabled is True and not found.starts_at_boot:
        return f"{found.id}{made}, and nothing starts it at boot: it cannot be enabled"
    if wanted.enabled is False and not wanted.masked and (by := found.wanters.intersection(running)):
        return f"{found.id}{made}, and {min(by)} starts it at boot: it cannot be disabled, only masked"
    return ""


def undone(found: LoadedUnit, steps: Collection[UnitStep]) -> UnitStep | None:
    """The first of ``steps`` without an effect in ``found``, which was read afterwards; None where all had one."""
    failed = {
        UnitStep.UNMASK: found.load == "masked",
        UnitStep.ENABLE: not found.starts_at_boot,
        UnitStep.DISABLE: found.file_state in _ENABLED,
        UnitStep.STOP: found.running,
        UnitStep.MASK: not found.masked_for_good,
    }
    return next((step for step, so in failed.items() if so and step in steps), None)


def step_behind(
    found: LoadedUnit, clock: Clock, *, restart_us: int = 0, reload_us: int = 0, reloaded_us: int = 0
) -> UnitStep | None:
    """The step by which a unit reads its changed files; None where it has read them all. ``restart_us``, ``reload_us``:
    the newest ctime of the files that take a restart or a reload, in microseconds since the epoch; 0: no such file.
    ``reloaded_us``: when the agent last reloaded it; 0: not since boot."""
    started_us = started_at(found, clock)
    read_us = max(started_us, reloaded_us) if reloaded_us <= clock.wall_us else started_us
    if _changed_since(restart_us, started_us, clock):
        return UnitStep.RESTART
    return UnitStep.RELOAD if _changed_since(reload_us, read_us, clock) else None


def started_at(found: LoadedUnit, clock: Clock) -> int:
    """The moment when a unit left the inactive state, by today's wall clock, in microseconds since the epoch.

    systemd noted the wall clock of that moment, but the wall clock may have been set since. The monotonic clock is
    never set, but stands still while the machine is suspended: it gives the earliest and the latest moment possible.
    The note counts between these two.
    """
    latest = clock.wall_us - (clock.monotonic_us - found.started_monotonic_us)
    suspended = max(0, clock.boottime_us - clock.monotonic_us)
    return min(max(found.started_us, latest - suspended), latest)


def _changed_since(changed_us: int, moment_us: int, clock: Clock) -> bool:
    """True where a file with this ctime changed after ``moment_us``.

    False for a ctime in the future: the clock has been set back since, so the two cannot be compared, and the unit
    must not be restarted at every look.
    """
    return moment_us - CLOCK_GRAIN_US < changed_us <= clock.wall_us


def _found(block: str) -> LoadedUnit:
    values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    return LoadedUnit(
        load=values.get("LoadState", ""),
        active=values.get("ActiveState", ""),
        sub=values.get("SubState", ""),
        file_state=values.get("UnitFileState", ""),
        stale=values.get("NeedDaemonReload") == "yes",
        started_us=_microseconds(values.get("InactiveExitTimestamp", "")),
        started_monotonic_us=int(values.get("InactiveExitTimestampMonotonic") or 0),
        id=values.get("Id", ""),
        source=values.get("SourcePath", ""),
        wanters=frozenset(" ".join(values.get(name, "") for name in ("WantedBy", "RequiredBy", "UpheldBy")).split()),
        triggers=frozenset(values.get("TriggeredBy", "").split()),
        on_demand=bool(values.get("BusName")),
    )


def _microseconds(timestamp: str) -> int:
    """Microseconds since the epoch for a text like ``Sun 2026-11-22 19:20:36.001263 UTC``; 0 for an empty one."""
    if not timestamp:
        return 0
    _, date, time, _ = timestamp.split()
    moment = datetime.datetime.fromisoformat(f"{date}T{time}").replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1)
