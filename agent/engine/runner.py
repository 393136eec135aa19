"""The engine child: it prepares the deploys of its orders on this host, and runs those that the parent allows.

pyinfra is loaded for the first deploy file. Built-ins do without it.

The protocol has descriptors of its own. Text that deploy code prints goes to stderr, and its stdin is empty: neither
can get between the lines.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from agent.engine.built_in import BuiltIn, carry_out, look
from agent.engine.code import UnpreparedError, hinted
from agent.engine.logs import LogCapture
from agent.engine.protocol import (
    STOPPED_STATUS,
    Begin,
    Done,
    Execute,
    FoundDeploy,
    Message,
    Order,
    ProtocolError,
    Ready,
    Skip,
    decode,
    encode,
)
from agent.system import mask
from agent.system.confinement import confine

if TYPE_CHECKING:
    from agent.engine.prepare import PyinfraDeploy


class ParentGoneError(Exception):
    """The parent has closed its end: nobody reads or answers any more."""


class Channel:
    """The protocol on private copies of stdin and stdout, which then become /dev/null and stderr."""

    def __init__(self) -> None:
        self._lines = os.fdopen(os.dup(0), "rb")
        self._replies = os.fdopen(os.dup(1), "wb", buffering=0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    def receive(self) -> Message:
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise ParentGoneError
        return decode(line)

    def send(self, message: Message) -> None:
        data = memoryview(encode(message))
        try:
            while data:
                data = data[self._replies.write(data) :]
        except BrokenPipeError:
            raise ParentGoneError from None


class StopSignal:
    """The flag that SIGTERM came. The current operation is finished, and nothing is begun after it."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True


@dataclass(frozen=True, slots=True)
class Runner:
    """The run of all orders: each deploy is prepared, sent, and run as the parent decides."""

    channel: Channel
    stop: StopSignal
    begin: Begin
    log: LogCapture
    confined: bool

    def run(self) -> int:
        """Run all orders; return the exit status. Raises ParentGoneError, ProtocolError."""
        for order in self.begin.deploys:
            if self.stop.asked:
                return STOPPED_STATUS
            try:
                deploy = self._prepared(order)
            except UnpreparedError as error:
                told = hinted(str(error)) if self.confined else str(error)
                self.channel.send(FoundDeploy(order.name, error=told))
            else:
                self._converse(deploy)
        return 0

    def _prepared(self, order: Order) -> BuiltIn | PyinfraDeploy:
        """The deploy of ``order`` with the changes that it would make now. Raises UnpreparedError."""
        begin = self.begin
        if order.source is None:
            return look(order, Path(begin.root), traced=begin.traced)
        load()
        from agent.engine.patches import patch_pyinfra
        from agent.engine.prepare import prepare

        patch_pyinfra(confined=self.confined)
        return prepare(order, Path(begin.root), Path(begin.temp), self.log, traced=begin.traced)

    def _converse(self, deploy: BuiltIn | PyinfraDeploy) -> None:
        """Send the changes of ``deploy``, and run it or skip it as the parent answers."""
        self.channel.send(deploy.found)
        answer = self.channel.receive()
        if isinstance(answer, Execute):
            self.channel.send(self._execute(deploy, answer.resources))
        elif not isinstance(answer, Skip):
            raise ProtocolError(f"{answer.type} where an answer about {deploy.name} was expected")
        if not isinstance(deploy, BuiltIn):
            deploy.close()

    def _execute(self, deploy: BuiltIn | PyinfraDeploy, allowed: frozenset[str]) -> Done:
        if isinstance(deploy, BuiltIn):
            return carry_out(deploy, allowed, send=self.channel.send, stopping=lambda: self.stop.asked)
        from agent.engine.execute import execute

        return execute(deploy, allowed, send=self.channel.send, stopping=lambda: self.stop.asked)


def load() -> None:
    """Load the modules that every deploy file needs."""
    from agent.engine.loading import load_pyinfra

    load_pyinfra()
    from agent.engine import patches, prepare  # noqa: F401


def main(scratch: str | None = None, begin: Message | None = None) -> int:
    """Run as the engine child, and return its exit status. ``scratch``: the only folder that a confined child may write
    to; None for a child that does not confine itself. ``begin``: the orders; None where they are read from stdin."""
    if scratch is not None and not _confined(Path(scratch)):
        return 0
    stop = StopSignal()
    channel = Channel()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a crash must lose no line
    sys.dont_write_bytecode = True  # nobody may write to a commit's folder
    try:
        begin = begin or channel.receive()
        if not isinstance(begin, Begin):
            raise ProtocolError(f"{begin.type} where begin was expected")
        if begin.masked:
            mask.forbid_core_dumps()
            mask.remember_all(begin.masked)
        log = LogCapture()
        log.install()
        return Runner(channel, stop, begin, log, confined=scratch is not None).run()
    except ParentGoneError:
        return 1
    except ProtocolError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _confined(scratch: Path) -> bool:
    """Confine this process, and send Ready, before anything of the config repo is read. Return True if it is confined.
    Otherwise the caller ends the process."""
    why = ""
    try:
        confine(scratch)
        os.environ["TMPDIR"] = f"{scratch}"
        _trust_repositories(scratch)
    except OSError as error:
        why = error.strerror or str(error) or "no reason was given"
    os.write(1, encode(Ready(why)))
    return not why


def _trust_repositories(scratch: Path) -> None:
    """Have git read repositories of other users. It refuses them by default, because it runs commands from their
    settings; in a confined process these can do no harm. The setting is in a file and not in GIT_CONFIG_COUNT, which
    does not reach the other end of a fetch from a repository on this host."""
    system, ours = Path("/etc/gitconfig"), scratch / "gitconfig"
    text = system.read_bytes() if system.is_file() else b""
    ours.write_bytes(text + b"\n[safe]\n\tdirectory = *\n")
    os.environ["GIT_CONFIG_SYSTEM"] = f"{ours}"
