"""resume: the end of a suspension, and of a stay on a commit."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from agent.cli.commands.suspend import report_soon
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.errors import SettingsError
from agent.host.paths import Paths
from agent.host.state import Memory


@click.command(cls=CliCommand)
def resume(output: Output, paths: Paths) -> Reply:
    """End what `suspend` or `apply --hold` began."""
    memory, now = Memory(paths), int(time.time())
    was = _said(lambda: memory.suspension(now))
    stayed = _said(lambda: memory.pinned(now))
    memory.keep_suspension(None)
    memory.keep_pinned(None)
    if stayed:
        output.say("resumed: the next cycle goes on to the newest commit")
    else:
        output.say("resumed: the next cycle applies again" if was else "this host was not suspended")
    report_soon(paths)
    return Reply({"was_suspended": was, "was_held": stayed})


def _said(read: Callable[[], object]) -> bool:
    try:
        return read() is not None
    except SettingsError:
        # The document is damaged, which does not matter now: it is removed.
        return True
