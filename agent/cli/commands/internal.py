"""What the agent asks of itself, also of another version of itself: these names are a contract between versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

import click

from agent.cli.arguments import require_root
from agent.cli.commands.plan import planned
from agent.host import installation
from agent.host.paths import Paths


def self_check() -> int:
    """Whether this version can run here: everything that a cycle needs before it changes anything. What the plan holds
    is the host's own matter. The version before it asks this."""
    import_module("agent.daemon")
    planned()
    return 0


def units() -> int:
    """This version's unit files in place, after it was switched back to."""
    require_root()
    if installation.write_units(Paths()):
        installation.systemctl("daemon-reload")
    return 0


def webhook() -> int:
    """hostwright-webhook.service."""
    from agent.webhook import serve

    return serve(Paths())


COMMANDS: Mapping[str, Callable[[], int]] = {"self-check": self_check, "units": units, "webhook": webhook}


@click.command(hidden=True)
@click.argument("what", type=click.Choice(list(COMMANDS)))
def internal(what: str) -> int:
    """What the agent asks of itself."""
    return COMMANDS[what]()
