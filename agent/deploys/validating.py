"""Asking a program if it would take a new file, before that replaces the old one."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Callable, Sequence
from functools import partial

from agent.deploys.items import Item
from agent.deploys.place import OpenPlace
from agent.deploys.telling import reason
from agent.errors import DeployError
from agent.problems import ProblemKind
from agent.system.process import run

PLACEHOLDER = "%s"
"""The word in the program's arguments that stands for the path of the new file."""

TIMEOUT_S = 30.0

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


def approval(at: OpenPlace, item: Item, mode: int) -> Callable[[str], None] | None:
    """The function that asks the program of ``item`` about a new file, by its temporary name in the same folder, and
    raises DeployError if the program refuses it. ``mode``: the mode that the file is to have. None if the item names no
    program."""
    if not item.validate:
        return None
    target = posixpath.join(at.base.path, at.path.lstrip("/"))
    return partial(_require_valid, item.validate, target, not mode & stat.S_IROTH)


def _require_valid(argv: Sequence[str], target: str, private: bool, temporary: str) -> None:
    """Raise DeployError if the program ``argv`` does not take the file ``temporary``, which is to become the ``target``
    beside it. The program runs without a shell, for TIMEOUT_S at most. Its output about a ``private`` file is not
    repeated: it may quote the file."""
    new = posixpath.join(posixpath.dirname(target), temporary)
    asked = [word.replace(PLACEHOLDER, new) for word in argv]
    by_hand = " ".join(word.replace(PLACEHOLDER, target) for word in argv)
    try:
        done = run(asked, timeout_s=TIMEOUT_S, env=_ENVIRONMENT)
    except OSError as error:
        raise DeployError(
            f"{target}: {argv[0]}, which `validate` names, cannot be run: {error.strerror or error}",
            hint="install it in a deploy before this one, or leave `validate` out",
            kind=ProblemKind.NO_VALIDATOR,
        ) from error
    if done.ok:
        return
    if done.timed_out:
        why = f"not done after {TIMEOUT_S:.0f} s"
    elif private:
        why = f"exit status {done.code}; what it says is not repeated, for others may not read the file"
    else:
        why = reason(done).replace(new, target)
    raise DeployError(
        f"{target}: {argv[0]} refuses the new content: {why}",
        hint=f"what was there stands; once it is corrected, `{by_hand}` says nothing against it",
        kind=ProblemKind.NOT_VALID,
    )
