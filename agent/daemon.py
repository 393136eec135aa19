"""The daemon: starts cycles by the clock, by signals and on request. It runs none itself.

Each cycle is a process of its own (the unit ``hostwright-cycle.service``; a plain child where there is no systemd),
so its memory is gone afterwards, restarting the daemon kills no dpkg, and a newer version acts next time. What is
left here is a clock (``schedule``), the control socket and the watchdog: standard library otherwise, to stay small.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import schedule

from agent.control import Caller, ControlSocket
from agent.domain.memory import FleetSettings
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.system import systemd
from agent.system.log import log_to_stderr

log = logging.getLogger("hostwright")

JITTER = 0.1
"""Share of an interval by which a cycle may come later, so that hosts started together drift apart."""

CLOCK_JUMP_S = 5.0
"""Wall and monotonic clock may differ by this much in one turn; beyond it somebody set the clock."""

OVERDUE_S = 60.0
"""A cycle that should have begun this long ago means that the clock's jobs have stopped: no more progress."""

TRIAL_S = 60
"""Between two cycles of an agent version on trial: it has only so much time to show that it is well."""

LONGEST_CYCLE_S = 4 * 3600.0
"""The unit's own time limit is far below; a cycle that runs longer than this is one nobody watches over any more."""

STOP_GRACE_S = 600.0
"""For a cycle that is our own child to finish its operation when the daemon has to go."""


@dataclass(slots=True)
class Daemon:
    """The loop around one cycle at a time. ``start`` begins a cycle and returns the process to wait for."""

    paths: Paths
    memory: Memory
    start: Callable[[], subprocess.Popen[bytes]]
    owns_cycle: bool
    """True: the cycle is our child and stops with us. False: it is a unit of systemd."""
    scheduler: schedule.Scheduler = field(default_factory=schedule.Scheduler)
    cycle: subprocess.Popen[bytes] | None = None
    cycle_began: float = 0.0
    due: bool = True
    stopping: bool = False
    callers: list[Caller] = field(default_factory=list)
    waiting: list[Caller] = field(default_factory=list)
    """The callers that wait for the running cycle."""

    def run(self) -> None:
        """Start cycles until SIGTERM or SIGINT. SIGHUP asks for one."""
        control = ControlSocket(self.paths.control)
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._hangup)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        selector = selectors.DefaultSelector()
        selector.register(control, selectors.EVENT_READ)
        selector.register(wake_read, selectors.EVENT_READ)
        self._register()
        systemd.notify("READY=1")
        try:
            self._turn_until_stopped(selector, control, wake_read)
        finally:
            systemd.notify("STOPPING=1")
            control.close()
            self._leave()

    def _turn_until_stopped(
        self, selector: selectors.BaseSelector, control: ControlSocket, wake: socket.socket
    ) -> None:
        wall, monotonic = time.time(), time.monotonic()
        while not self.stopping:
            self.scheduler.run_pending()
            self._reap()
            if self.due and self.cycle is None:
                self._begin()
            if self._progresses():
                systemd.notify("WATCHDOG=1")
            selector.select(self._pause_s())
            with contextlib.suppress(BlockingIOError):
                wake.recv(4096)
            while (caller := control.accept()) is not None:
                self.callers.append(caller)
                self.due = True
                if not caller.wait:
                    caller.answer({"ok": True})
            before = wall, monotonic
            wall, monotonic = time.time(), time.monotonic()
            if abs((wall - before[0]) - (monotonic - before[1])) > CLOCK_JUMP_S:
                log.warning("the clock was set; scheduling anew")
                self._register()

    def _register(self) -> None:
        """Schedule the one job, a cycle. Every cycle fetches and plans in full, so the shortest of the three intervals
        serves all."""
        fleet = self._fleet()
        interval = max(1, min(fleet.fetch_s, fleet.drift_s, fleet.plan_s))
        if self.paths.previous.is_symlink():
            interval = min(interval, TRIAL_S)
        self.scheduler.clear()
        self.scheduler.every(interval).to(max(interval, round(interval * (1 + JITTER)))).seconds.do(self._ask)

    def _fleet(self) -> FleetSettings:
        try:
            return self.memory.state().fleet
        except Exception:
            # A state that cannot be read is the cycle's to report; the clock goes on with the defaults.
            log.exception("state.json cannot be read; using the default intervals")
            return FleetSettings()

    def _ask(self) -> None:
        self.due = True

    def _begin(self) -> None:
        self.due = False
        self.waiting, self.callers = [caller for caller in self.callers if caller.wait], []
        try:
            self.cycle, self.cycle_began = self.start(), time.monotonic()
        except OSError as error:
            # No memory or no process left: that passes, and whoever watches over the host has to be there then.
            log.error("no cycle could be started: %s", error)
            for caller in self.waiting:
                caller.answer({"ok": False, "error": f"no cycle could be started: {error}"})
            self.waiting = []
            return
        systemd.notify("STATUS=a cycle is running")

    def _reap(self) -> None:
        if self.cycle is None or self.cycle.poll() is None:
            return
        code, self.cycle = self.cycle.returncode, None
        told = code if self.owns_cycle else systemd.exit_status(systemd.CYCLE_UNIT)
        for caller in self.waiting:
            caller.answer({"ok": True, "exit": told})
        self.waiting = []
        systemd.notify(f"STATUS=last cycle ended with {told}")
        self._register()

    def _progresses(self) -> bool:
        if self.cycle is not None:
            return time.monotonic() - self.cycle_began < LONGEST_CYCLE_S
        idle = self.scheduler.idle_seconds
        return idle is not None and idle > -OVERDUE_S

    def _pause_s(self) -> float:
        """Seconds until something can be due; signals and callers wake us earlier."""
        idle = self.scheduler.idle_seconds
        pause = 3600.0 if idle is None or self.cycle is not None else max(0.0, idle)
        watchdog = systemd.watchdog_interval_s()
        return pause if watchdog is None else min(pause, watchdog)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _hangup(self, *_: object) -> None:
        self.due = True

    def _leave(self) -> None:
        for caller in (*self.waiting, *self.callers):
            caller.answer({"ok": False, "error": "the daemon is stopping"})
        if self.cycle is not None and self.owns_cycle:
            self.cycle.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.cycle.wait(STOP_GRACE_S)


def serve(paths: Paths) -> int:
    """Run the daemon of this host until it is told to stop. Return 0."""
    log_to_stderr(logging.INFO)
    paths.run.mkdir(mode=0o755, parents=True, exist_ok=True)
    unit = systemd.booted() and bool(os.environ.get("NOTIFY_SOCKET"))
    argv: Sequence[str] = ("systemctl", "start", systemd.CYCLE_UNIT) if unit else cycle_argv()
    # systemd listens to this process alone, and writes a line about everyone else who talks to it.
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    log.info("watching; cycles run %s", f"as {systemd.CYCLE_UNIT}" if unit else "as children of this process")
    Daemon(
        paths=paths,
        memory=Memory(paths),
        start=lambda: subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=environment),
        owns_cycle=not unit,
    ).run()
    return 0


def cycle_argv() -> tuple[str, ...]:
    """The command of one cycle. ``-I``: a folder ``agent`` in the current directory must not shadow ours."""
    return (sys.executable, "-I", "-m", "agent", "cycle")
