"""A plan of this host: the making of it, its text for people, and its document for programs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agent.cli.invocation import Reply, require_root
from agent.cli.output import Output
from agent.cli.show import newest_line, plan_lines
from agent.domain import codec
from agent.domain.plan import Cause, DeployPlan
from agent.errors import DeployError, Exit, HostwrightError, first_exit
from agent.host.paths import Paths
from agent.planning import HostPlan, plan_host


def planned() -> HostPlan:
    """The changes and removals that the commit of the last cycle would make now. Raises HostwrightError."""
    require_root()
    with tempfile.TemporaryDirectory(prefix="hostwright-plan-") as work:
        return plan_host(Paths(), Path(work))


def show(output: Output, told: HostPlan, *, diff: bool, calm: str) -> Reply:
    output.show(*plan_lines(told.plan, told.leaving, told.holds, diff=diff, calm=calm, whole=output.verbose))
    output.show(*warnings_of(told))
    if told.newest is not None:
        output.show(newest_line(*told.newest))
    errors = errors_of(told)
    for error in errors:
        output.problem(error)
    return Reply(document(told), exit_of(told), errors[:1])


def warnings_of(told: HostPlan) -> list[str]:
    """A line for each warning of policies."""
    return [f"warning: {message}" for message in told.warned]


def errors_of(told: HostPlan) -> list[HostwrightError]:
    """The errors of a plan: policies that cannot be asked, and deploys that cannot be planned."""
    policies = told.planned.policies
    failure = policies.failure if policies is not None else None
    failed = [DeployError(f"{each.deploy} cannot be planned: {each.error}") for each in told.plan.deploys if each.error]
    return [*([failure] if failure is not None else ()), *failed]


def exit_of(told: HostPlan) -> int:
    wanted = [change for change in told.plan.changes if change.cause is not Cause.NOT_IDEMPOTENT]
    unknown = any(deploy.unknown is not None for deploy in told.plan.deploys)
    codes = [error.exit for error in errors_of(told)]
    return int(first_exit(codes + ([Exit.CHANGES] if wanted or told.leaving.due or unknown else [])))


def document(told: HostPlan) -> dict[str, object]:
    """The plan for programs."""
    found, leaving = told.plan, told.leaving
    return {
        "host": told.planned.state.host,
        "commit": found.commit,
        "digest": found.digest,
        "deploys": [_deploy_document(deploy) for deploy in found.deploys],
        "holds": codec.to_plain(told.holds),
        "warnings": list(told.warned),
        "newest": {"commit": told.newest[0], "why": told.newest[1]} if told.newest is not None else None,
        "removals": [
            {
                "resource": each.entry.key,
                "deploy": each.entry.deploy,
                "fate": each.fate.value,
                "reason": each.reason,
                "hold": codec.to_plain(each.hold),
            }
            for each in leaving.removals
        ],
        # Without their host.data, which may be private.
        "departures": [
            {"deploy": each.deploy, "on_remove": each.on_remove.source, "hold": codec.to_plain(each.hold)}
            for each in leaving.departures
        ],
    }


def _deploy_document(deploy: DeployPlan) -> dict[str, object]:
    document: dict[str, object] = codec.to_plain(deploy)
    del document["trace"]  # only for the daemon
    return document
