"""trigger: a cycle now, and the reason for its exit code."""

from __future__ import annotations

import click

from agent.cli.invocation import CliCommand, Reply
from agent.cli.output import Output
from agent.control import trigger_cycle
from agent.errors import Exit, HostwrightError, SettingsError
from agent.host.paths import Paths
from agent.host.state import Memory
from agent.problems import ProblemKind

TRIGGER_WAIT_S = 4 * 3600.0


@click.command(cls=CliCommand)
@click.option("--wait", is_flag=True, help="Wait for the cycle to end and exit with its code.")
def trigger(output: Output, paths: Paths, wait: bool) -> Reply:
    """Ask the daemon for a cycle now; unlike with `apply`, failed deploys wait for their next try."""
    answer = trigger_cycle(paths.control, wait=wait, timeout_s=TRIGGER_WAIT_S if wait else 10.0)
    if answer.get("ok") is not True:
        raise SettingsError(f"the daemon refused: {answer.get('error', 'no reason given')}", kind=ProblemKind.NO_DAEMON)
    code = answer.get("exit", 0)
    if not isinstance(code, int):
        raise SettingsError("nobody can tell how the cycle ended", kind=ProblemKind.NO_DAEMON, hint="hostwright events")
    output.say(f"the cycle ended with exit code {code}" if wait else "the daemon will start a cycle now")
    error = _why(Memory(paths), code) if code else None
    if error is not None:
        output.problem(error)
    return Reply(answer, code, [error] if error is not None else ())


def _why(memory: Memory, code: int) -> HostwrightError:
    """The error behind the exit code of the last cycle. It names no reason if that cycle wrote none down."""
    state = memory.state()
    slug, message, hint = state.cause if state.exit == code else ("", "", "")
    if not message:
        message = "the cycle ended before it could write down why"
        hint = "`journalctl -u hostwright-cycle` has its last words"
    error = HostwrightError(message, kind=ProblemKind.read(slug), hint=hint)
    error.exit = Exit(code) if code in list(Exit) else Exit.BUG
    return error
