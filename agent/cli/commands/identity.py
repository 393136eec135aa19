"""identity: the line that goes into the config repo to admit this host."""

from __future__ import annotations

import click

from agent.cli.arguments import pass_output, require_root
from agent.cli.output import Output
from agent.host.identity import Identity
from agent.host.paths import Paths
from agent.host.settings import read as read_settings


@click.command()
@pass_output
def identity(output: Output) -> int:
    """Print the public key that admits this host to its fleet."""
    require_root()
    settings = read_settings(Paths())
    line = Identity.load(Paths().identity, settings.host).public_line
    output.show(line)
    output.say(f"merge it as inventories/{settings.inventory}/identities/{settings.host}.pub to admit this host")
    output.envelope("identity", 0, {"host": settings.host, "ssh": line})
    return 0
