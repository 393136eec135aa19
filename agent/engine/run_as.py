"""The user that a command runs as: pyinfra's arguments for doas, dzdo, sudo and su, without switches from root to root.

The agent is root already. In a confined plan it is the user nobody, with root's right to read, and cannot switch to
any user.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from typing import Any

from agent.errors import DeployError

_ROOT = frozenset({None, "", "root", "0", "#0", 0})

# Outermost first, as pyinfra nests them: the switch, the argument for its user, and arguments that need the switch.
_SWITCHES = (
    ("_doas", "_doas_user", ()),
    ("_dzdo", "_dzdo_user", ()),
    ("_sudo", "_sudo_user", ("_use_sudo_login", "_sudo_password", "_preserve_sudo_env")),
    ("_su_user", "_su_user", ("_use_su_login", "_su_password", "_preserve_su_env", "_su_shell")),
)
_LOGINS = ("_use_sudo_login", "_use_su_login")


def as_root(arguments: dict[str, Any]) -> dict[str, Any]:
    """``arguments`` for a process that is root, without the switches to root that no switch to another user precedes. A
    login becomes a login shell in root's home, where no switch is left."""
    kept = dict(arguments)
    login = False
    for switch, user, with_it in _SWITCHES:
        if not kept.get(switch):
            continue
        if kept.get(user) not in _ROOT:
            break
        login = login or any(kept.get(name) for name in with_it if name in _LOGINS)
        for name in (switch, user, *with_it):
            kept.pop(name, None)
    else:
        if login:
            kept["_chdir"] = kept.get("_chdir") or pwd.getpwuid(0).pw_dir
            kept["_shell_executable"] = f"{kept.get('_shell_executable') or 'sh'} -l"
    return kept


def other_user(arguments: dict[str, Any]) -> str | None:
    """The first switch in ``arguments``, as ``_sudo_user="ann"``; None where there is none."""
    return next(
        (f'{user}="{arguments.get(user) or "root"}"' for switch, user, _ in _SWITCHES if arguments.get(switch)), None
    )


def running_as(make_command: Callable[..., Any], *, confined: bool) -> Callable[..., Any]:
    """pyinfra's ``make_unix_command_for_host`` for a process that is root, or is ``confined`` and can look like root.
    Confined, it raises DeployError for a switch to another user."""

    def made(state: Any, host: Any, command: Any, **arguments: Any) -> Any:
        if confined or os.geteuid() == 0:
            arguments = as_root(arguments)
        if confined and (whom := other_user(arguments)):
            raise DeployError(
                f"give this deploy `plan: privileged`: it looks as somebody else ({whom}), and a plan may only look,"
                " as nobody"
            )
        return make_command(state, host, command, **arguments)

    return made
