"""Records of what the agent did to accounts and nothing else on the host tells, a file for each account or group.

``DEPARTED``: the accounts that the agent locked or deleted, as they were, and the numbers of groups that it deleted. A
lost file opens nothing to anybody: the owners of the folders in /home still count (``numbers``).

``MEMBERSHIPS``: the groups that the agent added an account to, one on each line. A membership that Git gave and gives
no more is taken away; one that an administrator gave stays. Where a file is lost, its memberships stay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.deploys.users.accounts import Person
from agent.domain import codec
from agent.host.paths import Paths
from agent.system.files import make_private_folder, read_bounded, write_atomic

DEPARTED = Paths().var / "departed"
MEMBERSHIPS = Paths().var / "memberships"
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


def departed_account(name: str, folder: Path = DEPARTED) -> Departed | None:
    """The record of one account; None where there is none, because it never departed or came back."""
    return _read(folder / f"{_USER}{name}")


def departed_accounts(folder: Path = DEPARTED) -> Iterator[Departed]:
    for path in sorted(folder.glob(f"{_USER}*")):
        if (found := _read(path)) is not None:
            yield found


def group_numbers(folder: Path = DEPARTED) -> dict[str, int]:
    """The numbers that deleted groups had, by name. Files may still belong to these."""
    found = {}
    for path in sorted(folder.glob(f"{_GROUP}*")):
        try:
            found[path.name.removeprefix(_GROUP)] = int(read_bounded(path))
        except (OSError, ValueError):
            continue
    return found


def remember_account(person: Person, folder: Path = DEPARTED) -> None:
    """Record the account as it is now. A record with the same uid stays: the agent may have locked the account since.
    Raises OSError."""
    known = departed_account(person.name, folder)
    if known is not None and known.uid == person.uid:
        return
    entry = Departed(
        person.name, person.uid, person.gid, person.home, person.expires_day, person.password.startswith("!")
    )
    make_private_folder(folder)
    write_atomic(folder / f"{_USER}{person.name}", codec.encode(entry))


def remember_group(name: str, gid: int, folder: Path = DEPARTED) -> None:
    make_private_folder(folder)
    write_atomic(folder / f"{_GROUP}{name}", f"{gid}\n".encode())


def forget_account(name: str, folder: Path = DEPARTED) -> None:
    """Remove the record of an account that is back. Raises OSError."""
    (folder / f"{_USER}{name}").unlink(missing_ok=True)


def _read(path: Path) -> Departed | None:
    try:
        return codec.decode(read_bounded(path), Departed)
    except (OSError, ValueError):
        return None


def given_groups(account: str, folder: Path = MEMBERSHIPS) -> frozenset[str]:
    """The groups that the agent added the account to. Raises OSError where the record cannot be read."""
    try:
        return frozenset(read_bounded(folder / account).decode(errors="replace").split())
    except FileNotFoundError:
        return frozenset()


def remember_groups(account: str, groups: Collection[str], folder: Path = MEMBERSHIPS) -> None:
    """Record these groups and no others. Call it before the account is added to them: a membership that is not recorded
    is never taken away. Raises OSError."""
    if groups:
        make_private_folder(folder)
        write_atomic(folder / account, "".join(f"{group}\n" for group in sorted(groups)).encode())
    else:
        (folder / account).unlink(missing_ok=True)
