"""internal: commands that the agent itself runs. Their names are a contract between its versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

import click

from agent.cli.host_plan import planned
from agent.cli.invocation import require_root
from agent.host import installation
from agent.host.paths import Paths


def self_check() -> int:
    """Do everything that a cycle does before it changes anything. The version before this one runs it to see that this
    version works here, whatever the plan holds."""
    import_module("agent.daemon")
    planned()
    return 0


def units() -> int:
    """Put this version's unit files in place, after a switch back to it."""
    require_root()
    if installation.write_units(Paths()):
        installation.systemctl("daemon-reload")
    return 0


def preview() -> int:
    """Plan the files that an administrator sends on stdin, for `hostwright plan HOST` at a desk."""
    from agent.cli.previews import answer

    require_root()
    return answer(Paths())


def webhook() -> int:
    """Run the webhook: hostwright-webhook.service."""
    from agent.webhook import serve

    return serve(Paths())


COMMANDS: Mapping[str, Callable[[], int]] = {
    "self-check": self_check,
    "preview": preview,
    "units": units,
    "webhook": webhook,
}


@click.command(hidden=True)
@click.argument("what", type=click.Choice(list(COMMANDS)))
def internal(what: str) -> int:
    """Run a command of the agent's own."""
    return COMMANDS[what]()
