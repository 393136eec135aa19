"""schema: the JSON Schemas of hostwright's files, for editors and programs."""

from __future__ import annotations

import click

from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output, json_text
from agent.inventory.schema import SCHEMAS
from agent.inventory.schema import schema as schema_of


@click.command(cls=CliCommand)
@click.argument("name", required=False, type=click.Choice(SCHEMAS))
def schema(output: Output, name: str | None) -> Reply:
    """Print the JSON Schemas, by name: of files, the report, and what policies are told. Or one of them."""
    document = schema_of(name) if name is not None else {each: schema_of(each) for each in SCHEMAS}
    output.show(*json_text(document, indent=2).split("\n"))
    return Reply(document)
