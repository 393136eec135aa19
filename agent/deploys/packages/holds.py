"""Which packages the agent itself told dpkg to hold.

dpkg does not say who asked for a hold. What Git held and holds no more is to be let go, what an administrator holds
is not, so the agent leaves a mark for each of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from agent.host.paths import Paths
from agent.system.files import make_private_folder, write_atomic

FOLDER = Paths().var / "holds"


def ours(folder: Path = FOLDER) -> frozenset[str]:
    """Names as the inventory wrote them. Raises OSError where nobody may look."""
    return frozenset(file.name for file in folder.iterdir()) if folder.is_dir() else frozenset()


def claim(names: Iterable[str], folder: Path = FOLDER) -> None:
    """To be called before the packages are held: a mark too many is harmless, one too few holds for ever."""
    make_private_folder(folder)
    for name in names:
        write_atomic(folder / name, b"", mode=0o600)


def disclaim(names: Collection[str], folder: Path = FOLDER) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
