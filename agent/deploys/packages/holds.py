"""A record of the packages that the agent itself told dpkg to hold: an empty file for each.

dpkg does not say who asked for a hold. A hold that Git wanted and wants no more is lifted; an administrator's is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from agent.host.paths import Paths
from agent.system.files import make_private_folder, write_atomic

FOLDER = Paths().var / "holds"


def ours(folder: Path = FOLDER) -> frozenset[str]:
    """The names of these packages, as the inventory wrote them. Raises OSError where the record cannot be read."""
    return frozenset(file.name for file in folder.iterdir()) if folder.is_dir() else frozenset()


def claim(names: Iterable[str], folder: Path = FOLDER) -> None:
    """Record that the agent holds these packages. Call it before they are held: one file too many is harmless, but a
    hold without a file is never lifted."""
    make_private_folder(folder)
    for name in names:
        write_atomic(folder / name, b"", mode=0o600)


def disclaim(names: Collection[str], folder: Path = FOLDER) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
