"""The account of one cycle: the result of each phase, and what went wrong.

The report is made from it. Where a phase fails, the account holds what was known before.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType

from agent.domain.commit import Commit, TrustedCommit
from agent.domain.desired import DesiredState, Mode
from agent.domain.health import Health
from agent.domain.memory import AppliedDeploy, FleetSettings
from agent.domain.outcome import Outcome
from agent.domain.pins import AgentPin
from agent.domain.plan import Change, DeployPlan, Hold, PermittedPlan, Plan
from agent.domain.removal import Pruned, Removal
from agent.domain.transient import same_failure
from agent.domain.trial import Bad, Trial
from agent.errors import Exit, HealthError, HostwrightError, first_exit, host_io_error
from agent.problems import ProblemKind

_TRACE_LIMIT = 3000
"""Characters of a traceback that fit into a report."""


_HARMLESS = frozenset({Exit.SOURCE, Exit.REPORT})
"""The exit codes of failures that say nothing about the host's own state."""


class Trigger(StrEnum):
    """The source of a cycle. It decides whether deploys that failed wait for the end of their backoff."""

    CLOCK = "clock"
    """The daemon, whatever made it start a cycle, `hostwright trigger` too; and `hostwright cycle`. Deploys wait."""
    PERSON = "person"
    """`hostwright apply`. No deploy waits."""


class Milestone(StrEnum):
    """A point of a cycle whose time is noted."""

    AIMED = "aimed"
    PERMITTED = "permitted"
    WENT_BACK = "went-back"
    JUDGED = "judged"
    PRUNED = "pruned"


@dataclass(slots=True)
class Log:
    """The failures of a cycle, and the times of its milestones. ``clock`` gives seconds since the epoch."""

    clock: Callable[[], int] = lambda: 0
    failures: list[HostwrightError] = field(default_factory=list)
    times: dict[Milestone, int] = field(default_factory=dict)

    def reached(self, milestone: Milestone) -> None:
        self.times[milestone] = self.clock()

    def note(self, failures: Iterable[HostwrightError]) -> None:
        for failure in failures:
            failure.at = failure.at or self.clock()
            self.failures.append(failure)

    def surviving(self) -> Surviving:
        """A context that notes an exception raised inside; the caller then goes on behind it. Interrupts get
        through."""
        return Surviving(self)


@dataclass(frozen=True, slots=True)
class Surviving:
    log: Log

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        match error:
            case None:
                return True
            case HostwrightError():
                self.log.note([error])
            case OSError():
                self.log.note([host_io_error(error)])
            case Exception():
                # A bug must reach the report as one, and must not keep the host from reporting.
                trace = "".join(traceback.format_exception(error))[-_TRACE_LIMIT:]
                self.log.note([HostwrightError(f"{type(error).__name__}: {error}", kind=ProblemKind.BUG, hint=trace)])
            case _:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Rollback:
    """The way back from a change that did the host harm, or that twice did not end.

    ``attempted``: the account when the change was judged; None where the attempt was cut off before. ``to``: the commit
    that the host goes back to. ``removed``: the resources of the attempt that were taken away again. ``stays``: what
    could not be undone, a line each.
    """

    bad: Bad
    to: str
    attempted: Account | None = None
    removed: tuple[Removal, ...] = ()
    stays: tuple[str, ...] = ()

    def failed_alike(self, outcome: Outcome) -> bool:
        """True if a deploy failed on the way back (``outcome``) as it did in the attempt: then nobody knows whether the
        commit is to blame."""
        attempted = self.attempted.outcome.failed if self.attempted is not None else ()
        return any(
            deploy.deploy == before.deploy and same_failure(deploy.error, before.error)
            for deploy in outcome.failed
            for before in attempted
        )


@dataclass(frozen=True, slots=True)
class Reboot:
    """A reboot that the host needs. ``hold``: the reason why it waits; None: it comes at the end of this cycle."""

    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """The results of a cycle, as far as it got. The report is made from them."""

    times: Mapping[Milestone, int] = field(default_factory=dict)
    """The time of each milestone that the cycle reached."""
    fetched: Commit | None = None
    trusted: TrustedCommit | None = None
    left_out: tuple[str, ...] = ()
    """The parts of the trusted commit and of the repositories pinned in it that this host does not have, in words."""
    state: DesiredState | None = None
    """The state aimed at."""
    hold: Hold | None = None
    """The reason why ``state`` is not that of the newest commit, or why the host may not be touched."""
    shut: Hold | None = None
    """The hold on everything that Git newly wants, removals included: the host is outside its windows. None inside."""
    plan: Plan | None = None
    permitted: PermittedPlan | None = None
    warned: tuple[str, ...] = ()
    """The warnings of policies."""
    outcome: Outcome = field(default_factory=Outcome)
    after: Plan | None = None
    """The plan made after applying; the same as ``plan`` where nothing was applied. None when the cycle did not get
    there: the host then keeps what it remembers."""
    applied: Mapping[str, AppliedDeploy] = field(default_factory=dict)
    """By deploy, what is remembered as applied after this cycle."""
    pruned: Pruned | None = None
    """The fate of what has left Git; None when the cycle did not get there."""
    trial: Trial | None = None
    """The intended change of this cycle, and what held before it."""
    harm: tuple[str, ...] = ()
    """The signs against the intended change, a text each."""
    unsettled: bool = False
    """True if the cycle was asked to end, or the host was suspended, before anybody could tell that it is well."""
    rollback: Rollback | None = None
    """Set if the host went back; then ``state`` and all that follows from it are those of the way back."""
    fleet: FleetSettings | None = None
    """The settings in fleet.yaml, where it could be read."""
    failed_at_first: tuple[str, ...] = ()
    """Units that had failed before the agent first changed anything here; they do not count against the host."""
    health: Health | None = None
    reboot: Reboot | None = None
    """The reboot that is due; None when none is needed, or the agent may never reboot this host."""
    agent: AgentPin | None = None
    """The version of the agent that this host is to run; None: the one that it has."""
    update: Hold | None = None
    """The reason why that version is not tried yet."""
    may_switch: bool = False
    """True if the agent may switch to that version when the cycle ends."""
    switched: bool = False
    """True if the agent switched to it; known only after the report."""
    evidence: Sequence[str] = ()
    """Lines of logs from the time at which something was changed by hand. They are for the host's events alone."""
    failures: Sequence[HostwrightError] = ()

    @property
    def whole(self) -> bool:
        """True if every deploy that is to be enforced is applied as wanted."""
        return (
            self.state is not None
            and self.after is not None
            and all(
                deploy.name in self.applied and self.applied[deploy.name].digest == deploy.digest
                for deploy in self.state.deploys
                if deploy.mode is Mode.ENFORCE
            )
        )

    @property
    def planned(self) -> tuple[DeployPlan, ...]:
        """The plan of each deploy, made at its turn; the one made before all of them for a deploy that had no turn."""
        found = {planned.deploy: planned for planned in self.outcome.found}
        before = self.plan.deploys if self.plan is not None else ()
        return tuple(found.get(planned.deploy, planned) for planned in before)

    @property
    def stuck(self) -> bool:
        """True if the intended change did harm, and the host did not go back."""
        return bool(self.harm) and self.rollback is None

    @property
    def lasting(self) -> Sequence[HostwrightError]:
        """The failures that tell of the state that the host is on now: all but those of an attempt taken back."""
        over = self.rollback.attempted.failures if self.rollback is not None and self.rollback.attempted else ()
        return [failure for failure in self.failures if not any(failure is each for each in over)]

    @property
    def harmed(self) -> bool:
        """True if a failure tells something about the host's own state, and not only about a server."""
        return any(failure.exit not in _HARMLESS for failure in self.failures)

    def why_failed(self, deploy: str) -> str | None:
        """The reason why this deploy failed in this cycle, when it was applied or planned; None if it did not."""
        told = [outcome.error for outcome in self.outcome.failed if outcome.deploy == deploy]
        plans = self.plan.deploys if self.plan is not None else ()
        told += [planned.error for planned in plans if planned.deploy == deploy and planned.error is not None]
        return next(iter(told), None)

    def repeats(self, change: Change) -> bool:
        """True if ``change`` is one of an operation that is not idempotent: wanted again right after it was applied."""
        applied = self.applied.get(change.deploy)
        return applied is not None and change.resource in applied.not_idempotent

    @property
    def ending_holds(self) -> tuple[Hold, ...]:
        """The holds on a reboot and on another version of the agent."""
        waiting = (self.reboot.hold if self.reboot is not None else None, self.update)
        return tuple(hold for hold in waiting if hold is not None)

    @property
    def cause(self) -> HostwrightError | None:
        """The failure that the exit code stands for; None where all is fine."""
        failed = next((failure for failure in self.failures if failure.exit is self.exit), None)
        if failed is None and self.health is not None and not self.health.healthy:
            return HealthError(
                "; ".join(self.health.complaints), hint="see `hostwright status` and the deploy's checks"
            )
        return failed

    @property
    def exit(self) -> Exit:
        """The cycle's exit code."""
        codes = [failure.exit for failure in self.failures]
        if self.health is not None and not self.health.healthy:
            codes.append(Exit.UNHEALTHY)
        return first_exit(codes)
