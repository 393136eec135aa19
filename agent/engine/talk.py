"""The talk with the engine child about one deploy: what it found, what the caller decides, what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from agent.domain.outcome import DeployOutcome, OperationResult, Status
from agent.domain.plan import WantedChange
from agent.engine.child import Child
from agent.engine.protocol import (
    Begin,
    Done,
    ExecuteDeploy,
    Message,
    Operated,
    PreparedDeploy,
    ProtocolError,
    SkipDeploy,
    Started,
    UnpreparedDeploy,
    decode,
    encode,
)
from agent.engine.secrecy import Lacking, masked_message, public_trace

STOPPED = "stopped before it began"


@dataclass(frozen=True, slots=True)
class FoundDeploy:
    """One deploy as it was found. With an ``error`` it could not be prepared, and there are no changes to name.

    ``resources``: the keys of all that it looks after, as far as they are known, changed or not; of a config repo's
    deploy those of its operations and of what they own. ``unowned``: how many of those own nothing.
    """

    deploy: str
    changes: tuple[WantedChange, ...] = ()
    resources: tuple[str, ...] = ()
    error: str | None = None
    unowned: int = 0
    trace: str = ""
    """The answers to what the look rested on, from before it; empty where they were not asked for."""
    lacks: Lacking | None = None
    """The secret that it needs and that cannot be had; then nothing is known of its changes."""
    waiting: Mapping[str, Lacking] = field(default_factory=dict)
    """The secrets that cannot be had and that one resource alone needs, by its key; ``changes`` do without."""


@dataclass(frozen=True, slots=True)
class Execute:
    """Run it, and change nothing that was planned but these."""

    resources: frozenset[str]


@dataclass(frozen=True, slots=True)
class Skip:
    """Leave it alone."""


Decision = Execute | Skip


def ignore(*_: object) -> None:
    """Stands for a callback that the caller left out."""


@dataclass(frozen=True, slots=True)
class EngineCaller:
    """The caller's callbacks while the engine works."""

    decide: Callable[[FoundDeploy], Decision]
    on_started: Callable[[str, str, str], None] = ignore
    on_operated: Callable[[OperationResult], None] = ignore
    on_done: Callable[[DeployOutcome], None] = ignore


class DeployTalk:
    """The talk with the child about one deploy."""

    def __init__(
        self,
        deploy: str,
        child: Child,
        timeout_s: int,
        caller: EngineCaller,
        *,
        shows: bool,
        waiting: Mapping[str, Lacking] = MappingProxyType({}),
    ) -> None:
        """``shows``: False where a diff may hold a secret that this process never knew, such as the value before.
        ``waiting``: as of ``FoundDeploy``."""
        self.deploy = deploy
        self.child = child
        self._shows = shows
        self._waiting = waiting
        self.over = ""
        """The reason why no later deploy can be talked about."""
        self._deadline = time.monotonic() + timeout_s
        self._caller = caller
        self._results: list[OperationResult] = []

    def ended(self, status: Status, error: str = "") -> DeployOutcome:
        return DeployOutcome(self.deploy, status, tuple(self._results), error)

    def cut_off(self, error: str) -> DeployOutcome:
        return replace(self.ended(Status.FAILED, error), cut_off=True)

    def outcome(self, unsent: Begin | None) -> DeployOutcome:
        """What came of the deploy. ``unsent``: the orders, where the child does not know them yet."""
        if unsent is not None:
            self._send(unsent)
        match self._receive():
            case UnpreparedDeploy(error=error):
                self._caller.decide(FoundDeploy(self.deploy, error=error))
                return self.ended(Status.FAILED, error)
            case PreparedDeploy() as told:
                hidden = (replace(change, diff=None, private=True) for change in told.changes)
                changes = told.changes if self._shows else tuple(hidden)
                trace = public_trace(self.deploy, told.trace)
                found = FoundDeploy(
                    self.deploy, changes, told.resources, unowned=told.unowned, trace=trace, waiting=self._waiting
                )
                decision = self._caller.decide(found)
            case other:
                raise ProtocolError(f"{other.type} before {self.deploy} was prepared")
        self.child.forget_words()  # from here on the next deploy may be the one that ends it
        if isinstance(decision, Skip):
            self._send(SkipDeploy(self.deploy))
            return self.ended(Status.HELD)
        self._send(ExecuteDeploy(self.deploy, decision.resources))
        while True:
            match self._receive():
                case Started(resource=resource, operation=operation):
                    self._caller.on_started(self.deploy, resource, operation)
                case Operated(results=results):
                    for result in results:
                        self._results.append(result)
                        self._caller.on_operated(result)
                case Done(status=status, error=error):
                    self.over = STOPPED if status is Status.STOPPED else ""
                    return self.ended(status, error)
                case other:
                    raise ProtocolError(f"{other.type} while {self.deploy} runs")

    def _send(self, message: Message) -> None:
        self.child.send(encode(message), self._deadline)

    def _receive(self) -> Message:
        message = decode(self.child.receive(self._deadline))
        about = message.results if isinstance(message, Operated) else (message,)
        for named in {getattr(each, "deploy", "") for each in about}:
            if named != self.deploy:
                raise ProtocolError(f"{message.type} about {named!r} while {self.deploy} is at work")
        return masked_message(message)
