"""inventory: hosts, groups and variables, as Ansible reads the same files. It reads no other file of the inventory."""

from __future__ import annotations

import click

from agent.cli.config_repo import ConfigRepo
from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output, json_text
from agent.errors import UsageError
from agent.inventory.ansible.groups import ALL
from agent.inventory.ansible.inventory import read_inventory, require_names
from agent.inventory.complaint import Complaints
from agent.inventory.source import open_source
from agent.system.folder import FolderTree


@click.command(cls=CliCommand)
@click.option(
    "--list", "as_list", is_flag=True, help="All groups and hosts, as `ansible-inventory --list` prints them."
)
@click.option("--host", help="One host's variables, as `ansible-inventory --host` prints them.")
@click.option("--pattern", help="The hosts that a pattern matches, one a line.")
def inventory(output: Output, repo: ConfigRepo, as_list: bool, host: str | None, pattern: str | None) -> Reply:
    """Show who is in an inventory."""
    if sum((as_list, host is not None, pattern is not None)) > 1:
        raise UsageError("--list, --host and --pattern exclude each other")
    complaints = Complaints()
    who = read_inventory(open_source(FolderTree(repo.root), repo.one_inventory()), complaints)
    complaints.raise_if_any()
    if as_list or host is not None:
        document = who.as_list() if host is None else who.as_host(host)
        output.show(*json_text(document, indent=4, sort_keys=True).split("\n"))
        return Reply(document)
    hosts = who.match(pattern or ALL)
    require_names(pattern or ALL, [who])
    for name in hosts:
        output.show(name)
    return Reply(list(hosts))
