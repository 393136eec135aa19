"""The talk with the engine child: first about its confinement; then about each deploy, with the changes found, the
caller's decision and the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from agent.domain.outcome import DeployOutcome, OperationResult, Status
from agent.domain.plan import Hold
from agent.engine.child import Child, ChildEndedError, TimedOutError
from agent.engine.protocol import (
    Begin,
    Decision,
    Done,
    FoundDeploy,
    Message,
    Operated,
    ProtocolError,
    Ready,
    Skip,
    Started,
    decode,
    encode,
)
from agent.engine.secrecy import masked_message, public_trace
from agent.errors import DeployError
from agent.problems import ProblemKind

STOPPED = "stopped before it began"


def ignore(*_: object) -> None:
    """Do nothing, in place of a callback that the caller left out."""


@dataclass(frozen=True, slots=True)
class EngineCaller:
    """The caller's callbacks while the engine works."""

    decide: Callable[[FoundDeploy], Decision]
    on_started: Callable[[str, str, str], None] = ignore
    on_operated: Callable[[OperationResult], None] = ignore
    on_done: Callable[[DeployOutcome], None] = ignore


@dataclass(slots=True)
class DeployTalk:
    """The talk with the child about one deploy, until ``deadline`` (monotonic clock). ``shows``: False where a diff may
    hold a secret that this process never knew, such as the old value. ``waiting``: as in ``FoundDeploy``."""

    deploy: str
    child: Child
    deadline: float
    caller: EngineCaller
    shows: bool
    waiting: Mapping[str, Hold]
    over: str = ""
    """The reason why no later deploy can be talked about."""
    _results: list[OperationResult] = field(default_factory=list)

    def ended(self, status: Status, error: str = "") -> DeployOutcome:
        return DeployOutcome(self.deploy, status, tuple(self._results), error)

    def cut_off(self, error: str) -> DeployOutcome:
        return replace(self.ended(Status.FAILED, error), cut_off=True)

    def outcome(self, unsent: Begin | None) -> DeployOutcome:
        """The outcome of the deploy. ``unsent``: the orders; None where the child has them already. Raises
        ChildEndedError, TimedOutError, and ProtocolError or OverflowError for a line that cannot be read."""
        if unsent is not None:
            self._send(unsent)
        found = self._receive()
        if not isinstance(found, FoundDeploy):
            raise ProtocolError(f"{found.type} before {self.deploy} was prepared")
        found = replace(found, trace=public_trace(self.deploy, found.trace), lacks=None, waiting=self.waiting)
        if not self.shows:
            found = replace(found, changes=tuple(replace(each, diff=None, private=True) for each in found.changes))
        decision = self.caller.decide(found)
        if found.error is not None:
            return self.ended(Status.FAILED, found.error)
        self.child.forget_words()  # the stderr so far is no reason for a later end
        self._send(decision)
        if isinstance(decision, Skip):
            return self.ended(Status.HELD)
        while True:
            match self._receive():
                case Started(resource=resource, operation=operation):
                    self.caller.on_started(self.deploy, resource, operation)
                case Operated(results=results):
                    for result in results:
                        self._results.append(result)
                        self.caller.on_operated(result)
                case Done(status=status, error=error):
                    self.over = STOPPED if status is Status.STOPPED else ""
                    return self.ended(status, error)
                case other:
                    raise ProtocolError(f"{other.type} while {self.deploy} runs")

    def _send(self, message: Message) -> None:
        self.child.send(encode(message), self.deadline)

    def _receive(self) -> Message:
        message = decode(self.child.receive(self.deadline))
        about = message.results if isinstance(message, Operated) else (message,)
        for named in {getattr(each, "deploy", "") for each in about}:
            if named != self.deploy:
                raise ProtocolError(f"{message.type} about {named!r} while {self.deploy} is at work")
        return masked_message(message)


def await_confined(child: Child, timeout_s: float) -> tuple[Child | None, str]:
    """``child`` once it has confined itself, and an empty reason; or None, and the reason why it could not. Then it has
    been killed.

    Its message can be trusted: it has read nothing of the config repo yet. Raises DeployError (kind ``engine``) where
    it sends what cannot be read.
    """
    confined = False
    try:
        reason = _first_word(child, time.monotonic() + timeout_s)
        confined = not reason
    finally:
        if not confined:
            child.kill()
            child.close()
    return (child, "") if confined else (None, reason)


def unreadable(error: Exception, about: str = "") -> DeployError:
    """The error for a child that sent what cannot be read, ``about`` a deploy."""
    return DeployError(
        f"{f'{about}: ' if about else ''}the engine sent what cannot be read: {error}",
        kind=ProblemKind.ENGINE,
        hint="this is a fault of the agent: report it with what `journalctl -u hostwright-cycle` says",
    )


def _first_word(child: Child, deadline: float) -> str:
    """The reason why the child is not confined; empty where it is. Raises DeployError (kind ``engine``)."""
    try:
        message = decode(child.receive(deadline))
        if not isinstance(message, Ready):
            raise ProtocolError(f"{message.type} where ready was expected")
    except ChildEndedError as end:
        return end.reason
    except TimedOutError:
        return "it took too long"
    except (ProtocolError, OverflowError) as error:
        raise unreadable(error) from error
    return message.unconfined
