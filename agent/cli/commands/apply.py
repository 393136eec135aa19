"""apply: a cycle for a person, with progress; the person may name the commit."""

from __future__ import annotations

import re
import time
from contextlib import closing

import click

from agent.cli.commands.cycle import one_cycle
from agent.cli.invocation import APPLY_WAIT_S, CliCommand, Reply, until
from agent.cli.output import Output
from agent.domain.account import Trigger
from agent.domain.memory import Pinned
from agent.errors import UsageError
from agent.host.paths import Paths
from agent.host.settings import read as read_settings
from agent.parts import Named
from agent.remotes import mirror_of_host


@click.command(cls=CliCommand)
@click.option("--no-wait", is_flag=True, help="Exit with 75 at once when another cycle is running.")
@click.option("--commit", metavar="SHA", help="Go to this commit, which must be in the history of the newest one.")
@click.option("--hold", is_flag=True, help="Stay on that commit until `resume`, repairing drift.")
@click.option("--for", "duration", metavar="DURATION", help="Hold for so long (30m, 4h, 2d).")
def apply(output: Output, no_wait: bool, commit: str | None, hold: bool, duration: str | None) -> Reply:
    """Fetch, plan and apply now, with progress; failed deploys are tried again. A commit that is named waits for no
    window."""
    named = None
    if commit is not None:
        now = int(time.time())
        named = Named(Pinned(_in_full(commit), now, until(duration, now)), hold)
    elif hold:
        raise UsageError("--hold needs to know where", hint="hostwright apply --commit SHA --hold")
    if duration is not None and not hold:
        raise UsageError("--for says how long to hold", hint="hostwright apply --commit SHA --hold --for 4h")
    return one_cycle(output, Trigger.PERSON, wait_s=0 if no_wait else APPLY_WAIT_S, named=named)


def _in_full(commit: str) -> str:
    """The 40 hex digits of the commit that ``commit``, seven digits or more, begins. Raises UsageError."""
    if re.fullmatch("[0-9a-f]{40}", commit):
        return commit
    if not re.fullmatch("[0-9a-f]{7,39}", commit):
        raise UsageError(f"--commit {commit!r} is no commit", hint="give its first 7 hex digits or more")
    paths = Paths()
    with closing(mirror_of_host(paths, read_settings(paths))) as mirror:
        found = mirror.beginning(commit)
    if len(found) != 1:
        raise UsageError(
            f"{len(found) or 'no'} commits begin with {commit} on this host",
            hint="give all 40 hex digits: git rev-parse SHORT, in a clone",
        )
    return found[0]
