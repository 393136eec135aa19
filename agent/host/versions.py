"""Versions of the agent beside each other: one is built, looked into, switched to on trial, kept or given up.

    build ─environment→ check itself ─→ previous, timer, current ─→ a cycle of its own ─well→ keep
                                                  └ not in time: rescue.sh revert, by hostwright-revert.timer

environment.py builds, as it built the first one. rescue.sh switches back: it needs no Python. Each step can be cut
off: the link ``current`` says what runs, the link ``previous`` that it is on trial. Whoever changes them holds the
host's lock.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.domain.memory import UpdateStage
from agent.domain.pins import AgentPin
from agent.domain.text import printable
from agent.errors import Consequence, SourceError
from agent.host import installation
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.problems import ProblemKind
from agent.system.files import discard, fsync_folder, make_private_folder, write_atomic
from agent.system.process import Completed, run
from agent.system.systemd import DAEMON_UNIT, REVERT_TIMER, REVERT_UNIT, WEBHOOK_UNIT, state_of

BUILD_TIMEOUT_S = 15 * 60.0
CHECK_TIMEOUT_S = 10 * 60.0
"""Limit for the self-check of a version: a plan of the whole host."""
STEADY_S = 15
"""Age at which a daemon is taken for steady; systemd restarts one that crashes every ten seconds."""
QUERY_TIMEOUT_S = 20.0
_CAME_FROM = "HOSTWRIGHT_CAME_FROM"
"""The variable that names the version which went on as the current one. A program may have another's Python: none goes
on twice."""
_SAID = 400
"""Characters of a complaint that are passed on."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions on one host, by the names of their environments."""

    paths: Paths

    @property
    def running(self) -> str | None:
        """The version of this process; None if it is not the current one or was not installed."""
        current = self._target("current")
        if current is None or Path(sys.prefix).resolve() != (self.paths.versions / current).resolve():
            return None
        return current

    def successor(self) -> Path | None:
        """The program of the current version, to go on as; None if this process is of that version or came from it,
        or was not installed, or that program is none."""
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
        """The reason why no other version can be tried here, as nothing could switch back from it; else empty."""
        if self.running is None or not (self.paths.rescue / installation.RESCUE_SCRIPT).is_file():
            return "this agent was not installed by bootstrap.sh"
        if not self.daemon_runs():
            return f"{DAEMON_UNIT} does not run"
        # systemd before 244 refuses a unit that does one thing and is to try that again.
        units = [state_of(unit, timeout_s=QUERY_TIMEOUT_S) for unit in (REVERT_TIMER, REVERT_UNIT)]
        known = all(unit is not None and unit.load == "loaded" for unit in units)
        return "" if known else f"systemd does not take {REVERT_TIMER} and {REVERT_UNIT}"

    def daemon_runs(self, for_s: int = 0) -> bool:
        daemon = state_of(DAEMON_UNIT, timeout_s=QUERY_TIMEOUT_S)
        return daemon is not None and daemon.active == "active" and daemon.active_s >= for_s

    def prepare(self, pin: AgentPin, stopped: Callable[[], bool]) -> None:
        """Build the environment of ``pin`` if it is missing, and run its self-check, which reads this host's memory and
        plans it. Raises SourceError, kind ``update-failed``; OSError."""
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

        Raises SettingsError, OSError; then the next cycle begins again."""
        installation.point(self.paths.previous, self.paths.current.readlink())
        installation.systemctl("enable", REVERT_TIMER)
        installation.systemctl("restart", REVERT_TIMER)
        installation.link(self.paths, name)
        _restart()

    def begin(self, memory: Memory, now: int) -> bool:
        """Begin a cycle: note what became of the last version, and write the units of one on trial. Return True if they
        changed. Raises SettingsError, OSError."""
        update, current, previous = memory.update(), self._target("current"), self._target("previous")
        if update is None or update.stage != UpdateStage.TRIAL:
            if previous is not None and previous == current:
                self.end_trial()  # of a version that nobody remembers
        elif previous is None or current != update.name:
            if self._target("reverted") == update.name:
                memory.keep_update(dataclasses.replace(update, stage=UpdateStage.REVERTED.value, at=now))
            else:
                memory.keep_update(None)  # cut off before it was switched to or after it was kept; or a person chose
            self.end_trial()
        if not self.on_trial:
            return False
        return self._write_units([name for name in installation.UNITS if name not in installation.REVERT_UNITS])

    def keep(self) -> None:
        """Keep the running version, which did well, and remove the one before. Raises SettingsError, OSError."""
        name, previous = self.running, self._target("previous")
        if name is None:
            return
        installation.write_rescue(self.paths)
        self._write_units(installation.UNITS)
        self.end_trial()
        if previous is not None:
            self.discard(previous)

    def end_trial(self) -> None:
        """Stop the timer: the current version stays. Raises SettingsError, OSError."""
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
    """Restart the services that run."""
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
