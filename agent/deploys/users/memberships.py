"""A record of the groups that the agent added an account to: a file for each account, a name on each line.

Nothing on the host says who made somebody a member. What Git gave and gives no more is to be taken away, what an
administrator gave is not. A file that is lost takes nothing away: its memberships stay.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from agent.host.paths import Paths
from agent.system.files import make_private_folder, read_bounded, write_atomic

FOLDER = Paths().var / "memberships"


def given(account: str, folder: Path = FOLDER) -> frozenset[str]:
    """Raises OSError where nobody may look."""
    try:
        return frozenset(read_bounded(folder / account).decode(errors="replace").split())
    except FileNotFoundError:
        return frozenset()


def remember(account: str, groups: Collection[str], folder: Path = FOLDER) -> None:
    """These and no others. To be called before the account is added to them: one too few would stay for ever."""
    if groups:
        make_private_folder(folder)
        write_atomic(folder / account, "".join(f"{group}\n" for group in sorted(groups)).encode())
    else:
        (folder / account).unlink(missing_ok=True)
