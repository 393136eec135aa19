"""An engine child is a fork: what it needs is loaded, so it starts in a tenth of the time.

``Forked`` is a fork of this process, for built-in deploys alone, whose code is the agent's own: a deploy file could
look into the memory that it would inherit. The child of deploy files is a fork of a process that knows nothing
(``engine.preloaded``). Either has pipes, an environment and a session of its own, and those descriptors alone that it
is to keep.
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
from agent.system.exit import leave

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Those that ask a process to end."""
LOST = 1
"""The exit status that stands for one that nobody kept."""


def may_fork() -> bool:
    """True where no other thread could hold a lock that the fork would wait for."""
    return threading.active_count() == 1


class Forked(Child):
    """This process once more, which does ``run`` and ends with the status that it returns. ``keep``: descriptors that
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
    """A fork of this process that does ``run`` and ends. Returns its number. ``keep``: descriptors above 2. Raises
    OSError."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # its reader has gone: whoever writes next is told
            stream.flush()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # a handler of the parent's is not the fork's
    try:
        pid = os.fork()
        if pid == 0:
            _become(run, pipes, environment, keep)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return pid


def await_end(pid: int, timeout_s: float | None) -> None:
    """Returns when the child ``pid`` has ended, or the time is over; its status is still to be asked for."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # before Linux 5.3, or not allowed
        time.sleep(0.01)
        return
    try:
        select.select([descriptor], [], [], timeout_s)
    finally:
        os.close(descriptor)


def _become(run: Callable[[], int], pipes: Pipes, environment: Mapping[str, str], keep: Iterable[int]) -> NoReturn:
    """What the fork does. It never returns into the code of its parent."""
    code = 1
    try:
        try:
            gc.freeze()  # what was there is not touched, and so stays shared
            atexit._clear()  # what the parent does as it ends
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
            _kept = sys.stdout, sys.stderr  # as they are thrown away they would write what waits in them
            sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
            sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
            os.chdir("/")
            os.environ.clear()
            os.environ.update(environment)
            tempfile.tempdir = None  # it is another one where TMPDIR says so
            code = run()
        except BaseException:  # whatever it was, it must not go on as its parent
            traceback.print_exc()
        leave(code)
    finally:  # nor must an error of telling it: the parent may be gone
        os._exit(code)
