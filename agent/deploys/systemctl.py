"""systemd's units on this host: their state, commands to them, and the files that changed since they read them."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys.telling import reason, telling_line
from agent.deploys.unit_state import (
    CLOCK_GRAIN_US,
    INIT_SCRIPTS,
    QUERY,
    UNIT_FOLDERS,
    Clock,
    LoadedUnit,
    UnitStep,
    is_template,
    parsed,
    step_behind,
)
from agent.domain.question import Question
from agent.errors import Consequence, DeployError
from agent.host.paths import Paths
from agent.system.files import write_atomic
from agent.system.process import run
from agent.system.systemd import booted, is_active
from agent.trace.way import targets

JOB_TIMEOUT_S = 300.0
"""For one systemctl command. systemd itself gives a unit 90 s to start, unless the unit says otherwise."""

QUERY_TIMEOUT_S = 20.0
JOURNAL_LINES = 20


def systemctl(unit: str, verb: str, *names: str, runtime: bool = False) -> None:
    """Run ``systemctl verb names`` on behalf of ``unit``. ``runtime``: the effect lasts until the next boot. Raises
    DeployError with the last lines of ``unit`` in the journal."""
    begun = time.time()
    options = ["--no-ask-password", *["--runtime"] * runtime]
    done = run(["systemctl", *options, verb, "--", *names], timeout_s=JOB_TIMEOUT_S)
    if done.ok:
        return
    why = f"not done after {JOB_TIMEOUT_S:.0f} s" if done.timed_out else reason(done)
    words = last_words(unit, begun) if names else []
    said = words_of_its_own(unit, words)
    told = f"{unit}: {verb}: {why}: {said}" if said else f"{unit}: {verb}: {why}"
    raise DeployError("\n".join([told, *words]))


def require_systemd(consequence: str) -> None:
    """Raise DeployError if systemd does not run this host. ``consequence``: the rest of the sentence "systemd does not
    run this host, so …"."""
    if not booted():
        raise DeployError(
            f"systemd does not run this host, so {consequence}",
            hint="leave the deploy out for this host",
            consequence=Consequence.STALL,
        )


def query(names: Iterable[str]) -> dict[str, LoadedUnit]:
    """The state of each of these units, by name. Without systemd none of them exists. Of a template, which systemd does
    not show, only ``exists`` is known: there is a file of that name. Raises DeployError where systemctl fails."""
    states = _shown(names)
    triggers = {name for state in states.values() if state.started_by_others for name in state.triggers}
    triggering = {**_shown(triggers - states.keys()), **states}
    return {name: state.triggered(triggering) for name, state in states.items()}


def questions(names: Collection[str], beside: Collection[str] = ()) -> Iterator[Question]:
    """The questions that ``query`` and ``behind`` rest on, without the files that units read. ``beside``: for these of
    ``names``, the units that want them are asked about as well. Raises DeployError where systemctl fails."""
    found = query(names)
    others = {other for state in found.values() for other in state.triggers}
    others |= {other for name in beside for other in found[name].wanters}
    for name in {*names, *others}:
        if is_template(name):
            for folder in UNIT_FOLDERS:
                yield from about.through(folder / name)
        else:
            yield from about.of_units([name])
    yield from (about.path(_stamp(unit)) for unit in {*names, *(state.id for state in found.values() if state.id)})
    if any(state.source.startswith(INIT_SCRIPTS) for state in found.values()):
        yield from map(about.path, sorted(Path("/etc").glob("rc[S2345].d")))


def _shown(names: Iterable[str]) -> dict[str, LoadedUnit]:
    states = {name: _template(name) if is_template(name) else LoadedUnit() for name in names}
    asked = [name for name in states if not is_template(name)] if booted() else []
    if asked:
        done = run([*QUERY, "--", *asked], timeout_s=QUERY_TIMEOUT_S)
        if not done.ok:
            raise DeployError(f"systemctl show: {done.complaint}")
        found = parsed(done.output.decode(errors="replace"), asked)
        states |= {name: _as_installed(state) for name, state in found.items()}
    return states


def _template(name: str) -> LoadedUnit:
    there = any((folder / name).exists() for folder in UNIT_FOLDERS)
    return LoadedUnit("loaded" if there else "not-found", id=name)


def _as_installed(state: LoadedUnit) -> LoadedUnit:
    """``state``; of an init script, with ``file_state`` by its links in /etc/rc?.d. To systemd each script is a unit,
    but systemd reads the links only at its next daemon-reload."""
    if not state.source.startswith(INIT_SCRIPTS):
        return state
    links = Path("/etc").glob(f"rc[S2345].d/S[0-9][0-9]{Path(state.source).name}")
    return replace(state, file_state="enabled" if any(links) else "disabled")


def start(unit: str, verb: str) -> None:
    """Start or restart (``verb``) ``unit``, also where systemd gave it up after too many failures: the change that the
    agent has just made may have mended the cause. Raises DeployError."""
    run(["systemctl", "reset-failed", "--", unit], timeout_s=QUERY_TIMEOUT_S)
    systemctl(unit, verb, unit)


def reload(unit: str) -> None:
    """Reload ``unit``, and remember when; restart it where it cannot reload. Raises DeployError."""
    time.sleep(CLOCK_GRAIN_US / 1_000_000)  # a file that was written just now is older than the reload then
    begun_ns = time.time_ns()
    systemctl(unit, "reload-or-restart", unit)
    stamp = _stamp(unit)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(stamp, b"")
    os.utime(stamp, ns=(begun_ns, begun_ns))


def tell(unit: str, *, restart: bool = False) -> None:
    """Make ``unit`` read its files again after one has gone: restart it if ``restart`` is True or its own files or
    drop-ins changed, else reload it. Raises DeployError."""
    if query([unit])[unit].stale:
        systemctl(unit, "daemon-reload")
        restart = True
    if restart:
        start(unit, "restart")
    else:
        reload(unit)


def tell_active(units: Iterable[str], restarts: Collection[str] = ()) -> list[str]:
    """Call ``tell`` for each of ``units`` and ``restarts`` that runs, with ``restart`` for ``restarts``. Returns the
    first line of each failure."""
    complaints = []
    for unit in sorted({*units, *restarts}):
        try:
            if is_active(unit):
                tell(unit, restart=unit in restarts)
        except DeployError as error:
            complaints.append(error.message.partition("\n")[0])
    return complaints


def behind(
    unit: str, found: LoadedUnit, restart_on: Iterable[str] = (), reload_on: Iterable[str] = ()
) -> UnitStep | None:
    """The step by which ``unit`` reads the changes of these files, and of all below them, since it last read them; None
    where there are none."""
    reloaded_us = 0
    with contextlib.suppress(OSError):
        reloaded_us = _stamp(unit).stat().st_mtime_ns // 1000  # systemd forgets reloads at a daemon-reload
    times = {"restart_us": changed_us(restart_on), "reload_us": changed_us(reload_on)}
    return step_behind(found, now(), **times, reloaded_us=reloaded_us)


def now() -> Clock:
    return Clock(
        wall_us=time.time_ns() // 1000,
        monotonic_us=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000,
        boottime_us=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000,
    )


def changed_us(paths: Iterable[str]) -> int:
    """The newest ctime of ``paths`` and all below them, in microseconds since the epoch; 0 where nothing is there.

    Of a link, its own ctime and those of the links and the target behind it count. A link to a folder is entered only
    where it is one of ``paths``.
    """
    return max((_ctime_us(found) for path in paths for found in _below(path)), default=0)


def _below(path: str) -> Iterator[str]:
    yield path
    for folder, folders, files in os.walk(path):
        yield from (f"{folder}/{name}" for name in (*folders, *files))


def _ctime_us(path: str) -> int:
    newest = 0
    for each in (path, *targets(path)):
        with contextlib.suppress(OSError):  # it has gone, or is the missing target of a link: it has no ctime
            newest = max(newest, os.lstat(each).st_ctime_ns // 1000)
    return newest


def last_words(unit: str, since: float, *, lines: int = JOURNAL_LINES, priority: str = "debug") -> list[str]:
    """The unit's last lines in the journal since ``since`` (seconds since the epoch), of this priority or a higher one;
    none where there is no journalctl."""
    argv = ["journalctl", f"--unit={unit}", f"--since=@{int(since)}", f"--lines={lines}", f"--priority={priority}"]
    with contextlib.suppress(OSError):
        done = run([*argv, "--no-pager", "--quiet", "--output=cat"], timeout_s=QUERY_TIMEOUT_S)
        return done.output.decode(errors="replace").splitlines()
    return []


def words_of_its_own(unit: str, words: Sequence[str]) -> str:
    """The line of the journal that says why a unit failed; empty where none does. A line by the unit itself is taken
    first; else systemd's first line that says more than that the unit failed."""
    own = [line for line in words if not line.startswith(f"{unit}: ") and not _OF_SYSTEMD.match(line)]
    systemd = [line for line in words if line.startswith(f"{unit}: ") and not _SAYS_NOTHING.search(line)]
    return telling_line("\n".join(own)) or telling_line("\n".join(systemd[:1]))


_OF_SYSTEMD = re.compile(
    r"(?:Start|Stopp|Reload)(?:ing|ed) |Stopped |Failed to start |Finished |Dependency failed for "
)
_SAYS_NOTHING = re.compile(r"Failed with result|Main process exited|Control process exited|Scheduled restart|Consumed ")


def _stamp(unit: str) -> Path:
    """The file whose mtime is the moment of the unit's last reload by the agent. It lies in /run, because a reload
    counts for nothing after a reboot."""
    return Paths().run / "reloaded" / unit
