"""resume: this host may be touched again, and goes on to the newest commit."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from agent.cli.arguments import pass_output, require_root
from agent.cli.commands.suspend import report_soon
from agent.cli.output import Output
from agent.errors import SettingsError
from agent.host.paths import Paths
from agent.host.state import Memory


@click.command()
@pass_output
def resume(output: Output) -> int:
    """End what `suspend` or `apply --hold` began."""
    require_root()
    paths, now = Paths(), int(time.time())
    memory = Memory(paths)
    was = _said(lambda: memory.suspension(now))
    stayed = _said(lambda: memory.pinned(now))
    memory.keep_suspension(None)
    memory.keep_pinned(None)
    if stayed:
        output.say("resumed: the next cycle goes on to the newest commit")
    else:
        output.say("resumed: the next cycle applies again" if was else "this host was not suspended")
    report_soon(paths)
    output.envelope("resume", 0, {"was_suspended": was, "was_held": stayed})
    return 0


def _said(read: Callable[[], object]) -> bool:
    try:
        return read() is not None
    except SettingsError:
        # Nobody can read what was said any more, and now it does not matter.
        return True
