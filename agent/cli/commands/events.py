"""events: what happened on this host, with diffs."""

from __future__ import annotations

import dataclasses

import click

from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.domain.event import Event
from agent.domain.text import SECOND, escaped, moment
from agent.host.events import Events
from agent.host.paths import Paths

DIFF_LINES = 20
"""Lines that are shown of the diff of an event; all lines of a new file would hide the other events."""


@click.command(cls=CliCommand)
@click.option("-n", "--count", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
def events(output: Output, paths: Paths, count: int) -> Reply:
    """Show what happened on this host, with diffs."""
    found = Events(paths.events).last(count)
    if not found:
        output.say("nothing has happened on this host yet")
    for event in found:
        output.show(*event_lines(event, whole=output.verbose))
    return Reply([dataclasses.asdict(event) for event in found])


def event_lines(event: Event, *, whole: bool) -> list[str]:
    where = escaped(" ".join(part for part in (event.deploy, event.resource) if part))
    first, *more = event.message.splitlines() or [""]
    head = f"{moment(event.at, SECOND)}  {event.kind:<20} {where + ': ' if where else ''}{first}"
    lines = [*more, *(event.diff or "").splitlines()]
    if len(lines) > DIFF_LINES and not whole:
        lines = [*lines[:DIFF_LINES], f"… {len(lines) - DIFF_LINES} more lines: hostwright -v events"]
    return [head, *(f"    {line}" for line in lines)]
