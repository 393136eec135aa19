"""Which number a new account or group gets: none that owns what an earlier one left behind.

useradd(8) gives the number of the account that was deleted last to the next one, and with it that one's home and keys.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.deploys.users.accounts import Accounts, is_system_id
from agent.deploys.users.departed import Departed
from agent.system.files import read_bounded

HOMES = Path("/home")

_LOGIN_DEFS = Path("/etc/login.defs")
_SETTING = re.compile(r"^\s*(\w+)\s+(\d+)\s*$", re.MULTILINE)
_DEFAULTS = {
    "UID_MIN": 1000,
    "UID_MAX": 60000,
    "SYS_UID_MIN": 100,
    "SYS_UID_MAX": 999,
    "GID_MIN": 1000,
    "GID_MAX": 60000,
    "SYS_GID_MIN": 100,
    "SYS_GID_MAX": 999,
}
"""login.defs(5), where it is silent."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Numbers that nobody has any more. ``homes``: by number, a home that it owns. ``others`` may own files anywhere:
    a group's, those of accounts without a home."""

    homes: Mapping[int, str] = field(default_factory=dict)
    others: Collection[int] = ()

    def __bool__(self) -> bool:
        return bool(self.homes or self.others)

    def number(self, taken: Collection[int], *, system: bool, kind: str = "UID") -> int | None:
        """A number that nobody has or had; None where whoever makes the account may choose."""
        if not self:
            return None
        limits = _limits()
        prefix = "SYS_" if system else ""
        low, high = limits[f"{prefix}{kind}_MIN"], limits[f"{prefix}{kind}_MAX"]
        used = {*taken, *self.homes, *self.others}
        if system:
            return next((number for number in range(high, low - 1, -1) if number not in used), None)
        above = max((number for number in used if low <= number <= high), default=low - 1) + 1
        candidates = (*range(above, high + 1), *range(low, high + 1)) if above <= high else range(low, high + 1)
        return next((number for number in candidates if number not in used), None)


def kept(found: Accounts, departed: Collection[Departed], groups: Mapping[str, int], homes: Path = HOMES) -> Kept:
    """``departed`` and ``groups``: accounts and groups that the agent deleted. The owners of what lies in ``homes``
    count too, whoever deleted their accounts."""
    uids = {person.uid for person in found.people.values()}
    gids = {group.gid for group in found.groups.values()}
    owners: dict[int, str] = {}
    left: set[int] = {gid for name, gid in groups.items() if name not in found.groups and gid not in gids}
    left |= {entry.uid for entry in departed} - uids | {entry.gid for entry in departed} - gids
    paths = [*(entry.home for entry in departed), *_folders(homes)]
    for path in paths:
        status = _folder(path)
        if status is not None and status.st_uid not in uids and status.st_uid != 0:
            owners.setdefault(status.st_uid, path)
        if status is not None and status.st_gid not in gids:
            left.add(status.st_gid)
    return Kept(owners, frozenset(left))


def home_of_another(found: Accounts, name: str, uid: int, home: str) -> str:
    """Whose the home is, where it is somebody else's than the account's; empty where it is its own, is not there, or is
    shared on purpose: with root, a system account, or another account of the same home."""
    status = _folder(home)
    if status is None or status.st_uid in (uid, 0) or is_system_id(uid):
        return ""
    owner = next((person for person in found.people.values() if person.uid == status.st_uid), None)
    if owner is not None and (owner.is_system or owner.home == home):
        return ""
    whose = f"uid {status.st_uid}, which nobody has" if owner is None else f"{owner.name} (uid {owner.uid})"
    return f"{name}: its home {home} belongs to {whose}, and not to uid {uid}"


def _folder(path: str) -> os.stat_result | None:
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISDIR(status.st_mode) else None


def _folders(homes: Path) -> list[str]:
    try:
        return sorted(f"{path}" for path in homes.iterdir())
    except OSError:
        return []


def _limits() -> dict[str, int]:
    try:
        text = read_bounded(_LOGIN_DEFS).decode(errors="replace")
    except OSError:
        text = ""
    said = {name: int(value) for name, value in _SETTING.findall(text) if name in _DEFAULTS}
    return {**_DEFAULTS, **said}
