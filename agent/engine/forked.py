"""An engine child that is a fork of this process: what both need is loaded, so it starts in a tenth of the time.

For built-in deploys alone, whose code is the agent's own: a deploy file could look into the memory that it would
inherit. It has the pipes, the environment and the session of a child that is started anew, and those descriptors of its
parent's alone that it is to keep. For a plan it confines itself as that one does.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LOST = 1 << 8
"""The wait status that stands for one that nobody kept: exit status 1."""


def may_fork() -> bool:
    """True where no other thread could hold a lock that the fork would wait for."""
    return threading.active_count() == 1


class Forked:
    """Runs ``run`` in a fork and ends with the status that it returns. Has what ``engine.child`` uses of
    ``subprocess.Popen``. Raises OSError where there is no memory or no process left for it."""

    def __init__(self, run: Callable[[], int], environment: Mapping[str, str], keep: Iterable[int] = ()) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with ExitStack() as theirs, ExitStack() as ours:
            theirs_in, ours_in = _pipe(theirs, ours)
            ours_out, theirs_out = _pipe(ours, theirs)
            ours_err, theirs_err = _pipe(ours, theirs)
            held = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # a handler of the parent's is not the fork's
            try:
                self.pid = os.fork()
                if self.pid == 0:
                    _become(run, (theirs_in, theirs_out, theirs_err), environment, keep)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)
            ours.pop_all()
        self.stdin = os.fdopen(ours_in, "wb", buffering=0)
        self.stdout = os.fdopen(ours_out, "rb", buffering=0)
        self.stderr = os.fdopen(ours_err, "rb", buffering=0)
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its status, negative where a signal ended it; None while it runs."""
        if self._code is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, _LOST
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        until = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            left = None if until is None else until - time.monotonic()
            if timeout is not None and left is not None and left <= 0:
                raise subprocess.TimeoutExpired("engine", timeout)
            await_end(self.pid, left)
        return code

    def send_signal(self, number: int) -> None:
        """Safe in a signal handler: it asks for no status, which ``poll`` may be about to keep."""
        if self._code is None:
            os.kill(self.pid, number)


def _pipe(reading: ExitStack, writing: ExitStack) -> tuple[int, int]:
    """Makes a pipe; each stack closes its end."""
    ends = os.pipe()
    for stack, end in zip((reading, writing), ends, strict=True):
        stack.callback(os.close, end)
    return ends


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


def _become(
    run: Callable[[], int], pipes: tuple[int, int, int], environment: Mapping[str, str], keep: Iterable[int]
) -> NoReturn:
    """What the fork does. It never returns into the code of its parent."""
    code = 1
    try:
        try:
            gc.freeze()  # what was there is not touched, and so stays shared
            os.setsid()
            for one in _SIGNALS:
                signal.signal(one, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            for number, descriptor in enumerate(pipes):
                os.dup2(descriptor, number)
            last = 2
            for each in (*sorted(keep), min(os.sysconf("SC_OPEN_MAX"), 2**16)):
                os.closerange(last + 1, each)
                last = each
            for each in keep:
                os.set_inheritable(each, True)
            sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
            sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
            os.chdir("/")
            os.environ.clear()
            os.environ.update(environment)
            tempfile.tempdir = None  # it is another one where TMPDIR says so
            code = run()
        except BaseException:  # whatever it was, it must not go on as its parent
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:  # nor must an error of telling it: the parent may be gone
        os._exit(code)
