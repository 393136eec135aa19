"""The errors of a cycle's deploys, made from its account. Pure."""

from __future__ import annotations

from agent.domain.account import Account
from agent.domain.outcome import Status
from agent.domain.plan import HoldKind
from agent.errors import DeployError
from agent.problems import ProblemKind

_AGAIN = "the next cycle takes it up again; what had begun was finished"


def deploy_errors(account: Account) -> list[DeployError]:
    """The errors of deploys that failed, were stopped or cannot be planned, and of those that failed in an earlier
    cycle and have not succeeded since."""
    outcome, after = account.outcome, account.after.deploys if account.after is not None else ()
    failed = {deploy.deploy for deploy in outcome.failed}
    found = [
        DeployError(f"{deploy.deploy} failed: {deploy.error}", hint="`hostwright events` has the whole output")
        for deploy in outcome.failed
    ]
    found += [
        DeployError(f"{deploy.deploy} was stopped between two operations", kind=ProblemKind.STOPPED, hint=_AGAIN)
        for deploy in outcome.deploys
        if deploy.status is Status.STOPPED
    ]
    unbegun = [deploy.deploy for deploy in outcome.deploys if deploy.status is Status.SKIPPED]
    if unbegun and not found:
        # No deploy failed that they could need: the cycle was asked to stop before their turn.
        found.append(DeployError(f"stopped before {unbegun[0]} began", kind=ProblemKind.STOPPED, hint=_AGAIN))
    found += [
        DeployError(f"{planned.deploy} cannot be planned: {planned.error}", kind=ProblemKind.DEPLOY_UNPLANNABLE)
        for planned in after
        if planned.error is not None and planned.deploy not in failed
    ]
    unplannable = {planned.deploy for planned in after if planned.error}
    return [*found, *_failed_before(account, failed | unplannable)]


def _failed_before(account: Account, told: set[str]) -> list[DeployError]:
    """The errors of deploys that failed in an earlier cycle and have not succeeded since, whatever holds them now. The
    deploys in ``told`` are left out."""
    if account.permitted is None:
        return []
    holds = {name: hold for name, hold in account.permitted.deploy_holds.items() if hold.kind is HoldKind.BACKOFF}
    in_sync = {planned.deploy for planned in account.after.deploys if planned.in_sync} if account.after else set()
    words = {name: hold.reason for name, hold in holds.items()}
    words |= {
        name: why
        for name, why in account.permitted.failing.items()
        if name not in in_sync | holds.keys() and account.outcome.status(name) is not Status.DONE
    }
    return [
        DeployError(f"{name} {why}", kind=ProblemKind.BACKOFF, hint="`hostwright apply` tries again now")
        for name, why in words.items()
        if name not in told
    ]
