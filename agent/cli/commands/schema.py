"""schema: the JSON Schemas of hostwright's files, for editors and programs."""

from __future__ import annotations

import click

from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output, json_text
from agent.inventory.schema import schema as schema_of


@click.command(cls=CliCommand)
@click.argument("name", type=click.Choice(["site", "fleet", "tools", "lock", "report", "policy"]))
def schema(output: Output, name: str) -> Reply:
    """Print the JSON Schema of a file, the report, or what policies are told."""
    document = schema_of(name)
    output.show(*json_text(document, indent=2).split("\n"))
    return Reply(document)
