"""Numbers for new accounts and groups, which own nothing that an earlier account or group left behind.

useradd(8) gives a new account the number of the account that was deleted last, and with it that one's home and keys.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from agent.deploys.users import records
from agent.deploys.users.accounts import AccountFiles, is_system_id
from agent.deploys.users.wanted import WantedAccount, WantedGroup, WantedUsers
from agent.errors import Consequence, DeployError
from agent.system.files import read_bounded

HOMES = Path("/home")

_LOGIN_DEFS = Path("/etc/login.defs")
_SETTING = re.compile(r"^\s*(\w+)\s+(\d+)\s*$", re.MULTILINE)
_ORDINARY, _SYSTEM = (1000, 60000), (100, 999)
"""The first and the last number of accounts and groups, where login.defs(5) says none."""


class Numbering:
    """Numbers for the accounts and groups that one deploy makes. It gives no number that is taken, that the deploy
    wants elsewhere, or that owns what an earlier account or group left behind."""

    def __init__(self, found: AccountFiles, wanted: WantedUsers) -> None:
        self._found = found
        self._uids = {person.uid for person in found.people.values()}
        self._uids |= {account.uid for account in wanted.accounts.values() if account.uid is not None}
        self._taken = self._uids | {group.gid for group in found.groups.values()}
        self._taken |= {group.gid for group in wanted.groups.values() if group.gid is not None}

    def group(self, wanted: WantedGroup) -> WantedGroup:
        return replace(wanted, gid=self._next("GID", system=wanted.system)) if wanted.gid is None else wanted

    def account(self, name: str, wanted: WantedAccount) -> WantedAccount:
        """``wanted`` with a uid, if it has none: the one that the account had before it departed, if nobody has it now;
        else a new one, or None where useradd may choose. Raises DeployError where the uid owns somebody else's home."""
        before = records.departed_account(name)
        uid = wanted.uid
        # Only accounts are asked (not groups): a group may have had the same number all along.
        if uid is None and before is not None and before.uid not in self._uids:
            uid = before.uid if is_system_id(before.uid) or not wanted.system else None
        home = self._left_behind[0].get(uid) if uid is not None else None
        if home is not None and home not in (wanted.home or f"{HOMES}/{name}", before and before.home):
            raise DeployError(
                f"{name}: uid {uid} owns {home}, which somebody left behind",
                hint="give it another uid, or take that folder away on the host",
                consequence=Consequence.STALL,
            )
        uid = self._next("UID", system=wanted.system) if uid is None else uid
        if uid is not None:
            self._taken.add(uid)
            self._uids.add(uid)
        return replace(wanted, uid=uid)

    def _next(self, kind: str, *, system: bool) -> int | None:
        """A number that nobody has or had. None where nothing was left behind, so that useradd or groupadd may choose,
        and where no number is free."""
        homes, others = self._left_behind
        if not homes and not others:
            return None
        low, high = _limits(f"SYS_{kind}", _SYSTEM) if system else _limits(kind, _ORDINARY)
        used = {*self._taken, *homes, *others}
        above = max((number for number in used if low <= number <= high), default=low - 1) + 1
        candidates = range(high, low - 1, -1) if system else (*range(above, high + 1), *range(low, above))
        number = next((number for number in candidates if number not in used), None)
        self._taken |= {number} if number is not None else set()
        return number

    @cached_property
    def _left_behind(self) -> tuple[Mapping[int, str], Collection[int]]:
        """The numbers that no account or group has any more. First those that own a home, with its path; then others
        that may own files anywhere (of groups, of accounts without a home). The owners of the folders in ``HOMES``
        count, whoever deleted their accounts."""
        gone, groups = tuple(records.departed_accounts()), records.group_numbers()
        uids = {person.uid for person in self._found.people.values()}
        gids = {group.gid for group in self._found.groups.values()}
        others = {gid for name, gid in groups.items() if name not in self._found.groups} - gids
        others |= {entry.uid for entry in gone} - uids | {entry.gid for entry in gone} - gids
        owners: dict[int, str] = {}
        homes = [entry.home for entry in gone]
        with suppress(OSError):
            homes += sorted(map(str, HOMES.iterdir()))
        for path in homes:
            status = _folder(path)
            if status is not None and status.st_uid not in {*uids, 0}:
                owners.setdefault(status.st_uid, path)
            if status is not None and status.st_gid not in gids:
                others.add(status.st_gid)
        return owners, others


def require_own_home(found: AccountFiles, name: str, wanted: WantedAccount) -> None:
    """Raise DeployError if the home that an account has, or is to have, belongs to somebody else. Root, a system
    account or another account with the same home may own it: they share it on purpose."""
    person = found.people.get(name)
    uid = wanted.uid if person is None else person.uid
    home = (wanted.home or f"{HOMES}/{name}") if person is None else person.home
    status = _folder(home)
    if uid is None or wanted.system or is_system_id(uid) or status is None or status.st_uid in (uid, 0):
        return
    owner = next((other for other in found.people.values() if other.uid == status.st_uid), None)
    if owner is not None and (owner.is_system or owner.home == home):
        return
    whose = f"uid {status.st_uid}, which nobody has" if owner is None else f"{owner.name} (uid {owner.uid})"
    raise DeployError(
        f"{name}: its home {home} belongs to {whose}, and not to uid {uid}",
        hint=f"if it is theirs, `chown --recursive --from=UID {name}: {home}` on the host; else give it another home",
        consequence=Consequence.STALL,
    )


def _folder(path: str) -> os.stat_result | None:
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISDIR(status.st_mode) else None


def _limits(kind: str, default: tuple[int, int]) -> tuple[int, int]:
    """The first and the last number of a ``kind`` (UID, SYS_GID …, as login.defs(5) calls it); ``default`` where
    login.defs says none."""
    try:
        said = dict(_SETTING.findall(read_bounded(_LOGIN_DEFS).decode(errors="replace")))
    except OSError:
        said = {}
    return int(said.get(f"{kind}_MIN", default[0])), int(said.get(f"{kind}_MAX", default[1]))
