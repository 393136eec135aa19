"""schema: JSON Schemas of our files, for editors and programs."""

from __future__ import annotations

import click

from agent.cli.arguments import pass_output
from agent.cli.output import Output, json_text
from agent.inventory.schema import schema as schema_of


@click.command()
@click.argument("name", type=click.Choice(["site", "fleet", "tools", "lock", "report", "policy"]))
@pass_output
def schema(output: Output, name: str) -> int:
    """Print the JSON Schema of a file, the report, or what policies are told."""
    document = schema_of(name)
    output.show(*json_text(document, indent=2).split("\n"))
    output.envelope("schema", 0, document)
    return 0
