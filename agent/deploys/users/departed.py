"""A record of each account that the agent locked or deleted, and of each group that it deleted: a file for each.

Nothing else on the host says which number a deleted account had, or how an account was before it was locked. A lost
file opens nothing to anybody: the owners of the folders in /home still count (``numbers``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.deploys.users.accounts import Person
from agent.domain import codec
from agent.host.paths import Paths
from agent.system.files import make_private_folder, read_bounded, write_atomic

FOLDER = Paths().var / "departed"
_USER, _GROUP = "user-", "group-"


@dataclass(frozen=True, slots=True)
class Departed:
    """An account as it was before the agent locked or deleted it. ``locked``: its password was locked already."""

    name: str
    uid: int
    gid: int
    home: str
    expires_day: int | None = None
    locked: bool = False


def account(name: str, folder: Path = FOLDER) -> Departed | None:
    """The record of one account; None where there is none, because it never departed or came back."""
    return _read(folder / f"{_USER}{name}")


def accounts(folder: Path = FOLDER) -> Iterator[Departed]:
    for path in sorted(folder.glob(f"{_USER}*")):
        if (found := _read(path)) is not None:
            yield found


def group_numbers(folder: Path = FOLDER) -> dict[str, int]:
    """The numbers that deleted groups had, by name. Files may still belong to these."""
    found = {}
    for path in sorted(folder.glob(f"{_GROUP}*")):
        try:
            found[path.name.removeprefix(_GROUP)] = int(read_bounded(path))
        except (OSError, ValueError):
            continue
    return found


def remember(person: Person, folder: Path = FOLDER) -> None:
    """Record the account as it is now. A record with the same uid stays: the agent may have locked the account since.
    Raises OSError."""
    known = account(person.name, folder)
    if known is not None and known.uid == person.uid:
        return
    entry = Departed(
        person.name, person.uid, person.gid, person.home, person.expires_day, person.password.startswith("!")
    )
    make_private_folder(folder)
    write_atomic(folder / f"{_USER}{person.name}", codec.encode(entry))


def remember_group(name: str, gid: int, folder: Path = FOLDER) -> None:
    make_private_folder(folder)
    write_atomic(folder / f"{_GROUP}{name}", f"{gid}\n".encode())


def forget(name: str, folder: Path = FOLDER) -> None:
    """Remove the record of an account that is back. Raises OSError."""
    (folder / f"{_USER}{name}").unlink(missing_ok=True)


def _read(path: Path) -> Departed | None:
    try:
        return codec.decode(read_bounded(path), Departed)
    except (OSError, ValueError):
        return None
