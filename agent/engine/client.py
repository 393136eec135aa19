"""pyinfra at arm's length: turns a desired state into what it would change here, and carries out what is decided.

Every plan and every apply has a child process of its own, because pyinfra remembers files for the life of a process,
deploy code may do anything to the process that it runs in, and a process can be killed.
"""

from __future__ import annotations

import itertools
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.domain.codec import to_plain
from agent.domain.desired import DesiredDeploy, DesiredState, Looking
from agent.domain.outcome import DeployOutcome, OperationResult, Status
from agent.domain.plan import WantedChange
from agent.domain.sealed import holds_sealed
from agent.engine import forked
from agent.engine.child import Child, ChildEndedError, TimedOutError
from agent.engine.protocol import (
    STOPPED_STATUS,
    Begin,
    Done,
    ExecuteDeploy,
    Message,
    Operated,
    Order,
    PreparedDeploy,
    ProtocolError,
    SkipDeploy,
    Started,
    UnpreparedDeploy,
    decode,
    encode,
)
from agent.engine.secrecy import Lacking, masked_message, nothing_sealed
from agent.engine.walls import CONFINED, RUNNER, behind_walls, unreadable
from agent.errors import DeployError
from agent.host.paths import Paths
from agent.problems import ProblemKind
from agent.system import mask
from agent.system.files import make_private_folder

REPOSITORIES = Paths().repositories
_STOPPED = "stopped before it began"


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


@dataclass(frozen=True, slots=True)
class Execute:
    """Run it, and change nothing that was planned but these."""

    resources: frozenset[str]


@dataclass(frozen=True, slots=True)
class Skip:
    """Leave it alone."""


Decision = Execute | Skip


def _ignore(*_: object) -> None:
    """Stands for a callback that the caller left out."""


@dataclass(frozen=True, slots=True)
class _Caller:
    """The caller's callbacks while the engine works."""

    decide: Callable[[FoundDeploy], Decision]
    on_started: Callable[[str, str, str], None] = _ignore
    on_operated: Callable[[OperationResult], None] = _ignore
    on_done: Callable[[DeployOutcome], None] = _ignore


class Engine:
    """``work``: a folder that only root may enter, for temporary files. ``timeout_s``: how long one deploy may take
    to be prepared and carried out. ``inherit``: descriptors that the child keeps open, such as the lock.
    ``repositories``: where other repositories' files lie, each in a folder called like its tree digest. ``traced``: a
    plan tells the answers to what its looks rest on, too. ``unseal``: puts secrets into
    the arguments of a deploy, whose commit's files lie in a folder; raises Lacking."""

    def __init__(
        self,
        *,
        work: Path,
        timeout_s: int,
        inherit: tuple[int, ...] = (),
        python: str = sys.executable,
        repositories: Path = REPOSITORIES,
        traced: bool = False,
        unseal: Callable[[Any, Path], Any] = nothing_sealed,
    ) -> None:
        self._work = work
        self._timeout_s = timeout_s
        self._inherit = inherit
        self._python = python
        self._repositories = repositories
        self._traced = traced
        self._unseal = unseal
        self._child: Child | None = None
        self._stopped = False
        self.unconfined = ""
        """The reason why plans are not confined here; empty where they are, or none was made yet."""

    def plan(self, state: DesiredState, root: Path, interrupted: frozenset[str]) -> tuple[FoundDeploy, ...]:
        """Find out what each deploy of ``state`` would change now; ``root`` holds the commit's files. Changes nothing.

        Raises DeployError when the engine says what nobody understands (kind ``engine``) or was stopped.
        """
        found: list[FoundDeploy] = []

        def look(prepared: FoundDeploy) -> Decision:
            found.append(prepared)
            return Skip()

        outcomes: list[DeployOutcome] = []
        for looking, deploys in itertools.groupby(state.deploys, key=lambda deploy: deploy.looking):
            if outcomes and outcomes[-1].status is Status.SKIPPED:
                over = outcomes[-1].error
                outcomes += (DeployOutcome(deploy.name, Status.SKIPPED, error=over) for deploy in deploys)
                continue
            part = replace(state, deploys=tuple(deploys))
            confined = looking is Looking.CONFINED
            outcomes += self._converse(part, root, interrupted, _Caller(look), confined=confined, traced=self._traced)
        if any(outcome.error == _STOPPED for outcome in outcomes):
            raise DeployError("planning was stopped", kind=ProblemKind.STOPPED, hint="the next cycle plans again")
        return (*found, *(FoundDeploy(outcome.deploy, error=outcome.error) for outcome in outcomes[len(found) :]))

    def apply(
        self,
        state: DesiredState,
        root: Path,
        interrupted: frozenset[str],
        *,
        decide: Callable[[FoundDeploy], Decision],
        on_started: Callable[[str, str, str], None] = _ignore,
        on_operated: Callable[[OperationResult], None] = _ignore,
        on_done: Callable[[DeployOutcome], None] = _ignore,
    ) -> tuple[DeployOutcome, ...]:
        """Prepares each deploy after the ones before it ran, asks ``decide``, and runs what it allows.

        An outcome for every deploy of ``state``, in order: HELD for Skip, FAILED also for what could not be prepared
        (``decide`` hears of it; its answer does not matter), SKIPPED for those behind the one that ended the engine
        or overran its time, and behind a stop. What the callbacks raise ends the engine and is raised here. Raises
        DeployError (kind ``engine``) when the engine says what nobody understands.
        """
        if self._stopped:
            return tuple(DeployOutcome(deploy.name, Status.SKIPPED, error=_STOPPED) for deploy in state.deploys)
        return self._converse(state, root, interrupted, _Caller(decide, on_started, on_operated, on_done))

    @property
    def stopped(self) -> bool:
        """True once somebody has asked for the end."""
        return self._stopped

    def stop(self) -> None:
        """Finish the current operation and end. Nothing is applied any more; what was done can still be confirmed by
        a later plan. Safe in a signal handler."""
        self._stopped = True
        if self._child is not None:
            self._child.terminate()

    def _converse(
        self,
        state: DesiredState,
        root: Path,
        interrupted: frozenset[str],
        caller: _Caller,
        *,
        confined: bool = False,
        traced: bool = False,
    ) -> tuple[DeployOutcome, ...]:
        """A child's whole life."""
        orders: list[Order] = []
        lacking: dict[str, Lacking] = {}
        for deploy in state.deploys:
            try:
                orders.append(self._order(deploy, root, deploy.name in interrupted))
            except Lacking as error:
                lacking[deploy.name] = error
        if not orders:
            return tuple(_passed_over(caller, deploy.name, lacking[deploy.name]) for deploy in state.deploys)
        outcomes: list[DeployOutcome] = []
        over = ""
        stopped_before = self._stopped
        make_private_folder(self._work)
        with tempfile.TemporaryDirectory(prefix="engine-", dir=self._work) as temp, ExitStack() as stack:
            told = Begin(str(root), temp, tuple(orders), traced=traced, masked=mask.values())
            begin = None if self._forks(state) else told
            child = self._start(temp, confined=confined) if begin else self._fork(told, confined=confined)
            self._child = stack.enter_context(child)
            if self._stopped and not stopped_before:
                child.terminate()
            for deploy in state.deploys:
                if deploy.name in lacking:
                    outcomes.append(_passed_over(caller, deploy.name, lacking[deploy.name]))
                    continue
                if over:
                    outcome = DeployOutcome(deploy.name, Status.SKIPPED, error=over)
                else:
                    talk = _Talk(deploy.name, child, self._timeout_s, caller)
                    outcome = self._settled(talk, begin)
                    over, begin = talk.over, None
                outcomes.append(outcome)
                caller.on_done(outcome)
        return tuple(outcomes)

    def _start(self, temp: str, *, confined: bool) -> Child:
        """A child that waits for its orders. The one of a plan confines itself first; where this host lacks what
        that takes, another is started without: all of it or none."""
        if confined and not self.unconfined:
            started = Child.started(self._python, (CONFINED, temp))
            child, self.unconfined = behind_walls(started, self._timeout_s)
            if child is not None:
                return child
        return Child.started(self._python, (RUNNER,), self._inherit)

    def _forks(self, state: DesiredState) -> bool:
        """True where the child runs no code but the agent's, and this process can be forked and holds no secret."""
        ours = all(deploy.built_in for deploy in state.deploys)
        return ours and not mask.values() and self._python == sys.executable and forked.may_fork()

    def _fork(self, begin: Begin, *, confined: bool) -> Child:
        """The same by a fork, which knows its orders. What it needs is loaded before it, and stays loaded."""
        from agent.engine import confined as walled
        from agent.engine import runner

        orders = (replace(order, arguments=to_plain(order.arguments)) for order in begin.deploys)
        told = replace(begin, deploys=tuple(orders))  # as they would have been read
        if confined and not self.unconfined:
            started = Child.forked(lambda: walled.main(begin.temp, told))
            child, self.unconfined = behind_walls(started, self._timeout_s)
            if child is not None:
                return child
        return Child.forked(lambda: runner.main(begin=told), keep=self._inherit)

    def _order(self, deploy: DesiredDeploy, root: Path, interrupted: bool) -> Order:
        """Raises Lacking."""
        arguments, data = deploy.arguments, deploy.data
        if deploy.secrets or holds_sealed(deploy.data):
            arguments, data = self._unseal(arguments, root), self._unseal(data, root)
        own = str(self._repositories / deploy.repository.tree) if deploy.repository else None
        return Order(deploy.name, deploy.kind, deploy.source, arguments, data, interrupted, own)

    def _settled(self, talk: _Talk, begin: Begin | None) -> DeployOutcome:
        try:
            return talk.outcome(begin)
        except TimedOutError:
            talk.child.kill()
            talk.over = f"the engine was ended together with {talk.deploy}"
            return talk.cut_off(f"did not end within {self._timeout_s} s")
        except ChildEndedError as end:
            if end.code == STOPPED_STATUS or (self._stopped and end.code == -signal.SIGTERM):
                talk.over = _STOPPED
                return talk.ended(Status.SKIPPED, _STOPPED)
            talk.over = f"the engine ended with {talk.deploy}"
            return talk.cut_off(mask.masked(end.reason))
        except (ProtocolError, OverflowError) as error:
            raise unreadable(error, talk.deploy) from error


def _passed_over(caller: _Caller, deploy: str, lacks: Lacking) -> DeployOutcome:
    caller.decide(FoundDeploy(deploy, lacks=lacks))
    outcome = DeployOutcome(deploy, Status.HELD, error=lacks.reason)
    caller.on_done(outcome)
    return outcome


class _Talk:
    """The talk with the child about one deploy."""

    def __init__(self, deploy: str, child: Child, timeout_s: int, caller: _Caller) -> None:
        self.deploy = deploy
        self.child = child
        self.over = ""
        """The reason why no later deploy can be talked about."""
        self._deadline = time.monotonic() + timeout_s
        self._caller = caller
        self._results: list[OperationResult] = []

    def ended(self, status: Status, error: str = "") -> DeployOutcome:
        return DeployOutcome(self.deploy, status, tuple(self._results), error)

    def cut_off(self, error: str) -> DeployOutcome:
        return replace(self.ended(Status.FAILED, error), cut_off=True)

    def outcome(self, begin: Begin | None) -> DeployOutcome:
        if begin is not None:
            self._send(begin)
        match self._receive():
            case UnpreparedDeploy(error=error):
                self._caller.decide(FoundDeploy(self.deploy, error=error))
                return self.ended(Status.FAILED, error)
            case PreparedDeploy() as told:
                trace = told.trace if mask.masked(told.trace) == told.trace else ""  # no question keeps a secret
                found = FoundDeploy(self.deploy, told.changes, told.resources, unowned=told.unowned, trace=trace)
                decision = self._caller.decide(found)
            case other:
                raise ProtocolError(f"{other.type} before {self.deploy} was prepared")
        if isinstance(decision, Skip):
            self._send(SkipDeploy(self.deploy))
            return self.ended(Status.HELD)
        self._send(ExecuteDeploy(self.deploy, decision.resources))
        while True:
            match self._receive():
                case Started(resource=resource, operation=operation):
                    self._caller.on_started(self.deploy, resource, operation)
                case Operated(result=result):
                    self._results.append(result)
                    self._caller.on_operated(result)
                case Done(status=status, error=error):
                    self.over = _STOPPED if status is Status.STOPPED else ""
                    return self.ended(status, error)
                case other:
                    raise ProtocolError(f"{other.type} while {self.deploy} runs")

    def _send(self, message: Message) -> None:
        self.child.send(encode(message), self._deadline)

    def _receive(self) -> Message:
        message = decode(self.child.receive(self._deadline))
        named = message.result.deploy if isinstance(message, Operated) else getattr(message, "deploy", "")
        if named != self.deploy:
            raise ProtocolError(f"{message.type} about {named!r} while {self.deploy} is at work")
        return masked_message(message)
