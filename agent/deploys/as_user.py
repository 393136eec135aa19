"""Work and programs that are done as another user.

Work: a forked child gives up root for good, works, and writes the outcome to a pipe. It is safe inside pyinfra's
greenlets: the child runs plain code and ends by ``os._exit``, so it never gets back to gevent's loop; the parent waits
for it without running other greenlets.

A program runs within a time limit, for its output and the way in which it ended. Unlike ``system.process.run`` this
does not wait until the output is closed: a program may leave a daemon behind that holds it open for ever.
"""

from __future__ import annotations

import json
import os
import pwd
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Self

from agent.errors import DeployError
from agent.problems import ProblemKind

WORK_TIMEOUT_S = 120
"""For writing one file. A home may lie on a network; a disk that takes longer than this does not answer any more."""

_ANSWER_LIMIT = 64 * 1024

_LOOK_S = 0.2
"""Between two looks at the child's state: its user may have stopped it by a signal."""

GRACE_S = 5
"""Seconds between SIGTERM and SIGKILL."""

OUTPUT_LIMIT = 64 * 1024
"""The most bytes of output that are kept: the last ones, where the reason stands. A pipe holds no more at once, so that
one read after the program's end gets the rest."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class LocalUser:
    """An account as the host knows it now."""

    name: str
    uid: int
    gid: int
    home: str

    @classmethod
    def named(cls, name: str) -> Self:
        """The account of that name. Raises DeployError where there is none."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise DeployError(
                f"user {name} does not exist",
                hint="create it with an earlier `users` deploy, or correct the name",
                kind=ProblemKind.NO_SUCH_USER,
            ) from None
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def as_user(user: LocalUser, work: Callable[[], object], *, timeout_s: float = WORK_TIMEOUT_S) -> str:
    """Run ``work`` with the rights of ``user``, supplementary groups included, and no others. Returns the text that
    ``work`` returned; empty where that was no text.

    Raises DeployError for whatever ``work`` raised, and where it took too long, was stopped or was killed.
    """
    worker = UserWorker(user, lambda _: [work()])
    try:
        (outcome,) = worker.do([0], timeout_s=timeout_s)
    finally:
        worker.end()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class UserWorker:
    """A child process with the rights of ``user`` that does numbered pieces of work on request. Forking the engine
    takes 35 ms, so many pieces share one child. ``work`` turns numbers into outcomes: for each number a text to tell,
    or an exception; any other outcome counts as an empty text."""

    def __init__(self, user: LocalUser, work: Callable[[Sequence[int]], Sequence[object]]) -> None:
        self.ended = False
        self._user = user
        asked, self._asking = os.pipe()
        self._reading, telling = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            os.close(self._asking)
            os.close(self._reading)
            _serve(user, work, asked, telling)
        os.close(asked)
        os.close(telling)

    def do(self, numbers: Sequence[int], *, timeout_s: float = WORK_TIMEOUT_S) -> list[str | DeployError]:
        """Have the child do the work of these numbers. Returns for each the text to tell, or why it was not done.
        ``timeout_s`` gets one more second for each number. Raises DeployError, with the child ended, where it took too
        long, was stopped or was killed."""
        with suppress(BrokenPipeError):
            os.write(self._asking, json.dumps([*numbers]).encode() + b"\n")
        try:
            answer = self._answer(timeout_s + len(numbers))
        except TimeoutError as error:
            self.end()
            why = f"{error}" or f"took longer than {timeout_s:g} s"
            raise DeployError(f"writing as {self._user.name} {why}", kind=ProblemKind.USER_TIMEOUT) from None
        try:
            outcomes = json.loads(answer)
        except ValueError:
            self.end()
            raise DeployError(f"writing as {self._user.name} was killed", kind=ProblemKind.USER_KILLED) from None
        return [told if failure is None else _failure(failure) for told, failure in outcomes]

    def _answer(self, timeout_s: float) -> bytes:
        """The line that the child writes, or the part of it that it wrote before it ended. Raises TimeoutError where it
        takes longer or was stopped by a signal. The poll has to be the real one: gevent's would let other
        greenlets run between fork and wait."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        answer = b""
        while (left_s := deadline - time.monotonic()) > 0:
            if poll.poll(min(left_s, _LOOK_S) * 1000):
                chunk = os.read(self._reading, _ANSWER_LIMIT)
                answer += chunk
                if not chunk or chunk.endswith(b"\n"):
                    return answer
            elif self._is_stopped():
                raise TimeoutError("was stopped by a signal")
        raise TimeoutError

    def _is_stopped(self) -> bool:
        """True if a signal stopped the child. Read from /proc, because waitid(2) tells it once, and gevent's loop may
        have asked before."""
        with suppress(OSError), open(f"/proc/{self._child}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2].startswith(b"T")
        return False

    def end(self) -> None:
        """Kill the child, whatever it does. A second call does nothing."""
        if not self.ended:
            self.ended = True
            os.close(self._asking)
            os.close(self._reading)
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._child, 0)


def _failure(plain: Mapping[str, str]) -> DeployError:
    return DeployError(plain["message"], hint=plain["hint"], kind=ProblemKind.read(plain["kind"]))


def _serve(user: LocalUser, work: Callable[[Sequence[int]], Sequence[object]], asked: int, telling: int) -> NoReturn:
    try:
        became = False
        with open(asked) as lines:
            for line in lines:
                numbers = json.loads(line)
                outcomes: Sequence[object]
                try:
                    if not became:
                        _become(user)
                        became = True
                    outcomes = work(numbers)
                except BaseException as error:  # no exception may unwind into the parent's code
                    outcomes = [error] * len(numbers)
                answer = memoryview(json.dumps([_plain(outcome, user) for outcome in outcomes]).encode() + b"\n")
                while answer:
                    answer = answer[os.write(telling, answer) :]
    finally:
        os._exit(0)


def _plain(outcome: object, user: LocalUser) -> tuple[str, dict[str, str] | None]:
    """One outcome as JSON: the text to tell, and the failure, None where there is none."""
    if isinstance(outcome, DeployError):
        return "", {"message": f"{outcome.message} (as {user.name})", "hint": outcome.hint, "kind": outcome.kind}
    if isinstance(outcome, BaseException):
        return "", {"message": f"as {user.name}: {type(outcome).__name__}: {outcome}", "hint": "", "kind": "bug"}
    return outcome if isinstance(outcome, str) else "", None


def _become(user: LocalUser) -> None:
    """Take the user's rights, for good. A process that has them already (a working copy tried out without root) stays
    as it is."""
    if os.geteuid() == user.uid != 0:
        return
    os.setgroups(os.getgrouplist(user.name, user.gid))
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)


@dataclass(frozen=True, slots=True)
class Ended:
    """``code`` is the exit status, negative for a signal; ``output`` the end of what the program wrote to stdout and
    stderr."""

    code: int
    output: str
    timed_out: bool


def run_as(user: LocalUser, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout_s: float) -> Ended:
    """Run a program as ``user``. When its time is over, it is killed with all that it started. Raises OSError if it
    cannot be started."""
    known = {"PATH": _PATH, "LC_ALL": "C.UTF-8", "HOME": user.home, "USER": user.name, "LOGNAME": user.name}
    other = os.geteuid() != user.uid
    # In a session of its own: no terminal that it could ask, and a group that can be killed.
    with subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**known, **env},
        cwd=cwd,
        start_new_session=True,
        user=user.uid if other else None,
        group=user.gid if other else None,
        extra_groups=os.getgrouplist(user.name, user.gid) if other else None,
        umask=0o022,
    ) as process:
        try:
            return _watched(process, time.monotonic() + timeout_s)
        except BaseException:
            _end(process)
            raise


def _watched(process: subprocess.Popen[bytes], deadline: float) -> Ended:
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    os.set_blocking(pipe, False)
    kept = b""
    timed_out = closed = False
    while not (ended := process.poll() is not None) or not closed:
        if not ended and time.monotonic() >= deadline:
            timed_out = True
            _end(process)
        elif closed:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_TICK_S)
        else:
            readable, _, _ = select.select([pipe], [], [], 0 if ended else _TICK_S)
            chunk = os.read(pipe, OUTPUT_LIMIT) if readable else b""
            kept = (kept + chunk)[-OUTPUT_LIMIT:]
            closed = ended or bool(readable and not chunk)
    return Ended(process.returncode, kept.decode(errors="replace"), timed_out)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the program's process group to end, and kill what is left of it after GRACE_S."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
