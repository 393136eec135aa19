"""suspend: hands off this host, until a time or until `resume`."""

from __future__ import annotations

import contextlib
import time

import click

from agent.cli.invocation import APPLY_WAIT_S, CliCommand, Reply, until
from agent.cli.output import Output
from agent.control import trigger_cycle
from agent.domain.memory import Suspension
from agent.domain.text import SECOND, moment
from agent.errors import SettingsError, UsageError
from agent.host.lock import locked
from agent.host.paths import Paths
from agent.host.settings import read
from agent.host.state import Memory


@click.command(cls=CliCommand)
@click.argument("reason")
@click.option("--for", "duration", metavar="DURATION", help="For how long (30m, 4h, 2d); without it until `resume`.")
def suspend(output: Output, paths: Paths, reason: str, duration: str | None) -> Reply:
    """Touch nothing on this host until `resume`; go on looking and reporting."""
    now = int(time.time())
    end = until(duration, now)
    if not reason.strip():
        raise UsageError("a suspension needs a reason", hint="hostwright suspend 'disk is being replaced' --for 4h")
    if not paths.settings.exists():
        read(paths)  # raises an error: nobody manages this machine
    Memory(paths).keep_suspension(Suspension(reason.strip(), now, end))
    # A cycle that has begun does not know of the suspension. After this wait, nothing touches the host any more.
    with locked(paths.lock, wait_s=APPLY_WAIT_S):
        pass
    ends = "until `hostwright resume`" if end is None else f"until {moment(end, SECOND)}"
    output.say(f"suspended {ends}: this host is looked at and reported, and not touched")
    report_soon(paths)
    return Reply({"reason": reason.strip(), "until": end})


def report_soon(paths: Paths) -> None:
    """Ask the daemon for a cycle, which reports the change now. Without a daemon the next cycle reports it."""
    with contextlib.suppress(SettingsError):
        trigger_cycle(paths.control, wait=False, timeout_s=10.0)
