"""Versions of the agent beside each other: one is built, looked into, switched to on trial, kept or given up.

    build ─environment→ check itself ─→ previous, timer, current ─→ a cycle of its own ─well→ keep
                                                  └ not in time: bootstrap.sh --revert, by hostwright-revert.timer

bootstrap.sh builds, as it built the first one, and switches back: it needs no Python. Each step can be cut off: the
link ``current`` says what runs, the link ``previous`` that it is on trial.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from agent import __version__
from agent.domain.memory import Stage
from agent.domain.pins import AgentPin
from agent.domain.text import printable
from agent.errors import Consequence, SourceError
from agent.host import installation
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.system.files import discard, fsync_folder, make_private_folder, read_bounded, write_atomic
from agent.system.process import Completed, run
from agent.system.systemd import DAEMON_UNIT, REVERT_TIMER, is_active

BUILD_TIMEOUT_S = 30 * 60.0
CHECK_TIMEOUT_S = 10 * 60.0
"""For its self-check: a plan of the whole host."""
SCRIPT = "bootstrap.sh"
_SAID = 400
"""Characters of a complaint that are passed on."""
_MARK_LIMIT = 100
"""Bytes: the name of a version."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Those on one host. Where the agent was not installed as a service nothing could switch back: not ``kept``."""

    paths: Paths

    @property
    def kept(self) -> bool:
        """Whether this is the installed agent, and run by its units."""
        return (
            self._target("current") == __version__
            and (self.paths.rescue / SCRIPT).is_file()
            and (installation.units_folder(self.paths) / REVERT_TIMER).is_file()
        )

    @property
    def on_trial(self) -> bool:
        """Whether the version that runs is to show that it is well."""
        return self.paths.previous.is_symlink() and self._target("current") == __version__

    def prepare(self, pin: AgentPin) -> None:
        """Builds the environment of ``pin``, where it is not there yet, and lets it check itself: that it reads what
        this host remembers and can plan it. Raises SourceError, kind ``update-failed``; OSError."""
        make_private_folder(self.paths.work)
        requirements = self.paths.work / "agent-requirements.txt"
        write_atomic(requirements, "".join(f"{line}\n" for line in pin.requirements).encode())
        script = ["/bin/sh", f"{self.paths.rescue / SCRIPT}", "--update", f"{requirements}"]
        _require(run(script, timeout_s=BUILD_TIMEOUT_S), f"agent {pin.version} cannot be installed")
        program = self.paths.versions / pin.version / "bin/hostwright"
        done = run([f"{program}", "internal", "self-check"], timeout_s=CHECK_TIMEOUT_S)
        _require(done, f"agent {pin.version} is installed and does not pass its self-check")

    def switch(self, version: str) -> None:
        """To ``version``, on trial: from here on the timer switches back unless that is kept. Raises SettingsError,
        OSError; then the next cycle begins again."""
        installation.point(self.paths.previous, self.paths.current.readlink())
        installation.systemctl("enable", REVERT_TIMER)
        installation.systemctl("restart", REVERT_TIMER)
        installation.link(self.paths, version)
        installation.systemctl("--no-block", "restart", DAEMON_UNIT)

    def begin(self, memory: Memory) -> None:
        """What is done at the start of a cycle: units of its own for a version on trial; and what became of the last
        one is taken down. Raises SettingsError, OSError."""
        if self.on_trial:
            self._write_units([name for name in installation.UNITS if name not in installation.REVERT_UNITS])
        update, current, previous = memory.update(), self._target("current"), self._target("previous")
        if update is None or update.stage != Stage.TRIAL:
            if previous is not None and previous == current:
                self.end_trial()  # of a version that nobody remembers
            return
        if previous is not None and current == update.version:
            return
        if self._switched_back_from() == update.version:
            memory.keep_update(dataclasses.replace(update, stage=Stage.REVERTED.value))
        else:
            memory.keep_update(
                None
            )  # cut off before it was switched to or after it was kept; or a person chose another
        self.end_trial()

    def keep(self) -> None:
        """The version that runs has shown that it is well. What belongs to others goes."""
        source = self.paths.rescue / __version__ / SCRIPT
        write_atomic(self.paths.rescue / SCRIPT, read_bounded(source), mode=0o644)
        self._write_units(installation.UNITS)
        self.end_trial()
        for folder in (self.paths.versions, self.paths.rescue):
            for each in folder.iterdir():
                if each.name not in (__version__, SCRIPT):
                    discard(each)

    def end_trial(self) -> None:
        """Whatever runs now stays. Raises SettingsError, OSError."""
        installation.systemctl("disable", "--now", REVERT_TIMER)
        for path in (self.paths.previous, self.paths.reverted):
            discard(path)
            fsync_folder(path.parent)

    @property
    def daemon_runs(self) -> bool:
        return is_active(DAEMON_UNIT)

    def _write_units(self, names: list[str] | tuple[str, ...]) -> None:
        if installation.write_units(self.paths, names):
            installation.systemctl("daemon-reload")
            installation.systemctl("--no-block", "restart", DAEMON_UNIT)

    def _switched_back_from(self) -> str | None:
        try:
            return read_bounded(self.paths.reverted, _MARK_LIMIT).decode(errors="replace").strip()
        except FileNotFoundError:
            return None

    def _target(self, name: str) -> str | None:
        link = self.paths.opt / name
        return link.readlink().name if link.is_symlink() else None


def _require(done: Completed, what: str) -> None:
    if done.ok:
        return
    why = "it did not end in time" if done.timed_out else printable(done.complaint, _SAID)
    raise SourceError(
        f"{what}: {why}",
        kind="update-failed",
        hint="this host stays on the version it has, and tries again",
        consequence=Consequence.RETRY,
    )
