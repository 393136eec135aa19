"""The engine child: ``python -I -m agent.engine.runner``. Turns protocol lines into pyinfra runs on this host.

The protocol has descriptors of its own. What deploy code prints goes to stderr, and what it reads from stdin is at
its end: neither can get between the lines.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from agent.engine.adapt import adapt_pyinfra
from agent.engine.code import hinted
from agent.engine.execute import execute
from agent.engine.logs import LogCapture
from agent.engine.prepare import Prepared, UnpreparedError, prepare
from agent.engine.protocol import (
    STOPPED_STATUS,
    Begin,
    ExecuteDeploy,
    Message,
    PreparedDeploy,
    ProtocolError,
    SkipDeploy,
    UnpreparedDeploy,
    decode,
    encode,
)


class ParentGoneError(Exception):
    """Nobody reads or answers any more."""


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


class Stop:
    """Remembers that SIGTERM came. The operation that runs then is finished; nothing is begun after it."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True


def main(*, confined: bool = False) -> int:
    stop = Stop()
    channel = Channel()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # last words have to get out
    sys.dont_write_bytecode = True  # a commit's folder is not ours to write to
    log = LogCapture()
    log.install()
    adapt_pyinfra(confined=confined)
    try:
        begin = channel.receive()
        if not isinstance(begin, Begin):
            raise ProtocolError(f"{begin.type} where begin was expected")
        for order in begin.deploys:
            if stop.asked:
                return STOPPED_STATUS
            try:
                deploy = prepare(order, Path(begin.root), Path(begin.temp), log)
            except UnpreparedError as error:
                told = hinted(str(error)) if confined else str(error)
                channel.send(UnpreparedDeploy(order.name, told))
            else:
                _converse(deploy, channel, stop)
    except ParentGoneError:
        return 1
    except ProtocolError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _converse(deploy: Prepared, channel: Channel, stop: Stop) -> None:
    """Says what ``deploy`` would change, and does what it is told."""
    channel.send(PreparedDeploy(deploy.name, deploy.changes, deploy.resources, deploy.unowned))
    answer = channel.receive()
    if isinstance(answer, ExecuteDeploy) and answer.deploy == deploy.name:
        channel.send(execute(deploy, answer.resources, send=channel.send, stopping=lambda: stop.asked))
    elif not (isinstance(answer, SkipDeploy) and answer.deploy == deploy.name):
        raise ProtocolError(f"{answer.type} where an answer about {deploy.name} was expected")
    deploy.close()


if __name__ == "__main__":
    sys.exit(main())
