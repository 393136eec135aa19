"""The table of commands: their names, the people who use them, a line about each. A command is loaded when it runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from itertools import islice
from typing import Any

import click

HOST = "On a host"
ADMIN = "For administrators"

SECTIONS = {
    HOST: {
        "apply": "Fetch, plan and apply now, with progress; failed deploys are tried again.",
        "plan": "Show what would change on this host now; exit 10 when something would.",
        "drift": "Show what was changed on this host and not in Git; exit 10 when something was.",
        "events": "Show what happened on this host, with diffs.",
        "trigger": "Ask the daemon for a cycle now; unlike with `apply`, failed deploys wait for their next try.",
        "suspend": "Touch nothing on this host until `resume`; go on looking and reporting.",
        "resume": "End what `suspend` or `apply --hold` began.",
        "doctor": "Check this host's installation, one line a check; exit 3 when one fails.",
        "ledger": "Show what of this host the agent created or adopted.",
        "trust": "Show whom this host trusts, and the commit that it trusted last.",
        "identity": "Print the public keys that admit this host to its fleet.",
        "cycle": "Run one cycle as the daemon does: failed deploys wait for their next try.",
        "daemon": "Watch the repository and this host, and start cycles. This is hostwright.service.",
        "uninstall": "Give this host back as it was, and take the agent off it.",
    },
    ADMIN: {
        "init": "Make a config repo in a new or empty folder.",
        "check": "Check an inventory: every file, every deploy of every host.",
        "diff": "Show what two commits want differently of each host; exit 10 when something differs.",
        "lock": "Pin what tools.yaml and site.yaml ask for in lock.yaml; with names only these, anew.",
        "secret": "Write and read the values that only some hosts and people can read.",
        "inventory": "Show who is in an inventory.",
        "enroll": "Make machines hosts of an inventory: over SSH, or by what a machine without a login boots with.",
        "admit": "Show which hosts ask to be admitted; with HOST, admit it.",
        "retire": "Take a host out of its fleet: give the machine back, remove report, identity and inventory line.",
        "status": "Show what the hosts report, signatures verified.",
        "schema": "Print the JSON Schemas, by name: of files, the report, and what policies are told. Or one of them.",
    },
}

SETUP = "setup"
"""The command whose own options have the names of common ones."""

HIDDEN = (SETUP, "internal")

EVERYWHERE = {
    "--json": False,
    "-v": False,
    "--verbose": False,
    "--version": False,
    "--repo": True,
    "--inventory": True,
}
"""The common options, which every command takes. True: it takes a value."""

_VERBOSE = re.compile("-v+")


def load_command(name: str) -> click.Command:
    """The command called ``name`` in the module ``agent.cli.commands.<name>``."""
    command: click.Command = getattr(import_module(f"agent.cli.commands.{name}"), name)
    return command


class CommandTable(click.Group):
    """A group of commands that loads only the one that runs. The common options may also stand behind the command."""

    def __init__(self, **more: Any) -> None:
        shown = [click.Command(name, help=line) for lines in SECTIONS.values() for name, line in lines.items()]
        hidden = [click.Command(name, hidden=True) for name in HIDDEN]
        super().__init__(commands=[*shown, *hidden], **more)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name is not None else None, rest

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if command_of(args) == SETUP:
            return super().parse_args(ctx, args)
        common, rest = _apart(args)
        if common and EVERYWHERE.get(last := common[-1]) and not ctx.resilient_parsing:
            raise click.BadOptionUsage(last, f"Option '{last}' requires an argument.", ctx)
        return super().parse_args(ctx, [*common, *rest])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        for title, names in SECTIONS.items():
            rows = [(name, self.commands[name].help or "") for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)


def command_of(arguments: Sequence[str]) -> str | None:
    """The command that ``arguments`` name: the first word that is no option and no value of a common one. None if there
    is none of this name."""
    word = next((word for word in _apart(arguments)[1] if not word.startswith("-")), None)
    return word if any(word in names for names in (*SECTIONS.values(), HIDDEN)) else None


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The common options with their values, and all other words."""
    common: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, _ = word.partition("=")
        if word == "--":
            rest += [word, *words]
        elif name not in EVERYWHERE and not _VERBOSE.fullmatch(word):
            rest.append(word)
        else:
            common += [word, *(islice(words, 1) if EVERYWHERE.get(name) and not equals else ())]
    return common, rest
