"""The engine: finds the changes that a desired state needs on this host, and applies those that the caller allows.

The work is done in child processes: pyinfra keeps files in memory for the life of a process, deploy code may do
anything to its own process, and a process can be killed. Each apply has a child of its own. Each plan has one for each
run of successive deploys that look in the same way (``Looking``). The child of a plan confines itself, except for
deploys that are planned with privileges.
"""

from __future__ import annotations

import itertools
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from agent.domain.codec import to_plain
from agent.domain.desired import DesiredDeploy, DesiredState, Looking
from agent.domain.outcome import DeployOutcome, OperationResult, Status
from agent.domain.plan import DeployPlan, Hold, Plan
from agent.domain.sealed import contains_sealed
from agent.engine import forked
from agent.engine.child import Child, ChildEndedError, TimedOutError
from agent.engine.preloaded import Preloaded
from agent.engine.protocol import (
    STOPPED_STATUS,
    Begin,
    Decision,
    EarlierLook,
    Execute,
    FoundDeploy,
    Order,
    ProtocolError,
    Skip,
)
from agent.engine.secrecy import Lacking, nothing_sealed, passwords_apart
from agent.engine.talk import STOPPED, DeployTalk, EngineCaller, await_confined, ignore, unreadable
from agent.errors import DeployError
from agent.host.paths import Paths
from agent.problems import ProblemKind
from agent.system import mask
from agent.system.files import make_private_folder

__all__ = ["Decision", "Engine", "Execute", "FoundDeploy", "Skip"]

REPOSITORIES = Paths().repositories


@dataclass(eq=False, kw_only=True)
class Engine:
    """An engine. ``work``: a folder that only root may enter, for temporary files. ``timeout_s``: the most seconds that
    one deploy may take from its preparation to its end. ``inherit``: descriptors that the child keeps open, such as
    the lock. ``repositories``: the folder of other repositories' files, each in a folder with the name of its tree
    digest. ``traced``: True where plans ask the questions that their looks rest on. ``unseal``: puts secrets into the
    arguments of a deploy, given the folder of the commit's files; raises Lacking."""

    work: Path
    timeout_s: int
    inherit: tuple[int, ...] = ()
    python: str = sys.executable
    repositories: Path = REPOSITORIES
    traced: bool = False
    unseal: Callable[[Any, Path], Any] = nothing_sealed
    stopped: bool = field(default=False, init=False)
    """True once ``stop`` was called."""
    unconfined: str = field(default="", init=False)
    """The reason why plans are not confined here; empty where they are, or none was made yet."""
    _child: Child | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._preloaded = Preloaded(self.python)

    def plan(
        self, state: DesiredState, root: Path, interrupted: frozenset[str], earlier: Plan | None = None
    ) -> tuple[FoundDeploy, ...]:
        """Each deploy of ``state`` with the changes that it would make now; nothing is changed. ``root`` holds the
        commit's files. ``earlier``: a plan of this cycle. Items whose answers are the same as then are not looked at
        again, except in deploys with secrets: their values may have changed.

        Raises DeployError where the engine sends what cannot be read (kind ``engine``) or was stopped (``stopped``).
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
            outcomes += self._converse(
                part, root, interrupted, EngineCaller(look), earlier, confined=confined, traced=self.traced
            )
        if any(outcome.error == STOPPED for outcome in outcomes):
            raise DeployError("planning was stopped", kind=ProblemKind.STOPPED, hint="the next cycle plans again")
        by_name = {each.deploy: each for each in found}
        return tuple(by_name.get(each.deploy) or FoundDeploy(each.deploy, error=each.error) for each in outcomes)

    def apply(
        self,
        state: DesiredState,
        root: Path,
        interrupted: frozenset[str],
        *,
        decide: Callable[[FoundDeploy], Decision],
        on_started: Callable[[str, str, str], None] = ignore,
        on_operated: Callable[[OperationResult], None] = ignore,
        on_done: Callable[[DeployOutcome], None] = ignore,
        earlier: Plan | None = None,
    ) -> tuple[DeployOutcome, ...]:
        """Prepare each deploy after those before it ran, ask ``decide``, and run what it allows. ``earlier``: as for
        ``plan``.

        Returns an outcome for every deploy of ``state``, in order: HELD for Skip and for a secret that it lacks; FAILED
        also where it could not be prepared (``decide`` is called, but its answer does not count); SKIPPED behind a
        deploy that ended the engine or overran its time, and behind a stop. An exception of a callback ends the engine
        and is raised here. Raises DeployError (kind ``engine``) where the engine sends what cannot be read.
        """
        if self.stopped:
            return tuple(DeployOutcome(deploy.name, Status.SKIPPED, error=STOPPED) for deploy in state.deploys)
        caller = EngineCaller(decide, on_started, on_operated, on_done)
        return self._converse(state, root, interrupted, caller, earlier)

    def stop(self) -> None:
        """End after the current operation. Nothing is applied from now on; later plans can still confirm what was
        applied. Safe in a signal handler."""
        self.stopped = True
        if self._child is not None:
            self._child.terminate()

    def _converse(
        self,
        state: DesiredState,
        root: Path,
        interrupted: frozenset[str],
        caller: EngineCaller,
        earlier: Plan | None,
        *,
        confined: bool = False,
        traced: bool = False,
    ) -> tuple[DeployOutcome, ...]:
        """The outcomes of all deploys of ``state``, from one child that is started and ended here."""
        looks = {planned.deploy: planned for planned in earlier.deploys} if earlier is not None else {}
        orders: list[Order] = []
        waiting: dict[str, Mapping[str, Hold]] = {}
        lacking: dict[str, Hold] = {}
        for deploy in state.deploys:
            try:
                order, waiting[deploy.name] = self._order(deploy, root, interrupted, looks.get(deploy.name))
                orders.append(order)
            except Lacking as error:
                lacking[deploy.name] = error.hold()
        if not orders:
            return tuple(_passed_over(caller, name, hold) for name, hold in lacking.items())
        outcomes: list[DeployOutcome] = []
        over = ""
        stopped_before = self.stopped
        make_private_folder(self.work)
        with tempfile.TemporaryDirectory(prefix="engine-", dir=self.work) as temp, ExitStack() as stack:
            begin = Begin(str(root), temp, tuple(orders), traced=traced, masked=mask.values())
            forks_itself = self._may_fork_itself(state)
            child = self._child_of(partial(self._fork, begin, itself=forks_itself), confined=confined)
            self._child = stack.enter_context(child)
            if self.stopped and not stopped_before:
                child.terminate()
            unsent = None if forks_itself else begin
            for deploy in state.deploys:
                if (hold := lacking.get(deploy.name)) is not None:
                    outcomes.append(_passed_over(caller, deploy.name, hold))
                    continue
                if over:
                    outcome = DeployOutcome(deploy.name, Status.SKIPPED, error=over)
                else:
                    shows, waits = deploy.built_in or not deploy.secrets, waiting[deploy.name]
                    talk = DeployTalk(deploy.name, child, time.monotonic() + self.timeout_s, caller, shows, waits)
                    outcome = self._outcome_of(talk, unsent)
                    over, unsent = talk.over, None
                outcomes.append(outcome)
                caller.on_done(outcome)
        return tuple(outcomes)

    def _child_of(self, fork: Callable[..., Child], *, confined: bool) -> Child:
        """A child from ``fork``, confined where ``confined`` says so and this host has what that needs. Where it lacks
        some of it, a second child replaces the first, without any confinement. Raises DeployError where none can be
        started."""
        try:
            child = None
            if confined and not self.unconfined:
                child, self.unconfined = await_confined(fork(confined=True), self.timeout_s)
            return child or fork(confined=False)
        except OSError as error:
            raise DeployError(
                f"the engine could not be started: {error}",
                kind=ProblemKind.ENGINE,
                hint="is there memory (`free -m`), and room for another process (`ps -e`)? the next cycle tries again",
            ) from error

    def _fork(self, begin: Begin, *, itself: bool, confined: bool) -> Child:
        """A fork of this process, which has its orders (``itself``), or a fork of the preloaded process, which waits
        for them. The modules that a fork of this process needs are loaded here first, and stay loaded."""
        folder, keep = (begin.temp, ()) if confined else (None, self.inherit)
        if not itself:
            pyinfra = any(order.source is not None for order in begin.deploys)
            return self._preloaded.child(folder, pyinfra=pyinfra, timeout_s=self.timeout_s, keep=keep)
        from agent.engine import runner

        orders = (replace(order, arguments=to_plain(order.arguments)) for order in begin.deploys)
        known = replace(begin, deploys=tuple(orders))  # as they would have been read
        return forked.Forked(partial(runner.main, folder, known), keep)

    def _may_fork_itself(self, state: DesiredState) -> bool:
        """True where the child runs no code but the agent's, and this process can be forked and holds no secret."""
        ours = all(deploy.built_in for deploy in state.deploys)
        return ours and not mask.values() and self.python == sys.executable and forked.may_fork()

    def _order(
        self, deploy: DesiredDeploy, root: Path, interrupted: frozenset[str], earlier: DeployPlan | None
    ) -> tuple[Order, Mapping[str, Hold]]:
        """The order of a deploy, with the secrets that this host has, and the holds on resources whose secrets it
        lacks. Raises Lacking for a secret that the whole deploy needs."""
        arguments, data = deploy.arguments, deploy.data
        waiting: Mapping[str, Hold] = {}
        if deploy.secrets and deploy.built_in and deploy.kind == "users":
            arguments, waiting = passwords_apart(arguments, lambda account: self.unseal(account, root))
        elif deploy.secrets:
            arguments = self.unseal(arguments, root)
        if contains_sealed(data):
            data = self.unseal(data, root)
        own = str(self.repositories / deploy.repository.tree) if deploy.repository else None
        look = None
        # An earlier look may have been made with another value of a secret, or without it.
        if deploy.built_in and not deploy.secrets and earlier is not None and earlier.trace and earlier.known:
            look = EarlierLook(earlier.trace, tuple(change.resource for change in earlier.possible))
        begun = deploy.name in interrupted
        return Order(deploy.name, deploy.kind, deploy.source, arguments, data, begun, own, look), waiting

    def _outcome_of(self, talk: DeployTalk, unsent: Begin | None) -> DeployOutcome:
        """The outcome of a talk, also where the child ended or overran its time. Raises DeployError (kind ``engine``)
        where it sends what cannot be read."""
        try:
            return talk.outcome(unsent)
        except TimedOutError:
            talk.child.kill()
            talk.over = f"the engine was ended together with {talk.deploy}"
            return talk.cut_off(f"did not end within {self.timeout_s} s")
        except ChildEndedError as end:
            if end.code == STOPPED_STATUS or (self.stopped and end.code == -signal.SIGTERM):
                talk.over = STOPPED
                return talk.ended(Status.SKIPPED, STOPPED)
            talk.over = f"the engine ended with {talk.deploy}"
            return talk.cut_off(mask.masked(end.reason))
        except (ProtocolError, OverflowError) as error:
            raise unreadable(error, talk.deploy) from error


def _passed_over(caller: EngineCaller, deploy: str, lacks: Hold) -> DeployOutcome:
    caller.decide(FoundDeploy(deploy, lacks=lacks))
    outcome = DeployOutcome(deploy, Status.HELD, error=lacks.reason)
    caller.on_done(outcome)
    return outcome


def why_unconfined(work: Path, timeout_s: float) -> str:
    """The reason why plans cannot be confined on this host; empty where they can. Scratch files go to ``work``. Raises
    OSError where no child can be started, DeployError where it sends what cannot be read."""
    make_private_folder(work)
    with tempfile.TemporaryDirectory(prefix="engine-", dir=work) as scratch:
        started = Preloaded().child(scratch, pyinfra=False, timeout_s=timeout_s)
        child, reason = await_confined(started, timeout_s)
        if child is not None:
            child.kill()
            child.close()
    return reason
