"""The kind ``user``: looking at accounts, removing them, and restoring them as they were.

A home always stays. The hash of the password is kept like the rest in the ledger, which only root can read: restoring
an account restores its password.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from agent.deploys.kind import Kind, ResourceState, state_before, state_left
from agent.deploys.users import access, accounts, records, ssh_folder, sudoers
from agent.deploys.users.accounts import AccountFiles, ShadowCommand, names_in, set_password
from agent.deploys.users.decide import account_difference
from agent.deploys.users.wanted import WantedAccount, day_named
from agent.domain.digest import JSON
from agent.domain.ownership import UNSEEN, LedgerEntry, Origin, Seen, unseen
from agent.errors import DeployError
from agent.system.safe_open import UnsafePath

_FIELDS = ("uid", "gid", "comment", "home", "shell", "password", "expires_day")
_MODES = ("keys_mode", "ssh_mode")


class User(Kind):
    """The kind ``user``. Its state: ``_FIELDS`` of passwd(5) and shadow(5); ``groups`` besides the primary one;
    ``sudo``, True where there is a drop-in of ours; ``ssh_mode``, the mode of ~/.ssh; ``keys_mode``, the mode of
    authorized_keys; ``keys``, the sha256 of its lines that are not the agent's, which the agent takes away itself
    (``UNSEEN`` where nobody may look). The image is the content of authorized_keys."""

    inert = True

    def look(self, name: str) -> Seen | None:
        found = accounts.read()
        person = found.people.get(name)
        if person is None:
            # An account of a directory service is in none of the files, and is never ours.
            return unseen("it comes from a directory service") if accounts.known_elsewhere(name) else None
        state: dict[str, JSON] = {field: getattr(person, field) for field in _FIELDS}
        state |= {"groups": sorted(found.groups_of(name)), "sudo": sudoers.is_there(name)}
        try:
            ssh = ssh_folder.ssh_folder(person.home)
        except UnsafePath:
            return Seen(state | {"keys": UNSEEN})
        image = ssh.file.content
        state["ssh_mode"] = ssh.folder.mode if ssh.folder.status is not None else None
        state["keys_mode"] = ssh.file.mode if ssh.file.status is not None else None
        theirs = ssh_folder.updated_keys(ssh.text, (), exclusive=False).encode(errors="surrogateescape")
        state["keys"] = hashlib.sha256(theirs).hexdigest() if image is not None else None
        return Seen(state, image)

    def changed(self, left: ResourceState, now: Seen) -> str:
        moved = [
            f"its {field} is {now.state.get(field)}, not {left[field]}"
            for field in ("uid", "home")
            if field in left and now.state.get(field) != left[field]
        ]
        return " and ".join(moved)

    def remove_one(self, entry: LedgerEntry) -> None:
        """Delete the account; its home stays. It loses sudo, keys, memberships and every way in at once, also where it
        has to stay until its last process has ended. Raises DeployError with why it has to stay."""
        if why := access.remove(entry.name):
            raise DeployError(why)
        sudoers.remove(entry.name)
        records.remember_groups(entry.name, ())

    def left_behind(self, entry: LedgerEntry) -> str:
        home = (entry.left or {}).get("home")
        return f"{home}: the home of {entry.name}" if home else ""

    def has_access(self, entry: LedgerEntry) -> bool:
        return access.has_access(accounts.read(), entry.name, leaves=_goes(entry))

    def revoke(self, entry: LedgerEntry) -> Sequence[str]:
        return access.revoke(entry.name, leaves=_goes(entry))

    def release(self, entry: LedgerEntry) -> None:
        """Remove the account's sudo, the memberships that the agent gave it, and the agent's block of keys. Raises
        DeployError."""
        if untaken := access.revoke(entry.name, leaves=False):
            raise DeployError("; ".join(untaken))

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        """Give the account back as it was before. Groups, a password and keys that somebody else gave it after the
        agent stay. Raises DeployError."""
        name, before, left = entry.name, state_before(entry), state_left(entry)
        if name not in accounts.read().people:
            if left is not None:
                return  # The agent left it there: somebody else took it away since, or a package did.
            _create(name, before)
        found = accounts.read()
        wanted = _as_before(found, name, before, left or {})
        difference = account_difference(found, name, wanted, groups={}, given=(), exists=os.path.exists)
        for command in difference.commands:
            command.run()
        password = found.people[name].password
        if before["password"] != password and (left or {}).get("password", password) == password:
            set_password(name, f"{before['password']}").run()
        records.remember_groups(name, ())
        if not before.get("sudo"):
            sudoers.remove(name)
        _give_back_keys(entry, image)
        if difference.refusals:
            raise difference.refusals[0]


def _goes(entry: LedgerEntry) -> bool:
    """True where the account itself is deleted with its entry."""
    return entry.owed or entry.origin is Origin.CREATED


def _create(name: str, before: ResourceState) -> None:
    """Make an account with its old numbers and the path of its old home, which is still there. Raises DeployError."""
    gid = before["gid"]
    if not any(group.gid == gid for group in accounts.read().groups.values()):
        ShadowCommand(("groupadd", f"--gid={gid}", "--", name)).run()
    options = [f"--uid={before['uid']}", f"--gid={gid}", f"--home-dir={before['home']}"]
    ShadowCommand(("useradd", "--no-create-home", "--no-user-group", *options, "--", name)).run()


def _as_before(found: AccountFiles, name: str, before: ResourceState, left: ResourceState) -> WantedAccount:
    """The account as it was before, with the groups that somebody else gave it since ``left``. Of a system account only
    shell and groups: the agent changes nothing else."""
    now, was = found.groups_of(name), set(names_in(before["groups"]))
    given = set(names_in(left.get("groups"))) if left else set(now)
    groups = tuple(sorted(((now - (given - was)) | was) & set(found.groups)))
    was_so: Any = before
    wanted = WantedAccount(shell=was_so["shell"], groups=groups, exclusive_groups=True)
    if found.people[name].is_system:
        return wanted
    return replace(
        wanted,
        uid=was_so["uid"],
        group=found.group_name(was_so["gid"]),
        home=was_so["home"],
        comment=was_so["comment"],
        expires=day_named(was_so["expires_day"]),
    )


def _give_back_keys(entry: LedgerEntry, image: bytes | None) -> None:
    """Put authorized_keys back as it was. Where somebody changed it since, only the agent's lines are removed. Raises
    DeployError where the file is not as it was after that."""
    name, before, left, now = entry.name, state_before(entry), state_left(entry) or {}, User().look(entry.name)
    if now is None or UNSEEN in (before.get("keys"), now.state.get("keys")):
        return
    kept = image is not None or before.get("keys") is None
    if kept and now.image == image and all(now.state.get(field) == before.get(field) for field in _MODES):
        return
    if left and left.get("keys") not in (now.state.get("keys"), _whole(now)):
        ssh_folder.write_keys(name, (), exclusive=False)
        now = User().look(name)
        if now is None or (now.image or b"") != (image or b""):
            raise DeployError(f"{name}: authorized_keys was changed since: only the agent's lines are taken out")
    if not kept:
        raise DeployError(f"{name}: what was in authorized_keys was not kept; it is left as it is")
    modes = [cast("int | None", before[field]) for field in _MODES]
    ssh_folder.put_back(name, image, *modes)


def _whole(seen: Seen) -> str | None:
    """The sha256 of all lines of authorized_keys. An earlier version noted that as ``keys``."""
    return hashlib.sha256(seen.image).hexdigest() if seen.image is not None else None
