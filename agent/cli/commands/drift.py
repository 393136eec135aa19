"""drift: the part of the plan that undoes changes made on the host."""

from __future__ import annotations

import dataclasses

import click

from agent.cli.host_plan import planned, show
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.domain.plan import Cause
from agent.host.paths import Paths
from agent.planning import HostPlan
from agent.trace.rest import unsigned_looks


@click.command(cls=CliCommand)
@click.option("--diff/--no-diff", default=True, help="Show what was changed inside files.")
def drift(output: Output, diff: bool) -> Reply:
    """Show what was changed on this host and not in Git; exit 10 when something was."""
    before = planned()
    for why in unsigned_looks(Paths().rest) if output.verbose else ():
        output.say(f"hostwright: the daemon cannot see drift of this, only the cycle every `schedule.plan` does: {why}")
    found = before.plan
    deploys = [
        dataclasses.replace(deploy, changes=tuple(change for change in deploy.changes if change.cause is Cause.DRIFT))
        for deploy in found.deploys
        if deploy.unknown is None
    ]
    moving = {deploy.deploy for deploy in deploys if deploy.changes}
    holds = {name: hold for name, hold in before.holds.items() if name in moving}
    permitted = dataclasses.replace(before.planned.permitted, deploy_holds=holds)
    plan = dataclasses.replace(found, deploys=tuple(deploys))
    moved = HostPlan(dataclasses.replace(before.planned, plan=plan, permitted=permitted))
    return show(output, moved, diff=diff, calm="no drift from commit")
