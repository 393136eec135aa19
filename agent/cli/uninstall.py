"""uninstall: takes the agent off a host. What it configured stays as it is."""

from __future__ import annotations

from collections.abc import Callable

from agent.host import installation
from agent.host.lock import locked
from agent.host.paths import Paths
from agent.system.systemd import booted

LOCK_WAIT_S = 600.0
"""A cycle that somebody started by hand may be at work."""


def uninstall(paths: Paths, *, keep: bool, talk: Callable[[str], None]) -> list[str]:
    """Stops the services and removes the agent; with ``keep`` settings and memory stay.

    Returns what could not be done, one line each; running it again tries that again. Raises LockedError when a cycle
    that is no service does not end in time.
    """
    left: list[str] = []
    if booted():
        talk("stopping the services; a cycle finishes the operation it is in")
        left += installation.stop_units(paths)
    with locked(paths.lock, wait_s=LOCK_WAIT_S):
        if paths.origin.is_dir() and not keep:
            talk(f"the repository {paths.origin} goes too; clones of it do not")
        left += installation.remove(paths, keep=keep)
    if booted():
        left += installation.forget_units()
    if keep:
        talk(f"kept {paths.etc} and {paths.var}: bootstrap.sh takes them up again")
    if not left:
        talk("the agent is gone; what it configured, and the packages it needed, stay as they are")
    return left
