"""The first cycle of a host that has just been set up, and the closing words."""

from __future__ import annotations

import subprocess
import sys

from agent.cli.hostnames import own_names
from agent.cli.interrupts import Interrupted
from agent.domain.ownership import BOOTSTRAP
from agent.errors import Exit, SettingsError
from agent.host import installation
from agent.host.ledger import Ledger
from agent.host.paths import Paths
from agent.host.settings import Settings
from agent.host.state import Memory
from agent.host.undo import Undo
from agent.system.remote import without_password
from agent.system.systemd import DAEMON_UNIT

FIRST_CYCLE_TIMEOUT_S = 4 * 3600.0
"""Seconds. A person who watches the cycle can stop it earlier; this ends one that nobody watches."""


def run_first_cycle(paths: Paths, kept: Undo, *, service: bool, restart: bool) -> int:
    """Run the first cycle, start the service, and return the exit code of that cycle.

    If this is cut off after the cycle has changed something, ``kept`` keeps the agent, which can give that back. If it
    is cut off before, ``kept`` takes everything back.
    """
    with Undo() as enabled:
        try:
            # Enabled before the first cycle, so that the host goes on by itself if a reboot cuts the cycle short.
            if service and installation.enable():
                enabled.callback(installation.stop_units, paths)
            code = run_agent("apply")
            if service:
                installation.systemctl("restart" if restart else "start", DAEMON_UNIT)
        except BaseException:
            if any(entry.deploy != BOOTSTRAP for entry in Ledger(paths.ledger).entries()):
                kept.keep()
            raise
        enabled.keep()
    return code


def run_agent(command: str, *, verbose: bool = False) -> int:
    """Run a command of hostwright in a process of its own, with this process's stdout and stderr. Return its exit code.
    Raises SettingsError if it does not end within FIRST_CYCLE_TIMEOUT_S, Interrupted."""
    argv = (sys.executable, "-I", "-m", "agent", *(["--verbose"] if verbose else []), command)
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as child:
        try:
            return child.wait(FIRST_CYCLE_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            child.kill()
            raise SettingsError(f"`hostwright {command}` did not end", hint="look at `hostwright events`") from error
        except Interrupted:
            child.terminate()  # it finishes the operation it is in
            try:
                child.wait(installation.STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()
            raise


def followed(settings: Settings) -> str:
    return f"{settings.branch} of {without_password(settings.remote)}"


def closing_words(settings: Settings, paths: Paths, code: int, *, service: bool, once: bool) -> list[str]:
    """The last lines of bootstrap.sh: what was done, where the status is, what to do next."""
    lines = ["" if code == Exit.FINE else f"the first cycle ended with exit code {code}: see above"]
    if service:
        lines.append(f"running     {DAEMON_UNIT} keeps this host so (journalctl -fu hostwright)")
    elif once:
        lines.append("not running no service was installed (--once); what is pushed later waits for: hostwright apply")
    else:
        lines.append("not running there is no systemd here; to keep this host so, let your init run: hostwright daemon")
    reports_to = settings.reports_to(Memory(paths).state().fleet)
    lines.append(f"status      hostwright status; branch status of {without_password(reports_to)}")
    if paths.motd.is_file():
        lines.append(f"admission   {paths.motd.read_text().strip()}")
    if once:
        pass  # nothing follows by itself
    elif settings.remote == str(paths.origin):
        lines += [
            f"next        push to it: git push root@{own_names()[0]}:{paths.origin} {settings.branch}",
            "            or commit in the clone and run bootstrap.sh again",
        ]
    else:
        lines.append(f"next        push to {followed(settings)}; hostwright trigger does not wait for the clock")
    lines.append("remove      hostwright uninstall")
    return lines[code == Exit.FINE :]
