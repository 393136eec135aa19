"""Engine children as forks: their modules are loaded already, so they start in a tenth of the time.

``Forked`` is a fork of this process, for built-in deploys alone, whose code is the agent's own: a deploy file could
look into the memory that it would inherit. The child of deploy files is a fork of a process without any orders
(``engine.preloaded``). Both kinds have pipes, an environment and a session of their own, and no descriptors but those
that they have to keep.
"""

from __future__ import annotations

import atexit
import gc
import os
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import NoReturn

from agent.engine.child import Child, Pipes, environment
from agent.system.exit import end_process

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that ask a process to end."""
LOST = 1
"""The exit status in place of one that is not known."""


def may_fork() -> bool:
    """True where there is no other thread, which could hold a lock that the fork would wait for."""
    return threading.active_count() == 1


class Forked(Child):
    """A fork of this process. It calls ``run`` and ends with the status that this returns. ``keep``: descriptors that
    stay open in it. Raises OSError where there is no memory or no process left for it."""

    def __init__(self, run: Callable[[], int], keep: Iterable[int] = ()) -> None:
        super().__init__(lambda pipes: fork_into(run, pipes, environment(os.environ), keep))

    def _status(self) -> int | None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return LOST
        return os.waitstatus_to_exitcode(status) if pid else None

    def await_end(self, timeout_s: float | None) -> None:
        await_end(self.pid, timeout_s)


def fork_into(run: Callable[[], int], pipes: Pipes, environment: Mapping[str, str], keep: Iterable[int] = ()) -> int:
    """Fork this process, and return the pid of the fork. It calls ``run`` and ends. ``keep``: descriptors above 2 that
    stay open in it. Raises OSError."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # its reader is gone: the next write says so
            stream.flush()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # no handler of the parent may run in the fork
    try:
        pid = os.fork()
        if pid == 0:
            _become(run, pipes, environment, keep)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return pid


def await_end(pid: int, timeout_s: float | None) -> None:
    """Wait until the child ``pid`` has ended, for at most ``timeout_s`` seconds (None: without end), and leave its
    status to the caller."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # before Linux 5.3, or not allowed
        until = None if timeout_s is None else time.monotonic() + timeout_s
        with suppress(ChildProcessError):  # somebody else asked for its status
            while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if until is not None and time.monotonic() >= until:
                    break
                time.sleep(0.01)
        return
    try:
        select.select([descriptor], [], [], timeout_s)
    finally:
        os.close(descriptor)


def _become(run: Callable[[], int], pipes: Pipes, environment: Mapping[str, str], keep: Iterable[int]) -> NoReturn:
    """Run as the fork: prepare the process, call ``run`` and end. This never returns into the code of the parent."""
    code = 1
    try:
        try:
            gc.freeze()  # the parent's objects are not touched, and so their memory stays shared
            atexit._clear()  # the parent's functions
            os.setsid()
            for one in SIGNALS:
                signal.signal(one, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            for number, descriptor in enumerate(pipes):
                os.dup2(descriptor, number)
            last = 2
            for each in (*sorted(keep), min(os.sysconf("SC_OPEN_MAX"), 2**16)):
                os.closerange(last + 1, each)
                last = each
            for each in keep:
                os.set_inheritable(each, True)
            _kept = sys.stdout, sys.stderr  # if they were freed, they would write the parent's unsent text
            sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
            sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
            os.chdir("/")
            os.environ.clear()
            os.environ.update(environment)
            tempfile.tempdir = None  # TMPDIR may have changed
            code = run()
        except BaseException:  # no exception may go on into the parent's code
            traceback.print_exc()
        end_process(code)
    finally:  # nor an error of printing it: the parent may be gone
        os._exit(code)
