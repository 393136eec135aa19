"""A record of the groups that the agent added an account to: a file for each account, a group's name on each line.

Nothing else on the host says who made somebody a member. A membership that Git gave and gives no more is taken away;
one that an administrator gave stays. Where a file is lost, its memberships stay.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from agent.host.paths import Paths
from agent.system.files import make_private_folder, read_bounded, write_atomic

FOLDER = Paths().var / "memberships"


def given(account: str, folder: Path = FOLDER) -> frozenset[str]:
    """The groups that the agent added the account to. Raises OSError where the record cannot be read."""
    try:
        return frozenset(read_bounded(folder / account).decode(errors="replace").split())
    except FileNotFoundError:
        return frozenset()


def remember(account: str, groups: Collection[str], folder: Path = FOLDER) -> None:
    """Record these groups and no others. Call it before the account is added to them: a membership that is not recorded
    is never taken away. Raises OSError."""
    if groups:
        make_private_folder(folder)
        write_atomic(folder / account, "".join(f"{group}\n" for group in sorted(groups)).encode())
    else:
        (folder / account).unlink(missing_ok=True)
