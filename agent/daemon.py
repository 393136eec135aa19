"""The daemon: starts a cycle when there is a reason for one.

Each cycle is a process of its own (the unit ``hostwright-cycle.service``; a plain child where there is no systemd). So
its memory is free afterwards, a restart of the daemon kills no dpkg, and a newer version acts from the next cycle on.
The daemon itself has a clock (``schedule``), the control socket and the watchdog; else only the standard library.

While the host is at rest (``trace.rest``), these are the reasons for a cycle: a question of the trace has another
answer now, the remote offers something new, or a health check does not pass (``trace.asking``); the time comes that the
last cycle named; a person asks. A host that is not at rest gets a cycle after the shortest interval of its schedule.
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

import schedule

from agent.control import Caller, ControlSocket
from agent.host.paths import Paths
from agent.system import systemd
from agent.system.log import log_to_stderr
from agent.trace.asking import DaemonQuestions

log = logging.getLogger("hostwright")

JITTER = 0.1
"""The share of an interval by which a cycle may come later, so that hosts started together drift apart."""

CLOCK_JUMP_S = 5.0
"""If wall and monotonic clock drift apart by more than this in one turn of the loop, somebody set the clock."""

OVERDUE_S = 60.0
"""If a cycle should have begun this long ago, the jobs of the clock have stopped: the daemon makes no progress."""

TRIAL_S = 60
"""The longest interval between two cycles of an agent version on trial: it has to show soon that it is well."""

LONGEST_INTERVAL_S = 365 * 24 * 3600
"""The longest interval that ``schedule`` gets: its calendar ends in the year 9999."""

PAUSE_MOST_S = 3600.0
"""The longest wait for an event; the kernel's limit is 24 days (epoll_wait(2))."""

LONGEST_CYCLE_S = 4 * 3600.0
"""The longest cycle that counts as progress. The unit's own limit, far below, should have ended it."""

STOP_GRACE_S = 600.0
"""The time for a cycle that is our own child to finish its operation when the daemon stops."""


def _clocks() -> tuple[float, int]:
    """The seconds by which the wall clock is ahead of the monotonic one, and local time of UTC."""
    return time.time() - time.monotonic(), time.localtime().tm_gmtoff


class Daemon:
    """The loop around one cycle at a time. ``start`` begins a cycle and returns the process to wait for.

    ``owns_cycle``: True if the cycle is our child and stops with us; False if it is a unit of systemd. The daemon loads
    no dataclass, because ``dataclasses`` and ``inspect`` would take 1.3 MB for months.
    """

    def __init__(
        self, paths: Paths, start: Callable[[], subprocess.Popen[bytes]], *, owns_cycle: bool, due: bool = True
    ) -> None:
        self.paths, self.start, self.owns_cycle, self.due = paths, start, owns_cycle, due
        self.scheduler = schedule.Scheduler()
        self.selector = selectors.DefaultSelector()
        self.cycle: subprocess.Popen[bytes] | None = None
        self.cycle_began = 0.0
        self.asking = DaemonQuestions(paths, self.selector)
        self.clocks = _clocks()
        self.stopping = False
        self.callers: list[Caller] = []
        self.waiting: list[Caller] = []
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
        signal.signal(signal.SIGHUP, self._make_due)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector.register(control, selectors.EVENT_READ)
        self.selector.register(wake_read, selectors.EVENT_READ)
        self._register()
        systemd.notify("READY=1")
        try:
            self._turn_until_stopped(control, wake_read)
        finally:
            systemd.notify("STOPPING=1")
            control.close()
            self._end()

    def _turn_until_stopped(self, control: ControlSocket, wake: socket.socket) -> None:
        while not self.stopping:
            self.scheduler.run_pending()
            self._reap()
            self.due |= self.asking.hear()
            self._look_if_stirred()
            if self.due and self.cycle is None:
                self._begin()
            if self._progresses():
                systemd.notify("WATCHDOG=1")
            self.selector.select(self._pause_s())
            with contextlib.suppress(BlockingIOError):
                wake.recv(4096)
            while (caller := control.accept()) is not None:
                self.callers.append(caller)
                self.due = True
                if not caller.wait:
                    caller.answer({"ok": True})
            self._compare_clocks()

    def _compare_clocks(self) -> None:
        """Schedule anew where somebody set the clock, or summer time began or ended: ``schedule`` reckons in local
        time."""
        (before, east_before), self.clocks = self.clocks, _clocks()
        ahead, east = self.clocks
        was_set = abs(ahead - before) > CLOCK_JUMP_S
        if was_set:
            log.warning("the clock was set; scheduling anew")
            self.due = True  # scheduling anew puts off all jobs: were the clock set time and again, none would come
        if self.cycle is None and (was_set or east != east_before):
            self._register()

    def _register(self) -> None:
        """Schedule the next looks and cycles, by what the last cycle said."""
        self.asking.begin()
        self.scheduler.clear()
        rest = self.asking.rest
        if rest.is_current():
            self._every(rest.drift_s, self._look)
            self._every(rest.fetch_s, self._ask_remote)
            self._every(min(rest.plan_s, rest.until - int(time.time())), self._make_due)
            if self.asking.begin_watch():
                self._look()  # nobody watched between the cycle's questions and now
        else:
            interval = rest.interval_s
            self._every(min(interval, TRIAL_S) if self.paths.previous.is_symlink() else interval, self._make_due)

    def _every(self, seconds: int, job: Callable[[], None]) -> None:
        seconds = max(1, min(seconds, LONGEST_INTERVAL_S))
        self.scheduler.every(seconds).to(max(seconds, round(seconds * (1 + JITTER)))).seconds.do(job)

    def _make_due(self, *_: object) -> None:
        self.due = True

    def _look(self, *, by_clock: bool = True) -> None:
        if self.cycle is None and not self.due:
            self.due = self.asking.look(by_clock=by_clock)

    def _look_if_stirred(self) -> None:
        if self.asking.stirred():
            self._look(by_clock=False)

    def _ask_remote(self) -> None:
        if self.cycle is None and not self.due:
            self.due = self.asking.ask_remote()

    def _begin(self) -> None:
        self.due = False
        self.asking.end()
        self.waiting, self.callers = [caller for caller in self.callers if caller.wait], []
        try:
            self.cycle, self.cycle_began = self.start(), time.monotonic()
        except OSError as error:
            # No memory, or no more processes: that passes, and the daemon has to live on until then.
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
        """The seconds until something can be due. Signals and callers wake the daemon earlier."""
        idle = self.scheduler.idle_seconds
        pause = PAUSE_MOST_S if idle is None or self.cycle is not None else min(max(0.0, idle), PAUSE_MOST_S)
        pause = min([pause, *self.asking.waits_s()])
        watchdog = systemd.watchdog_interval_s()
        return pause if watchdog is None else min(pause, watchdog)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _end(self) -> None:
        for caller in (*self.waiting, *self.callers):
            caller.answer({"ok": False, "error": "the daemon is stopping"})
        self.asking.end_processes()
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
    # systemd listens to this process alone, and logs a line about any child that writes to the socket.
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    log.info("watching; cycles run %s", f"as {systemd.CYCLE_UNIT}" if unit else "as children of this process")
    Daemon(
        paths=paths,
        start=lambda: subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=environment),
        owns_cycle=not unit,
    ).run()
    return 0


def cycle_argv() -> tuple[str, ...]:
    """The command of one cycle. With ``-I`` no folder ``agent`` in the current directory can take the place of ours."""
    return (sys.executable, "-I", "-m", "agent", "cycle")
