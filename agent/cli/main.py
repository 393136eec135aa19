"""The command line: common options in, exit codes out. The commands are in ``agent.cli.commands``, a module each."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from agent import __version__
from agent.cli.config_repo import ConfigRepo
from agent.cli.interrupts import Interrupted
from agent.cli.invocation import CONFIG_REPO, OUTPUT
from agent.cli.output import Output, bug
from agent.cli.table import CommandTable, command_of
from agent.errors import Exit, HostwrightError, SettingsError, UsageError, host_io_error
from agent.problems import ProblemKind
from agent.system.log import log_to_stderr


@click.group(
    cls=CommandTable,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The options above may stand behind a command too. "
    "Exit codes: 0 fine, 1 bug, 2 usage, 3 settings, 4 source, 5 trust, 6 inventory, 7 deploy failed, "
    "8 unhealthy, 9 report not sent, 10 changes wanted, 75 locked, 130 interrupted.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for programs.")
@click.option("--repo", type=click.Path(path_type=Path, file_okay=False), help="The config repo's folder [.].")
@click.option("--inventory", "inventory_name", help="The inventory in it, where there are several.")
@click.option("-v", "--verbose", is_flag=True, help="Say more on stderr.")
@click.version_option(__version__, prog_name="hostwright", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, as_json: bool, repo: Path | None, inventory_name: str | None, verbose: bool) -> None:
    """Turn a Linux machine into what a Git repository says it is, and keep it so."""
    ctx.meta[OUTPUT] = Output(as_json, verbose)
    ctx.meta[CONFIG_REPO] = ConfigRepo(repo, inventory_name)


def run(arguments: Sequence[str], invoke: Callable[..., Any] = cli.main) -> int:
    """Run one command and return its exit code; the only place where exceptions become exit codes."""
    output = Output(as_json="--json" in arguments)
    log_to_stderr(logging.WARNING)
    command = command_of(arguments) or "hostwright"
    try:
        with output.in_place_of_stdout():  # the help, and other text that click writes
            code = int(invoke(args=list(arguments), prog_name="hostwright", standalone_mode=False) or 0)
        output.flush()
        return code
    except HostwrightError as error:
        return output.failure(command, error)
    except click.ClickException as error:
        with io.StringIO() as told:
            error.show(told)
            for line in told.getvalue().splitlines():
                output.say(line)
        output.envelope(command, int(Exit.USAGE), None, UsageError(error.format_message()))
        return int(Exit.USAGE)
    except (KeyboardInterrupt, click.Abort):
        output.envelope(command, int(Exit.INTERRUPTED), None, Interrupted("interrupted"))
        return int(Exit.INTERRUPTED)
    except Exception as error:
        return output.failure(command, _as_told(error, command))


def _as_told(error: Exception, command: str) -> HostwrightError:
    """The error for people: a hint if a disk refuses or a library is not installed, else the report of a bug."""
    if isinstance(error, OSError):
        return host_io_error(error)
    library = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if library in ("", "agent"):
        return bug(error, traceback.format_exc())
    return SettingsError(
        f"`hostwright {command}` needs {library}, which is not installed here",
        kind=ProblemKind.LIBRARY_MISSING,
        hint="bootstrap.sh installs it on a host; to have it here, `pipx install './hostwright[host]'` beside a clone",
    )
