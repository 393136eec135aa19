"""The command line: arguments in, text and exit codes out. Each command is a plain function in a module beside this
one; here it only gets its name, its options and its help."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from agent import __version__
from agent.cli.output import Output, bug, error_document
from agent.cli.sections import SECTIONS, Sections
from agent.domain.commit import TrustMode
from agent.errors import Exit, HostwrightError, UsageError, host_io_error
from agent.system.log import log_to_stderr

__all__ = ["SECTIONS", "cli", "run"]


@click.group(
    cls=Sections,
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
    """Turns a Linux machine into what a Git repository says it is, and keeps it so."""
    ctx.obj = {"output": Output(as_json, verbose), "repo": repo, "inventory": inventory_name}


@cli.command()
@click.pass_obj
def daemon(obj: dict[str, Any]) -> int:
    """Watch the repository and this host, and start cycles. This is hostwright.service."""
    from agent.daemon import serve
    from agent.host.paths import Paths

    del obj
    return serve(Paths())


@cli.command()
@click.pass_obj
def cycle(obj: dict[str, Any]) -> int:
    """Run one cycle as the daemon does: failed deploys wait for their next try."""
    from agent.cli.host import cycle as run_cycle

    return run_cycle(obj["output"])


@cli.command()
@click.option("--no-wait", is_flag=True, help="Exit with 75 at once when another cycle is running.")
@click.option("--commit", metavar="SHA", help="Go to this commit, which must be in the history of the newest one.")
@click.option("--hold", is_flag=True, help="Stay on that commit until `resume`, repairing drift.")
@click.option("--for", "duration", metavar="DURATION", help="Hold for so long (30m, 4h, 2d).")
@click.pass_obj
def apply(obj: dict[str, Any], no_wait: bool, commit: str | None, hold: bool, duration: str | None) -> int:
    """Fetch, plan and apply now, with progress; failed deploys are tried again. A commit that is named waits for no
    window."""
    from agent.cli.host import apply as run_apply

    return run_apply(obj["output"], wait=not no_wait, commit=commit, stay=hold, duration=duration)


@cli.command()
@click.option("--diff/--no-diff", default=True, help="Show what would change inside files.")
@click.pass_obj
def plan(obj: dict[str, Any], diff: bool) -> int:
    """Show what would change on this host now; exit 10 when something would."""
    from agent.cli.host import plan as run_plan

    return run_plan(obj["output"], diff=diff)


@cli.command()
@click.option("--diff/--no-diff", default=True, help="Show what was changed inside files.")
@click.pass_obj
def drift(obj: dict[str, Any], diff: bool) -> int:
    """Show what was changed on this host and not in Git; exit 10 when something was."""
    from agent.cli.host import drift as run_drift

    return run_drift(obj["output"], diff=diff)


@cli.command()
@click.option("-n", "--count", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@click.pass_obj
def events(obj: dict[str, Any], count: int) -> int:
    """Show what happened on this host, with diffs."""
    from agent.cli.events import events as run_events

    return run_events(obj["output"], count=count)


@cli.command()
@click.option("--wait", is_flag=True, help="Wait for the cycle to end and exit with its code.")
@click.pass_obj
def trigger(obj: dict[str, Any], wait: bool) -> int:
    """Ask the daemon for a cycle now; unlike with `apply`, failed deploys wait for their next try."""
    from agent.cli.trigger import trigger as run_trigger

    return run_trigger(obj["output"], wait=wait)


@cli.command()
@click.argument("reason")
@click.option("--for", "duration", metavar="DURATION", help="For how long (30m, 4h, 2d); without it until `resume`.")
@click.pass_obj
def suspend(obj: dict[str, Any], reason: str, duration: str | None) -> int:
    """Touch nothing on this host until `resume`; go on looking and reporting."""
    from agent.cli.suspend import suspend as run_suspend

    return run_suspend(obj["output"], reason=reason, duration=duration)


@cli.command()
@click.pass_obj
def resume(obj: dict[str, Any]) -> int:
    """End what `suspend` or `apply --hold` began."""
    from agent.cli.suspend import resume as run_resume

    return run_resume(obj["output"])


@cli.command()
@click.pass_obj
def doctor(obj: dict[str, Any]) -> int:
    """Check this host's installation, one line a check; exit 3 when one fails."""
    from agent.cli.doctor.checks import doctor as run_doctor

    return run_doctor(obj["output"])


@cli.group(invoke_without_command=True)
@click.pass_context
def trust(ctx: click.Context) -> int:
    """Show whom this host trusts, and the commit that it trusted last."""
    if ctx.invoked_subcommand is not None:
        return 0
    from agent.cli.trust import show

    return show(ctx.obj["output"])


@trust.command("show")
@click.pass_obj
def trust_show(obj: dict[str, Any]) -> int:
    """The same."""
    from agent.cli.trust import show

    return show(obj["output"])


@trust.command("reset")
@click.pass_obj
def trust_reset(obj: dict[str, Any]) -> int:
    """Forget the last trusted commit, after its history was rewritten on purpose."""
    from agent.cli.trust import reset

    return reset(obj["output"])


@cli.command()
@click.pass_obj
def identity(obj: dict[str, Any]) -> int:
    """Print the public key that admits this host to its fleet."""
    from agent.cli.trust import identity as run_identity

    return run_identity(obj["output"])


@cli.group(invoke_without_command=True)
@click.pass_context
def ledger(ctx: click.Context) -> int:
    """Show what of this host the agent created or adopted."""
    if ctx.invoked_subcommand is not None:
        return 0
    from agent.cli.ledger import show

    return show(ctx.obj["output"])


@ledger.command("show")
@click.pass_obj
def ledger_show(obj: dict[str, Any]) -> int:
    """The same."""
    from agent.cli.ledger import show

    return show(obj["output"])


@ledger.command("restore")
@click.argument("key")
@click.pass_obj
def ledger_restore(obj: dict[str, Any], key: str) -> int:
    """Give one thing back as it was: what was adopted gets its old state, what was created goes, changed since or not.

    What a deploy still wants would come back with the next cycle, so that is refused: take it out of Git first.
    While the host is suspended it is done all the same; the first cycle after `resume` brings it back.
    """
    from agent.cli.ledger import restore

    return restore(obj["output"], key)


@cli.command()
@click.option("--keep", is_flag=True, help="Take only the agent off: what it configured stays, and its memory too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def uninstall(obj: dict[str, Any], keep: bool, yes: bool) -> int:
    """Give this host back as it was, and take the agent off it.

    What the agent created goes, what it adopted becomes again what it was, in the end the packages go that
    bootstrap.sh brought. What somebody changed since stays and is listed, and so do homes and folders with something
    in them. On a terminal it says what it will do and asks.
    """
    from agent.cli.uninstall import uninstall as run_uninstall

    return run_uninstall(obj["output"], keep=keep, yes=yes)


@cli.command(hidden=True)
@click.option("--source", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--repo")
@click.option("--branch")
@click.option("--inventory")
@click.option("--host")
@click.option("--status-repo")
@click.option("--trust", type=click.Choice([mode.value for mode in TrustMode]))
@click.option("--trusted-signers", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--min-commit")
@click.option("--known-hosts", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--proxy")
@click.option("--ca", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--plan", is_flag=True)
@click.option("--once", is_flag=True)
@click.option("--renewed", is_flag=True)
@click.option("--packages-before", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.pass_obj
def setup(obj: dict[str, Any], /, trust: str | None, **given: Any) -> int:
    """The second half of bootstrap.sh, which runs it: `bootstrap.sh --help` explains the options."""
    from agent.cli import setup as second

    output, mode = obj["output"], TrustMode(trust) if trust is not None else None
    return second.setup(second.SetupOptions(trust=mode, verbose=output.verbose, **given), output.say)


@cli.command(hidden=True)
@click.argument("what", type=click.Choice(["self-check", "units", "webhook"]))
@click.pass_obj
def internal(obj: dict[str, Any], what: str) -> int:
    """What the agent asks of itself."""
    from agent.cli import internal as asked

    del obj
    return asked.COMMANDS[what]()


@cli.command()
@click.pass_obj
def check(obj: dict[str, Any]) -> int:
    """Check an inventory: every file, every host, all complaints at once."""
    from agent.cli.admin import check as run_check

    return run_check(obj["output"], repo=obj["repo"], inventory=obj["inventory"])


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--check", is_flag=True, help="Write nothing; exit 10 where lock.yaml is behind.")
@click.pass_obj
def lock(obj: dict[str, Any], names: tuple[str, ...], check: bool) -> int:
    """Pin what tools.yaml and site.yaml ask for in lock.yaml; with names only these, anew."""
    from agent.cli.lock import lock as run_lock

    return run_lock(obj["output"], repo=obj["repo"], inventory=obj["inventory"], names=names, check=check)


@cli.command()
@click.option(
    "--list", "as_list", is_flag=True, help="All groups and hosts, as `ansible-inventory --list` prints them."
)
@click.option("--host", help="One host's variables, as `ansible-inventory --host` prints them.")
@click.option("--pattern", help="The hosts that a pattern matches, one a line.")
@click.pass_obj
def inventory(obj: dict[str, Any], as_list: bool, host: str | None, pattern: str | None) -> int:
    """Show who is in an inventory."""
    from agent.cli.admin import inventory as run_inventory

    return run_inventory(
        obj["output"], repo=obj["repo"], inventory=obj["inventory"], as_list=as_list, host=host, pattern=pattern
    )


@cli.command()
@click.option("--remote", help="The remote that holds the branch `status` [this host's, or the repo's origin].")
@click.option("--all", "everything", is_flag=True, help="Also what is on the branch of hosts not in the inventory.")
@click.argument("hosts", nargs=-1)
@click.pass_obj
def status(obj: dict[str, Any], /, **given: Any) -> int:
    """Show what the hosts report, signatures verified."""
    from agent.cli.status import status as run_status

    return run_status(obj["output"], repo=obj["repo"], inventory=obj["inventory"], **given)


@cli.command()
@click.argument("name", type=click.Choice(["site", "fleet", "tools", "lock", "report"]))
@click.pass_obj
def schema(obj: dict[str, Any], name: str) -> int:
    """Print the JSON Schema of a file or of the report."""
    from agent.cli.admin import schema as run_schema

    return run_schema(obj["output"], name=name)


def run(arguments: Sequence[str], invoke: Callable[..., Any] = cli.main) -> int:
    """Runs one command; the only place where exceptions become exit codes."""
    output = Output(as_json="--json" in arguments)
    log_to_stderr(logging.WARNING)
    command = next((word for word in arguments if word in cli.commands), "hostwright")
    try:
        return int(invoke(args=list(arguments), prog_name="hostwright", standalone_mode=False) or 0)
    except HostwrightError as error:
        return output.failure(command, error)
    except click.ClickException as error:
        with io.StringIO() as told:
            error.show(told)
            output.say(told.getvalue().rstrip("\n"))
        output.envelope(command, int(Exit.USAGE), None, error_document(UsageError(error.format_message())))
        return int(Exit.USAGE)
    except (KeyboardInterrupt, click.Abort):
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        return int(Exit.FINE)
    except Exception as error:
        known = host_io_error(error) if isinstance(error, OSError) else bug(error, traceback.format_exc())
        return output.failure(command, known)
