"""daemon: the clock of this host, for as long as it is up."""

from __future__ import annotations

import click

from agent.cli.invocation import CliCommand
from agent.daemon import serve
from agent.host.paths import Paths


@click.command(cls=CliCommand)
def daemon(paths: Paths) -> int:
    """Watch the repository and this host, and start cycles. This is hostwright.service."""
    return serve(paths)
