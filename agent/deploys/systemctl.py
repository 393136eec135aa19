"""systemd's units on this host: asked for their state, told one thing, and when the files that one reads changed."""

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
"""systemd itself gives a unit 90 s to start unless it says otherwise."""

QUERY_TIMEOUT_S = 20.0
JOURNAL_LINES = 20


def systemctl(unit: str, verb: str, *names: str, runtime: bool = False) -> None:
    """Runs ``systemctl verb names`` for the sake of ``unit``; ``runtime``: until the next boot. Raises DeployError with
    the unit's last words."""
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
    """Raises DeployError where systemd does not run this host; ``consequence``: what the host then cannot have."""
    if not booted():
        raise DeployError(
            f"systemd does not run this host, so {consequence}",
            hint="leave the deploy out for this host",
            consequence=Consequence.STALL,
        )


def query(names: Iterable[str]) -> dict[str, LoadedUnit]:
    """The state of each of these units, by name; absent where systemd does not run. systemd shows no templates: of
    those it is known whether there is a file. Raises DeployError where systemd does not tell."""
    states = _shown(names)
    triggers = {name for state in states.values() if state.started_by_others for name in state.triggers}
    triggering = {**_shown(triggers - states.keys()), **states}
    return {name: state.triggered(triggering) for name, state in states.items()}


def questions(names: Collection[str], beside: Collection[str] = ()) -> Iterator[Question]:
    """The questions that ``query`` and ``behind`` rest on, but for the files that units read; ``beside``: of these also
    the units that start them. Raises DeployError where systemd does not tell."""
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
    """``state`` with the file state that an init script has by its links: to systemd each script is a unit, and whether
    it starts at boot systemd reads at its next reload only."""
    if not state.source.startswith(INIT_SCRIPTS):
        return state
    links = Path("/etc").glob(f"rc[S2345].d/S[0-9][0-9]{Path(state.source).name}")
    return replace(state, file_state="enabled" if any(links) else "disabled")


def start(unit: str, verb: str) -> None:
    """Starts or restarts (``verb``) ``unit``, also one that failed too often: what has just been put right may have
    been the cause. Raises DeployError."""
    run(["systemctl", "reset-failed", "--", unit], timeout_s=QUERY_TIMEOUT_S)
    systemctl(unit, verb, unit)


def reload(unit: str) -> None:
    """Has ``unit`` read its files again, by a restart where it knows no other way. Raises DeployError."""
    time.sleep(CLOCK_GRAIN_US / 1_000_000)  # what was written just now is then older than the reload, not as old
    begun_ns = time.time_ns()
    systemctl(unit, "reload-or-restart", unit)
    stamp = _stamp(unit)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(stamp, b"")
    os.utime(stamp, ns=(begun_ns, begun_ns))


def tell(unit: str, *, restart: bool = False) -> None:
    """Has ``unit`` go by what is there now, after a file that it reads has gone. It is restarted where ``restart`` says
    so or systemd has to read a drop-in again, else reloaded. Raises DeployError."""
    if query([unit])[unit].stale:
        systemctl(unit, "daemon-reload")
        restart = True
    if restart:
        start(unit, "restart")
    else:
        reload(unit)


def tell_active(units: Iterable[str], restarts: Collection[str] = ()) -> list[str]:
    """Tells those of ``units`` that run; of these, ``restarts`` are restarted. Returns what went wrong, a line each."""
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
    """The step by which ``unit`` goes by these files, and all below them; None where it does so already."""
    reloaded_us = 0
    with contextlib.suppress(OSError):
        reloaded_us = _stamp(unit).stat().st_mtime_ns // 1000  # a daemon-reload makes systemd forget
    times = {"restart_us": changed_us(restart_on), "reload_us": changed_us(reload_on)}
    return step_behind(found, now(), **times, reloaded_us=reloaded_us)


def now() -> Clock:
    return Clock(
        wall_us=time.time_ns() // 1000,
        monotonic_us=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000,
        boottime_us=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000,
    )


def changed_us(paths: Iterable[str]) -> int:
    """The newest ctime of ``paths`` and all below them, in microseconds; 0 when there is nothing.

    Where a path is a link, it and all that it leads to count; folders behind links are not entered.
    """
    return max((_ctime_us(found) for path in paths for found in _below(path)), default=0)


def _below(path: str) -> Iterator[str]:
    yield path
    for folder, folders, files in os.walk(path):
        yield from (f"{folder}/{name}" for name in (*folders, *files))


def _ctime_us(path: str) -> int:
    newest = 0
    for each in (path, *targets(path)):
        with contextlib.suppress(OSError):  # gone, or a link that leads nowhere: nothing to be newer than
            newest = max(newest, os.lstat(each).st_ctime_ns // 1000)
    return newest


def last_words(unit: str, since: float, *, lines: int = JOURNAL_LINES, priority: str = "debug") -> list[str]:
    """The unit's last lines in the journal since then (seconds since the epoch), of this priority or a higher one."""
    argv = ["journalctl", f"--unit={unit}", f"--since=@{int(since)}", f"--lines={lines}", f"--priority={priority}"]
    with contextlib.suppress(OSError):
        done = run([*argv, "--no-pager", "--quiet", "--output=cat"], timeout_s=QUERY_TIMEOUT_S)
        return done.output.decode(errors="replace").splitlines()
    return []


def words_of_its_own(unit: str, words: Sequence[str]) -> str:
    """The line of the journal that says why: the unit's own, or the first of systemd's that says more than
    that it failed."""
    own = [line for line in words if not line.startswith(f"{unit}: ") and not _OF_SYSTEMD.match(line)]
    systemd = [line for line in words if line.startswith(f"{unit}: ") and not _SAYS_NOTHING.search(line)]
    return telling_line("\n".join(own)) or telling_line("\n".join(systemd[:1]))


_OF_SYSTEMD = re.compile(
    r"(?:Start|Stopp|Reload)(?:ing|ed) |Stopped |Failed to start |Finished |Dependency failed for "
)
_SAYS_NOTHING = re.compile(r"Failed with result|Main process exited|Control process exited|Scheduled restart|Consumed ")


def _stamp(unit: str) -> Path:
    """In /run, which ends with the boot as the unit does."""
    return Paths().run / "reloaded" / unit
