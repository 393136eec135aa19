"""The call of a command: the values that its function gets, and the reply that it returns."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.output import Output
from agent.domain.duration import seconds
from agent.errors import Exit, HostwrightError, UsageError, together
from agent.host.paths import Paths

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

OUTPUT = "agent.output"
CONFIG_REPO = "agent.config_repo"

FILE = click.Path(path_type=Path, dir_okay=False)
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
EXISTING_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)

APPLY_WAIT_S = 600.0
"""Seconds that a command waits for a running cycle: longer than most cycles take, shorter than a person's patience."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of a command: its data for programs, its exit code, and the errors behind that, which people have seen.
    ``more``: keys beside the data. ``command``: its name for programs; empty: its first word."""

    data: Any
    exit: int = Exit.FINE
    errors: Sequence[HostwrightError] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""


class CliCommand(click.Command):
    """A command whose function may have the parameters ``output`` (the Output), ``repo`` (the ConfigRepo), and
    ``paths`` (the Paths, for root alone), and gets those that it has. It returns a Reply, or just its exit code."""

    def invoke(self, ctx: click.Context) -> int:
        output: Output = ctx.meta[OUTPUT]
        given = {"output": lambda: output, "repo": lambda: ctx.meta[CONFIG_REPO], "paths": paths_of_root}
        named = signature(self.callback or dict).parameters
        ctx.params |= {name: give() for name, give in given.items() if name in named}
        reply: Reply | int = super().invoke(ctx)
        if not isinstance(reply, Reply):
            return reply
        command = reply.command or ctx.find_root().invoked_subcommand or ""
        error = together(reply.errors) if reply.errors else None
        output.envelope(command, int(reply.exit), reply.data, error, **reply.more)
        return int(reply.exit)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return _with_common_options(super().shell_complete(ctx, incomplete), ctx, incomplete)


class CliGroup(click.Group):
    """Commands about one thing. Without a word behind it, a group with ``invoke_without_command`` runs its ``show``."""

    command_class = CliCommand

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        shown = self.invoke_without_command and not ctx.resilient_parsing  # for completion nothing runs
        return super().parse_args(ctx, args or ["show"] * shown)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return _with_common_options(super().shell_complete(ctx, incomplete), ctx, incomplete)


def _with_common_options(found: list[CompletionItem], ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """``found``, and the common options, which may stand behind a command too."""
    root, known = ctx.find_root(), {item.value for item in found}
    common = click.Command.shell_complete(root.command, root, incomplete)
    return [*found, *(item for item in common if item.value not in known)]


def until(duration: str | None, now: int) -> int | None:
    """The end of ``duration``, such as ``4h``, from ``now`` on, both in seconds since the epoch; None if ``duration``
    is None. Raises UsageError."""
    try:
        return None if duration is None else now + seconds(duration)
    except ValueError as error:
        raise UsageError(f"--for: {error}") from error


def require_root() -> None:
    """Raise UsageError unless root calls."""
    if os.geteuid() != 0:
        raise UsageError("this command needs root", hint="run it with sudo")


def paths_of_root() -> Paths:
    """The paths of the agent's files on this host. Raises UsageError unless root calls."""
    require_root()
    return Paths()
