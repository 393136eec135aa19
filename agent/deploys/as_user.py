"""Work done as another user: a forked child gives up root for good, works, and says through a pipe how it went.

Safe inside pyinfra's greenlets: the child runs plain code and ends by ``os._exit``, so it never gets back to gevent's
loop; the parent waits for it without giving control away.
"""

from __future__ import annotations

import json
import os
import pwd
import select
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Self

from agent.errors import DeployError
from agent.problems import ProblemKind

WORK_TIMEOUT_S = 120
"""For writing one file; a disk that takes longer is not coming back (the home may lie on a network)."""

_ANSWER_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class LocalUser:
    """An account as the host knows it now."""

    name: str
    uid: int
    gid: int
    home: str

    @classmethod
    def named(cls, name: str) -> Self:
        """Raises DeployError when there is none of that name."""
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
    """Runs ``work`` with the rights of ``user``, supplementary groups included, and none beside. Returns the text that
    ``work`` returned, where it was one.

    Raises DeployError with what ``work`` raised, and when it took too long or was killed.
    """
    worker = UserWorker(user, [work])
    try:
        return worker.do(0, timeout_s=timeout_s)
    finally:
        worker.end()


class UserWorker:
    """A child with the rights of ``user`` that does any of ``works`` when it is asked. Forking the engine takes 35 ms:
    many works of one user share a child."""

    def __init__(self, user: LocalUser, works: Sequence[Callable[[], object]]) -> None:
        self.ended = False
        self._user = user
        asked, self._asking = os.pipe()
        self._reading, telling = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            os.close(self._asking)
            os.close(self._reading)
            _serve(user, works, asked, telling)
        os.close(asked)
        os.close(telling)

    def do(self, number: int, *, timeout_s: float = WORK_TIMEOUT_S) -> str:
        """Runs the work of this number, as ``as_user`` does. A worker that took too long or was killed has ended."""
        with suppress(BrokenPipeError):
            os.write(self._asking, f"{number}\n".encode())
        answer = _answer(self._reading, timeout_s)
        if answer is None:
            self.end()
            raise DeployError(
                f"writing as {self._user.name} took longer than {timeout_s:g} s", kind=ProblemKind.USER_TIMEOUT
            )
        try:
            told, failure = json.loads(answer)
        except ValueError:
            self.end()
            raise DeployError(f"writing as {self._user.name} was killed", kind=ProblemKind.USER_KILLED) from None
        if failure is not None:
            raise DeployError(failure["message"], hint=failure["hint"], kind=ProblemKind.read(failure["kind"]))
        return f"{told}"

    def end(self) -> None:
        """Ends the child, whatever it is at. Can be done twice."""
        if not self.ended:
            self.ended = True
            os.close(self._asking)
            os.close(self._reading)
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._child, 0)


def _serve(user: LocalUser, works: Sequence[Callable[[], object]], asked: int, telling: int) -> NoReturn:
    try:
        became = False
        with open(asked) as numbers:
            for number in numbers:
                told: object = ""
                failure: dict[str, str] | None = None
                try:
                    if not became:
                        _become(user)
                        became = True
                    told = works[int(number)]()
                except DeployError as error:
                    failure = {"message": f"{error.message} (as {user.name})", "hint": error.hint, "kind": error.kind}
                except BaseException as error:  # whatever it is, it must not unwind into the parent's code
                    failure = {"message": f"as {user.name}: {type(error).__name__}: {error}", "hint": "", "kind": "bug"}
                answer = json.dumps((told if isinstance(told, str) else "", failure))
                os.write(telling, answer.encode() + b"\n")
    finally:
        os._exit(0)


def _become(user: LocalUser) -> None:
    """Takes the user's rights, for good. A process that is this user already (a working copy tried out without root)
    stays as it is."""
    if os.geteuid() == user.uid != 0:
        return
    os.setgroups(os.getgrouplist(user.name, user.gid))
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)


def _answer(reading: int, timeout_s: float) -> bytes | None:
    """The line that the child writes, or what came of it when it ended; None when it takes longer. The poll is the real
    one: gevent's would let other greenlets run between fork and wait."""
    deadline = time.monotonic() + timeout_s
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    answer = b""
    while poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        chunk = os.read(reading, _ANSWER_LIMIT)
        answer += chunk
        if not chunk or chunk.endswith(b"\n"):
            return answer
    return None
