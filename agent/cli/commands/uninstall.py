"""uninstall: the giving back of a host as it was before the agent, and the removal of the agent."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field

import click

from agent import wiring
from agent.cli.giving_back import complaints, counts, give_back, plan_uninstall, stays
from agent.cli.invocation import CliCommand, Reply, require_root
from agent.cli.output import Output
from agent.deploys.packages.apt import environment
from agent.deploys.packages.package import require_manager
from agent.domain.ownership import BOOTSTRAP, LedgerEntry, Origin
from agent.domain.text import plural
from agent.errors import DeployError, Exit, HostwrightError, LockedError, SettingsError
from agent.host import installation
from agent.host.ledger import Ledger
from agent.host.lock import locked
from agent.host.paths import Paths
from agent.host.settings import read as read_settings
from agent.host.state import Memory
from agent.remotes import mirror_of_host
from agent.system.systemd import booted

LOCK_WAIT_S = 600.0
"""Seconds to wait for a cycle that somebody started by hand, or for bootstrap.sh."""

_Talk = Callable[[str], None]


@dataclass(slots=True)
class Gone:
    """The result of uninstalling. ``failed``: a line for each thing that could not be done. ``stayed``: a line for each
    thing that stays by rule. ``last``: the command that ``exec_last`` has still to run; it removes the packages that
    this program needs, ``own`` in number."""

    failed: list[str] = field(default_factory=list)
    stayed: list[str] = field(default_factory=list)
    last: Sequence[str] = ()
    own: int = 0


@click.command(cls=CliCommand)
@click.option("--keep", is_flag=True, help="Take only the agent off: what it configured stays, and its memory too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def uninstall(output: Output, keep: bool, yes: bool) -> Reply | int:
    """Give this host back as it was, and take the agent off it.

    What the agent created goes, what it adopted becomes again what it was, in the end the packages go that
    bootstrap.sh brought. What somebody changed since stays and is listed, and so do homes and folders with something
    in them. On a terminal it says what it will do and asks.
    """
    require_root()
    paths = Paths()
    if sys.stdin.isatty() and not yes and not output.as_json and not agreed(paths, output, keep=keep):
        output.say("nothing was changed")
        return Exit.INTERRUPTED
    with _no_bootstrap(paths) as lock:
        return _uninstall(output, paths, lock, keep=keep)


@contextmanager
def _no_bootstrap(paths: Paths) -> Iterator[int]:
    """Hold the lock of bootstrap.sh, so that it installs nothing now, and yield its descriptor. Raises LockedError."""
    with ExitStack() as held:
        try:
            lock = held.enter_context(locked(paths.bootstrap_lock, wait_s=LOCK_WAIT_S))
        except LockedError as error:
            raise LockedError("bootstrap.sh is at work on this host", hint="wait until it has ended") from error
        yield lock


def _uninstall(output: Output, paths: Paths, lock: int, *, keep: bool) -> Reply:
    gone = take_off(paths, keep=keep, talk=output.say)
    for line in gone.stayed:
        output.say(f"stays   {line}")
    for line in gone.failed:
        output.say(f"failed  {line}")
    error = SettingsError(
        f"{len(gone.failed)} could not be given back or removed",
        hint="the lines above name them; see to them by hand",
    )
    data = {"stayed": gone.stayed, "failed": gone.failed}
    if gone.failed:
        output.problem(error)
    else:
        output.say("the agent is gone" if keep else "the host is given back and the agent is gone")
    reply = Reply(data, error.exit, [error]) if gone.failed else Reply(data)
    if gone.last:
        output.say(f"taking away {packages_told(gone.own)}, last")
        output.flush()
        os.set_inheritable(lock, True)
        failed = output.enveloped("uninstall", error.exit, data, error)
        fine = failed if gone.failed else output.enveloped("uninstall", Exit.FINE, data)
        exec_last(gone.last, reply.exit, fine, failed)
    return reply


def packages_told(number: int) -> str:
    return f"{number} {plural('package', number)} that the agent needed"


def agreed(paths: Paths, output: Output, *, keep: bool) -> bool:
    """Say what uninstalling would do, and ask. Return True for yes. No cycle can change the numbers meanwhile."""
    with locked(paths.lock, wait_s=LOCK_WAIT_S):
        if not keep:
            entries = Ledger(paths.ledger).entries()
            for line in counts(plan_uninstall(entry for entry in entries if not _is_own(entry))):
                output.say(line)
            with suppress(DeployError, OSError):  # uninstalling itself names the error
                own = [entry.name for entry in entries if _is_own(entry)]
                if going := len(own) - len(require_manager().removal_command(own)[1] if own else ()):
                    output.say(f"removed last: {packages_told(going)}")
        output.say("the agent itself is taken off" + (", and nothing else" if keep else ""))
        return output.ask("go on?")


def take_off(paths: Paths, *, keep: bool, talk: _Talk) -> Gone:
    """Stop the services, give back all things in the ledger, and remove the agent. With ``keep`` only the agent goes:
    the things that it configured stay, and so do settings, memory and ledger.

    A second run tries again what failed in the first. Raises LockedError if a cycle that was started by hand does not
    end in time.
    """
    gone = Gone()
    if booted():
        talk("stopping the services; a cycle finishes the operation it is in")
        gone.failed += installation.stop_units(paths)
    with locked(paths.lock, wait_s=LOCK_WAIT_S):
        gone.stayed += _withdraw(paths)
        remembered = False if keep else _give_back(paths, gone, talk)
        if paths.origin.is_dir() and not keep:
            talk(f"the repository {paths.origin} goes too; clones of it do not")
        gone.failed += installation.remove(paths, keep=keep, keep_ledger=remembered)
    if booted():
        gone.failed += installation.forget_units()
    if keep:
        talk(f"kept {paths.etc} and {paths.var}: bootstrap.sh takes them up again; what was configured stays")
    if remembered:
        talk(f"kept {paths.ledger}: it has what was there before what could not be given back")
    return gone


def _withdraw(paths: Paths) -> list[str]:
    """Take this host out of the views of its fleet. Return the reason if its report stays there."""
    if not (paths.settings.exists() and paths.sent.exists()):
        return []
    try:
        settings = read_settings(paths)
        with closing(mirror_of_host(paths, settings)) as mirror:
            wiring.reporter_of_host(paths, settings, mirror, Memory(paths)).withdraw()
    except (HostwrightError, OSError) as error:
        return [f"this host's report on the status branch: {error}"]
    return []


def _give_back(paths: Paths, gone: Gone, talk: _Talk) -> bool:
    """Give back all things in the ledger, and note in ``gone`` what failed and what stays. Return True if the ledger is
    still needed, because a thing could not be restored."""
    ledger = Ledger(paths.ledger)
    entries = ledger.entries()
    others = [entry for entry in entries if not _is_own(entry)]
    given = give_back(others, ledger, talk)
    done = [each for each in given.done if not each.reason]
    for line in counts(done):
        talk(line)
    gone.failed += complaints(given)
    gone.stayed += [*stays(given), *_beyond_it(Memory(paths))]
    damaged = ledger.damaged()
    gone.failed += [f"{paths.ledger}: {name} is damaged: nobody knows what was there before" for name in damaged]
    own = [entry.name for entry in entries if _is_own(entry)]
    try:
        gone.last, stayed = require_manager().removal_command(own) if own else ((), {})
    except (DeployError, OSError) as error:
        gone.failed.append(f"the packages that the agent needs: {error}")
    else:
        gone.stayed += [f"package:{name}: {reason}" for name, reason in stayed.items()]
        gone.own = len(own) - len(stayed)
    restored = {each.entry.key for each in done}
    return bool(damaged) or any(entry.origin is Origin.ADOPTED and entry.key not in restored for entry in others)


def _beyond_it(memory: Memory) -> list[str]:
    """Lines for the things that no ledger can give back: commands that ran, and scripts of on_remove that did not."""
    try:
        deploys = memory.applied().deploys
    except SettingsError:
        return ["what commands did stays: nobody can read any more which have run"]
    lines = [f"{name}: its on_remove was not run" for name, applied in deploys.items() if applied.on_remove is not None]
    commands = sum(key.startswith("command:") for applied in deploys.values() for key in applied.resources)
    return lines + [f"what {commands} {plural('command', commands)} did"] * bool(commands)


def _is_own(entry: LedgerEntry) -> bool:
    """True for a package that bootstrap.sh installed, which this very program needs."""
    return entry.deploy == BOOTSTRAP and entry.kind == "package"


_LAST = """\
code=$1 fine=$2 failed=$3
shift 3
if said=$("$@" 2>&1 </dev/null); then
    printf '%s' "$fine"
    exit "$code"
fi
why=$(printf '%s\\n' "$said" | tail -n 1 | tr -d '[:cntrl:]')
printf 'hostwright: the packages that it needed could not be removed: %s\\n' "$why" >&2
printf '  -> remove them by hand: %s\\n' "$*" >&2
printf '%s' "$failed"
exit 3
"""
"""A script of POSIX sh. Its arguments: the exit code and the stdout if the command succeeds, the stdout if it fails,
and the command."""


def exec_last(command: Sequence[str], code: int, fine: str, failed: str) -> None:
    """Become a shell that runs ``command``, which removes this program and its Python. ``code``, ``fine``: the exit
    code and the stdout if it succeeds. ``failed``: the stdout if it fails; the exit code is then 3."""
    argv = ["sh", "-c", _LAST, "sh", f"{code}", fine, failed, *command]
    os.execve("/bin/sh", argv, environment())  # noqa: S606 - the shell's script is a constant
