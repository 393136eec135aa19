"""Versions of the agent beside each other: one is built, checks itself, runs on trial, and is kept or switched back.

    build ─environment→ check itself ─→ previous, timer, current ─→ a cycle of its own ─well→ keep
                                                  └ not in time: rescue.sh revert, by hostwright-revert.timer

environment.py builds each version. rescue.sh switches back, because it needs no Python. Each step can be cut off: the
link ``current`` names the version that runs, and the link ``previous`` is there while that one is on trial. Only the
holder of the host's lock changes them, and rescue.sh.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.domain.event import Event, EventKind
from agent.domain.memory import UpdateStage
from agent.domain.pins import AgentPin
from agent.domain.text import printable
from agent.errors import Consequence, SourceError
from agent.host import installation
from agent.host.events import Events
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.problems import ProblemKind
from agent.system.files import discard, fsync_folder, make_private_folder, read_bounded, write_atomic
from agent.system.process import Completed, run
from agent.system.systemd import DAEMON_UNIT, REVERT_TIMER, REVERT_UNIT, WEBHOOK_UNIT, state_of

BUILD_TIMEOUT_S = 15 * 60.0
CHECK_TIMEOUT_S = 10 * 60.0
"""The time for the self-check of a version, which plans the whole host."""
STEADY_S = 15
"""The age, in seconds, from which a daemon counts as steady: systemd restarts a crashing one every ten seconds."""
QUERY_TIMEOUT_S = 20.0
_CAME_FROM = "HOSTWRIGHT_CAME_FROM"
"""The environment variable with the name of the version that a process was before it went on as the current one. It
keeps a process from going on twice, where a program runs with the Python of another version."""
_SAID = 400
"""Characters of a complaint that are passed on."""
_MARK = 100
"""Bytes of the mark of ``rescue.sh build``, which is the version of a Python."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions on one host, by the names of their environments."""

    paths: Paths

    @property
    def running(self) -> str | None:
        """The version of this process; None if it is not the current one, or was not installed."""
        current = self._target("current")
        if current is None or Path(sys.prefix).resolve() != (self.paths.versions / current).resolve():
            return None
        return current

    def successor(self) -> Path | None:
        """The program of the current version, for this process to go on as. None if this process is of that version,
        has gone on before, or was not installed, or if the program cannot be run."""
        came_from = os.environ.pop(_CAME_FROM, None)
        own, program = Path(sys.prefix).resolve(), self.paths.current / "bin/hostwright"
        elsewhere = own.parent == self.paths.versions.resolve() and own != self.paths.current.resolve()
        if not elsewhere or came_from == own.name or not os.access(program, os.X_OK):
            return None
        os.environ[_CAME_FROM] = own.name
        return program

    @property
    def on_trial(self) -> bool:
        """True if the running version is on trial."""
        return self.paths.previous.is_symlink() and self.running not in (None, self._target("previous"))

    def lacks(self) -> str:
        """The reason why no other version can be tried here, because nothing could switch back from it; else empty."""
        if self.running is None or not (self.paths.rescue / installation.RESCUE_SCRIPT).is_file():
            return "this agent was not installed by bootstrap.sh"
        if not self.daemon_runs():
            return f"{DAEMON_UNIT} does not run"
        # systemd before 244 refuses a oneshot unit that is restarted on failure.
        units = [state_of(unit, timeout_s=QUERY_TIMEOUT_S) for unit in (REVERT_TIMER, REVERT_UNIT)]
        known = all(unit is not None and unit.load == "loaded" for unit in units)
        return "" if known else f"systemd does not take {REVERT_TIMER} and {REVERT_UNIT}"

    def daemon_runs(self, for_s: int = 0) -> bool:
        daemon = state_of(DAEMON_UNIT, timeout_s=QUERY_TIMEOUT_S)
        return daemon is not None and daemon.active == "active" and daemon.active_s >= for_s

    def prepare(self, pin: AgentPin, stopped: Callable[[], bool]) -> None:
        """Build the environment of ``pin`` if it is missing, and run its self-check, which reads this host's memory and
        plans the host. ``stopped``: True once the cycle is asked to end. Raises SourceError, kind ``update-failed``;
        OSError."""
        make_private_folder(self.paths.work)
        requirements = self.paths.work / "agent-requirements.txt"
        write_atomic(requirements, pin.lock)
        sources = self.paths.rescue / f"{self.running}" / "sources"
        build = [sys.executable, "-I", "-m", "agent.host.environment", f"{requirements}", f"{sources}"]
        done = run(build, timeout_s=BUILD_TIMEOUT_S, stopped=stopped)
        _require(done, f"agent {pin.version} cannot be installed")
        program = self.paths.versions / pin.name / "bin/hostwright"
        done = run([f"{program}", "internal", "self-check"], timeout_s=CHECK_TIMEOUT_S, stopped=stopped)
        _require(done, f"agent {pin.version} is installed and does not pass its self-check")

    def switch(self, name: str) -> None:
        """Switch to the environment ``name``, on trial: the timer switches back unless ``keep`` is called in time.

        Raises SettingsError, OSError; the next cycle then begins the switch again."""
        installation.point(self.paths.previous, self.paths.current.readlink())
        installation.systemctl("enable", REVERT_TIMER)
        installation.systemctl("restart", REVERT_TIMER)
        installation.link(self.paths, name)
        _restart()

    def begin(self, memory: Memory, now: int) -> bool:
        """Begin a cycle: note whether the last version was switched back, and write the units of one on trial. Return
        True if these changed. Raises SettingsError, OSError."""
        update, current, previous = memory.update(), self._target("current"), self._target("previous")
        if update is None or update.stage != UpdateStage.TRIAL:
            if previous is not None and previous == current:
                self.end_trial()  # a trial that update.json does not know of
        elif previous is None or current != update.name:
            if self._target("reverted") == update.name:
                memory.keep_update(dataclasses.replace(update, stage=UpdateStage.REVERTED.value, at=now))
            else:
                memory.keep_update(None)  # cut off before the switch or after ``keep``; or a person switched
            self.end_trial()
        if not self.on_trial:
            return False
        return self._write_units([name for name in installation.UNITS if name not in installation.REVERT_UNITS])

    def tell_of_rescue(self, events: Events, now: int) -> None:
        """Add an event for the mark that ``rescue.sh build`` leaves when it has built the environment anew, and remove
        the mark. Raises OSError."""
        try:
            python = printable(read_bounded(self.paths.rescued, _MARK).decode(errors="replace").strip(), _MARK)
        except FileNotFoundError:
            return
        told = f"the agent's Python was gone; its environment was built anew for {python}"
        events.add([Event(now, EventKind.RESCUED, told)])
        discard(self.paths.rescued)

    def keep(self) -> None:
        """Keep the running version, and remove the one before it. Raises SettingsError, OSError."""
        name, previous = self.running, self._target("previous")
        if name is None:
            return
        installation.write_rescue(self.paths)
        self._write_units(installation.UNITS)
        self.end_trial()
        if previous is not None:
            self.discard(previous)

    def end_trial(self) -> None:
        """End the trial: stop the timer, so that the current version stays. Raises SettingsError, OSError."""
        installation.systemctl("disable", "--now", REVERT_TIMER)
        for link in (self.paths.previous, self.paths.reverted):
            discard(link)
        fsync_folder(self.paths.opt)

    def discard(self, name: str) -> None:
        """Remove an environment, unless it is the current or the previous one. Raises OSError."""
        if name not in (self._target("current"), self._target("previous")):
            for folder in (self.paths.versions, self.paths.rescue):
                discard(folder / name)

    def _write_units(self, names: Sequence[str]) -> bool:
        if not installation.write_units(self.paths, names):
            return False
        installation.systemctl("daemon-reload")
        _restart()
        return True

    def _target(self, name: str) -> str | None:
        link = self.paths.opt / name
        return link.readlink().name if link.is_symlink() else None


def _restart() -> None:
    """Restart the agent's services that run now, without waiting for them."""
    installation.systemctl("--no-block", "try-restart", DAEMON_UNIT, WEBHOOK_UNIT)


def _require(done: Completed, what: str) -> None:
    if done.ok:
        return
    why = "it did not end in time, or was asked to end" if done.timed_out else printable(done.complaint, _SAID)
    raise SourceError(
        f"{what}: {why}",
        kind=ProblemKind.UPDATE_FAILED,
        hint="this host stays on the version it has, and tries again",
        consequence=Consequence.RETRY,
    )
