"""All that the daemon asks while the host is at rest: does the host differ from what the last cycle left?

It asks the questions of the trace itself. Processes beside it ask the remote and run the health checks, and it does not
wait for them. Nothing here changes the host. ``look``, ``ask_remote`` and ``hear`` return True where there is a reason
for a cycle; the daemon starts it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from selectors import BaseSelector
from typing import TYPE_CHECKING

from agent.domain.text import printable
from agent.host.paths import Paths
from agent.trace.answers import subject_of
from agent.trace.glance import Glance
from agent.trace.rest import (
    ANSWER_MOST,
    CHANGES_MOST,
    PASSED,
    Rest,
    Suspicion,
    TimedCommand,
    lines,
    offered,
    read,
    write_suspicion,
)

if TYPE_CHECKING:
    from agent.trace.watch import Watching

log = logging.getLogger("hostwright")

REMOTE, CHECKS = "the remote", "the health checks"
"""The two that processes ask."""

MEMORY_MOST = 96 * 1024 * 1024
"""The most bytes of data that git may hold: a list of half a million branches. A server may send an endless one. The
command for health checks needs half of that, and the daemon's unit has memory for the daemon and both."""


class DaemonQuestions:
    """The questions of one daemon, with their last answers. ``selector``: wakes the daemon if a watched folder stirs.
    No dataclass: see ``Daemon``."""

    def __init__(self, paths: Paths, selector: BaseSelector) -> None:
        self.rest = Rest()
        """The rest that the last cycle wrote. Its intervals count until the next one is written."""
        self._paths = paths
        self._selector = selector
        self._glance = Glance()
        self._same_at = time.time()
        """The last time, in seconds since the epoch, at which the host was as the last cycle left it."""
        self._asked: dict[str, Asked] = {}
        """The processes that ask now, by whom they ask."""
        self._silent: set[str] = set()
        """Those of the two that gave no answer, as the log has said already."""
        self._watch: Watching | None = None
        """The kernel's watch of the folders in the trace; None where fleet.yaml does not ask for it, or it failed."""

    def begin(self) -> None:
        """Take up what the last cycle wrote."""
        said, self._same_at = read(self._paths.rest), time.time()
        self.rest = said if said is not None else self.rest.over
        self._end_watch()

    def begin_watch(self) -> bool:
        """Let the kernel watch as well, where fleet.yaml asks for it. Return True if it does. The clock goes on asking
        all the same."""
        if not self.rest.watch:
            return False
        try:
            from agent.trace.watch import Watching, folders

            self._watch = Watching(self.rest.drift_s, self._selector)
            self._watch.kernel.add(folders(lines(self._paths.rest)))
        except (OSError, ValueError) as error:
            log.warning("the kernel watches no more: %s; looking every %s s", error, self.rest.drift_s)
            self._end_watch()
        return self._watch is not None

    def end(self) -> None:
        """End all asking, and the rest: a cycle begins, which does all looking and asking itself. The host is not at
        rest unless that cycle gets far enough to say that it is."""
        self.rest = self.rest.over
        self._paths.rest.unlink(missing_ok=True)
        self._end_watch()
        self.end_processes()

    def look(self, *, by_clock: bool = True) -> bool:
        """Ask the questions of the trace again, and by the clock have the health checks run as well. A cycle finds out
        why an answer is another one."""
        said = read(self._paths.rest)
        if said is None or not said.is_current():
            return True
        if self._watch is not None:
            self._watch.look()
        differs = self._differs() or (by_clock and self._ask(CHECKS, self.rest.checks_command))
        self._same_at = self._same_at if differs else time.time()
        if self._watch is not None:
            self._watch.looked(time.monotonic(), by_clock=by_clock)
        return differs

    def _differs(self) -> bool:
        """True if the trace has another answer now, which is written down as a suspicion; also if it cannot be read."""
        try:
            found = self._glance.differing(self._paths.rest, CHANGES_MOST)
            changes = [(subject_of(line), answer.decode(errors="replace")) for line, answer in found]
        except (OSError, ValueError, LookupError) as error:  # also a kind of question that only a newer agent knows
            log.warning("%s cannot be read, so a cycle looks: %s", self._paths.rest, error)
            return True
        if changes:
            log.info("not as the last cycle left it: %s", ", ".join(printable(subject) for subject, _ in changes))
            with contextlib.suppress(OSError):
                write_suspicion(self._paths.suspicion, Suspicion(self._same_at, time.time(), changes))
        return bool(changes)

    def stirred(self) -> bool:
        """True if it is time to look because something has stirred in a watched folder."""
        if self._watch is None:
            return False
        now = time.monotonic()
        self._watch.stir(now)
        return self._watch.wait_s(now) == 0

    def ask_remote(self) -> bool:
        """Have a process ask the remote. True if no process could be started."""
        return self._ask(REMOTE, self.rest.remote_command)

    def _ask(self, whom: str, command: TimedCommand | None) -> bool:
        if whom not in self._asked and command is not None:
            try:
                self._asked[whom] = Asked(*command)
            except (OSError, ValueError) as error:
                log.warning("%s cannot be asked, so a cycle does it: %s", whom, error)
                return True
        return False

    def hear(self) -> bool:
        """Take the answers that have come. True where the remote offers anything new, where a health check does not
        pass, and where one of the two gave no answer."""
        found = False
        for whom, asked in [*self._asked.items()]:
            if (answer := asked.answer()) is None:
                continue
            del self._asked[whom]
            if not answer and whom not in self._silent:
                log.warning("%s gave no answer to what is asked between two cycles, so a cycle asks each time", whom)
            self._silent = self._silent - {whom} if answer else self._silent | {whom}
            if whom == CHECKS and answer != PASSED:
                log.info("not as the last cycle left it: %s", printable(answer.decode(errors="replace")))
                found = True
            elif whom == REMOTE:
                now = offered(answer)
                found |= not now or now != self.rest.offered
        return found

    def waits_s(self) -> Iterator[float]:
        """Yield the seconds until a process has to be ended, and until it is time to look because something has
        stirred."""
        yield from (asked.remaining_s for asked in self._asked.values())
        if self._watch is not None and (wait_s := self._watch.wait_s(time.monotonic())) is not None:
            yield wait_s

    def end_processes(self) -> None:
        """End the processes that ask."""
        for asked in self._asked.values():
            asked.end()
        self._asked.clear()

    def _end_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


class Asked:
    """One run of a program whose output is the answer. Raises OSError where it cannot be started, ValueError where
    its arguments or environment are not valid."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> None:
        self._until = time.monotonic() + timeout_s
        self._output = os.memfd_create("answer")
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError):
            os.close(self._output)
            raise
        with contextlib.suppress(OSError):  # the unit's own limits count, too
            resource.prlimit(self._process.pid, resource.RLIMIT_DATA, (MEMORY_MOST, MEMORY_MOST))
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (ANSWER_MOST, ANSWER_MOST))

    @property
    def remaining_s(self) -> float:
        """Seconds until the program is ended without an answer."""
        return max(0.0, self._until - time.monotonic())

    def answer(self) -> bytes | None:
        """The answer; None while the program runs, empty where it failed or took too long. The end of the program is
        noticed here, so call it until it returns an answer, and never after that."""
        code = self._process.poll()
        if code is None and self.remaining_s > 0:
            return None
        said = os.pread(self._output, ANSWER_MOST, 0) if code == 0 else b""
        self.end()
        return said

    def end(self) -> None:
        """End the program and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(OSError):
            os.close(self._output)
