"""How the help lists the commands, and where on the command line their common options may stand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import click

HOST = "On a host"
ADMIN = "For administrators"

SECTIONS = {
    HOST: (
        *("apply", "plan", "drift", "events", "trigger", "suspend", "resume", "doctor"),
        *("ledger", "trust", "identity", "cycle", "daemon", "uninstall"),
    ),
    ADMIN: ("check", "lock", "inventory", "status", "schema"),
}


SETUP = "setup"
"""It has options of its own by these names."""

EVERYWHERE = {"--json": False, "-v": False, "--verbose": False, "--repo": True, "--inventory": True}
"""The options of every command, and whether each takes a value."""


class Sections(click.Group):
    """A group whose help lists its commands by who uses them, and whose own options may stand behind them too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        command = next((word for word in args if word in self.commands), None)
        return super().parse_args(ctx, args if command == SETUP else _to_the_front(args))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        for title, names in SECTIONS.items():
            rows = [(name, self.commands[name].get_short_help_str(80)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)


def _to_the_front(arguments: Sequence[str]) -> list[str]:
    """``plan --json`` as ``--json plan``: people write an option where they think of it."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, _ = word.partition("=")
        if word == "--":
            rest += [word, *words]
        elif name not in EVERYWHERE:
            rest.append(word)
        else:
            front += [word, *(islice(words, 1) if EVERYWHERE[name] and not equals else ())]
    return [*front, *rest]
