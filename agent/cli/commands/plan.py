"""plan: the changes that would be made now, here by the last cycle's commit, or on other hosts by files at a desk."""

from __future__ import annotations

from collections.abc import Sequence

import click

from agent.cli.config_repo import ConfigRepo
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output


@click.command(cls=CliCommand)
@click.argument("hosts", nargs=-1, metavar="[HOST|PATTERN]...")
@click.option("--diff/--no-diff", default=True, help="Show what would change inside files.")
def plan(output: Output, repo: ConfigRepo, hosts: Sequence[str], diff: bool) -> Reply:
    """Show what would change on this host now; exit 10 when something would.

    With hosts of the inventory, over SSH: what the config repo as it lies here, committed or not, would change there.
    """
    if hosts:
        from agent.cli.previews import show_previews

        return show_previews(output, repo, hosts, diff=diff)
    from agent.cli.host_plan import planned, show

    return show(output, planned(), diff=diff, calm="in sync with commit")
