"""identity: the lines that go into the config repo to admit this host."""

from __future__ import annotations

import click

from agent.cli.arguments import pass_output, require_root
from agent.cli.output import Output
from agent.host.identity import public_lines
from agent.host.paths import Paths
from agent.host.settings import read as read_settings


@click.command()
@pass_output
def identity(output: Output) -> int:
    """Print the public keys that admit this host to its fleet."""
    require_root()
    settings = read_settings(Paths())
    ssh, age = public_lines(Paths().identity, settings.host)
    output.show(f"{ssh}\n{age}")
    output.say(f"merge them as inventories/{settings.inventory}/identities/{settings.host}.pub to admit this host")
    output.envelope("identity", 0, {"host": settings.host, "ssh": ssh, "age": age})
    return 0
