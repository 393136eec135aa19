"""events: what happened on this host, with diffs."""

from __future__ import annotations

import dataclasses

import click

from agent.cli.arguments import pass_output, require_root
from agent.cli.output import Output
from agent.domain.event import Event
from agent.domain.text import SECOND, escaped, moment
from agent.host.events import Events
from agent.host.paths import Paths

DIFF_LINES = 20
"""Of a diff among events; a file that was created is no news line by line."""


@click.command()
@click.option("-n", "--count", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@pass_output
def events(output: Output, count: int) -> int:
    """Show what happened on this host, with diffs."""
    require_root()
    found = Events(Paths().events).last(count)
    if not found:
        output.say("nothing has happened on this host yet")
    for event in found:
        output.show(*event_lines(event, whole=output.verbose))
    output.envelope("events", 0, [dataclasses.asdict(event) for event in found])
    return 0


def event_lines(event: Event, *, whole: bool) -> list[str]:
    where = escaped(" ".join(part for part in (event.deploy, event.resource) if part))
    first, *more = event.message.splitlines() or [""]
    head = f"{moment(event.at, SECOND)}  {event.kind:<20} {where + ': ' if where else ''}{first}"
    lines = [*more, *(event.diff or "").splitlines()]
    if len(lines) > DIFF_LINES and not whole:
        lines = [*lines[:DIFF_LINES], f"… {len(lines) - DIFF_LINES} more lines: hostwright -v events"]
    return [head, *(f"    {line}" for line in lines)]
