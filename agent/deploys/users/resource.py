"""Accounts and groups outside of any deploy: looked at, taken away, and given back as they were.

A home always stays. What shadow has of a password is remembered like the rest, in the ledger, which root alone can
read: who gives an account back gives back its password.
"""

from __future__ import annotations

import hashlib
import pwd
from collections.abc import Mapping, Sequence
from typing import cast

from agent.deploys.as_user import LocalUser, as_user
from agent.deploys.at_path import look
from agent.deploys.kind import Kind, State, state_before, state_left
from agent.deploys.users import accounts, departed, host, keys, memberships, revoking
from agent.deploys.users.accounts import Accounts, Person
from agent.deploys.users.decide import Command
from agent.deploys.users.revoking import refusal
from agent.deploys.writing import Attributes, put_file, remove, set_attributes
from agent.domain.digest import JSON
from agent.domain.ownership import UNSEEN, LedgerEntry, Origin, Seen, unseen
from agent.errors import DeployError
from agent.system.safe_open import UnsafePath, folder


class Users(Kind):
    """State: the fields of passwd(5) and shadow(5), ``groups`` besides the primary one, ``sudo`` (whether there is a
    drop-in of ours), ``ssh_mode`` of ~/.ssh, ``keys_mode`` and ``keys`` of authorized_keys (its sha256, ``unseen``
    where nobody may look). The image is the content of authorized_keys."""

    calm = True

    def look(self, name: str) -> Seen | None:
        found = accounts.read()
        person = found.people.get(name)
        if person is None:
            # Those of a directory service are never ours, though nothing of them is in the files.
            return unseen("it comes from a directory service") if _known_elsewhere(name) else None
        state: dict[str, JSON] = {
            "uid": person.uid,
            "gid": person.gid,
            "comment": person.comment,
            "home": person.home,
            "shell": person.shell,
            "password": person.password,
            "expires_day": person.expires_day,
            "groups": sorted(found.groups_of(name)),
            "sudo": host.sudoers(name)[0] is not None,
        }
        try:
            ssh = host.ssh_folder(person.home)
        except UnsafePath:
            return Seen(state | {"keys": UNSEEN})
        image = ssh.file.content
        state["ssh_mode"] = ssh.folder.mode if ssh.folder.status is not None else None
        state["keys_mode"] = ssh.file.mode if ssh.file.status is not None else None
        state["keys"] = hashlib.sha256(image).hexdigest() if image is not None else None
        return Seen(state, image)

    def changed(self, left: State, now: Seen) -> str:
        moved = [
            f"its {field} is {now.state.get(field)}, not {left[field]}"
            for field in ("uid", "home")
            if field in left and now.state.get(field) != left[field]
        ]
        return " and ".join(moved)

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        """Whoever has such an account loses sudo, keys, memberships and the way in at once, also where the account
        has to stay until its last process has ended. ``purge`` is nothing more here: homes stay."""
        del purge
        stayed: dict[str, str] = {}
        for entry in entries:
            reason = revoking.remove(entry.name)
            if reason:
                stayed[entry.key] = reason
            else:
                host.remove_sudoers(entry.name)
                memberships.remember(entry.name, ())
        return stayed

    def has_access(self, entry: LedgerEntry) -> bool:
        found = accounts.read()
        person = found.people.get(entry.name)
        if person is None or person.uid == 0:
            return False
        if _goes(entry):
            return revoking.has_access(found, person)
        return host.sudoers(entry.name)[0] is not None or bool(memberships.given(entry.name)) or _has_our_keys(person)

    def revoke(self, entry: LedgerEntry) -> Sequence[str]:
        """An account that goes loses all; of one that stays, what Git gave it."""
        if _goes(entry):
            return revoking.revoke(entry.name)
        try:
            _take_back(entry.name)
        except (DeployError, OSError) as error:
            return [f"{error}"]
        return []

    def release(self, entry: LedgerEntry) -> None:
        """Its sudo, the memberships that Git gave it, and its block of keys go."""
        _take_back(entry.name)

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        before = state_before(entry)
        person = accounts.read().people.get(entry.name)
        if person is None:
            if state_left(entry) is not None:
                return  # The agent left it there: somebody else took it away since, or a package did.
            _create(entry.name, before)
        for command in _reverting(accounts.read(), entry):
            host.carry_out(command)
        memberships.remember(entry.name, ())
        if not before.get("sudo"):
            host.remove_sudoers(entry.name)
        _give_back_keys(entry, image)


class Groups(Kind):
    """State: ``gid`` and ``members``."""

    calm = True

    def look(self, name: str) -> Seen | None:
        group = accounts.read().groups.get(name)
        return None if group is None else Seen({"gid": group.gid, "members": sorted(group.members)})

    def changed(self, left: State, now: Seen) -> str:
        same = left.get("gid") == now.state["gid"]
        return "" if same else f"its gid is {now.state['gid']}, not {left.get('gid')}"

    def remove(self, entries: Sequence[LedgerEntry], *, purge: bool) -> Mapping[str, str]:
        del purge
        stayed: dict[str, str] = {}
        for entry in entries:
            found = accounts.read()
            group = found.groups.get(entry.name)
            if group is None:
                continue
            holders = sorted(person.name for person in found.people.values() if person.gid == group.gid)
            if group.gid == 0 or holders:
                stayed[entry.key] = f"it is the primary group of {', '.join(holders) or 'root'}"
                continue
            reason = refusal(Command(("groupdel", "--", entry.name)))
            if reason:
                stayed[entry.key] = reason
            else:
                departed.remember_group(entry.name, group.gid)
        return stayed

    def restore(self, entry: LedgerEntry, image: bytes | None) -> None:
        del image
        before = state_before(entry)
        gid = before.get("gid")
        group = accounts.read().groups.get(entry.name)
        if group is not None:
            if group.gid != gid:
                host.carry_out(Command(("groupmod", f"--gid={gid}", "--", entry.name)))
            return
        if state_left(entry) is not None:
            return  # Not the agent's doing.
        host.carry_out(Command(("groupadd", f"--gid={gid}", "--", entry.name)))
        members = [name for name in _texts(before.get("members")) if name in accounts.read().people]
        if members:
            host.carry_out(Command(("gpasswd", f"--members={','.join(members)}", "--", entry.name)))


def _known_elsewhere(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _goes(entry: LedgerEntry) -> bool:
    """Whether the account itself goes when its entry does."""
    return entry.owed or entry.origin is Origin.CREATED


def _has_our_keys(person: Person) -> bool:
    try:
        text = host.ssh_folder(person.home).text
    except (UnsafePath, OSError):
        return False
    return keys.updated(text, (), exclusive=False) != text


def _take_back(name: str) -> None:
    """What of the agent's own stands beside an account goes; the keys last: they are in a home, where something may be
    in the way. Raises DeployError, OSError."""
    host.remove_sudoers(name)
    found = accounts.read()
    for group in sorted(memberships.given(name) & found.groups_of(name)):
        host.carry_out(Command(("gpasswd", f"--delete={name}", "--", group)))
    memberships.remember(name, ())
    if name in found.people:
        host.write_keys(name, (), exclusive=False)


def _create(name: str, before: State) -> None:
    """An account with its old numbers; its home is where it was left."""
    gid = before["gid"]
    found = accounts.read()
    if not any(group.gid == gid for group in found.groups.values()):
        host.carry_out(Command(("groupadd", f"--gid={gid}", "--", name)))
    options = [f"--uid={before['uid']}", f"--gid={gid}", f"--home-dir={before['home']}"]
    host.carry_out(Command(("useradd", "--no-create-home", "--no-user-group", *options, "--", name)))


def _reverting(found: Accounts, entry: LedgerEntry) -> list[Command]:
    """What makes an account's lines in passwd, shadow and group those of before.

    Groups and a password that somebody else gave it since the agent left it stay.
    """
    before, left = state_before(entry), state_left(entry) or {}
    person = found.people[entry.name]
    options = [
        f"--{option}={before[field]}"
        for option, field, now in (
            ("uid", "uid", person.uid),
            ("gid", "gid", person.gid),
            ("home", "home", person.home),
            ("shell", "shell", person.shell),
            ("comment", "comment", person.comment),
        )
        if before[field] != now
    ]
    expires = before["expires_day"]
    if expires != person.expires_day:
        options.append(f"--expiredate={'' if expires is None else expires}")
    now = found.groups_of(entry.name)
    given = set(_texts(left.get("groups"))) if left else set(now)
    was = set(_texts(before["groups"]))
    groups = ((now - (given - was)) | was) & set(found.groups)
    if groups != now:
        options.append(f"--groups={','.join(sorted(groups))}")
    commands = [Command(("usermod", *options, "--", entry.name))] if options else []
    if before["password"] != person.password and left.get("password", person.password) == person.password:
        line = f"{entry.name}:{before['password']}\n".encode(errors="surrogateescape")
        commands.append(Command(("chpasswd", "--encrypted"), line))
    return commands


_KEYS = ("keys", "keys_mode", "ssh_mode")


def _give_back_keys(entry: LedgerEntry, image: bytes | None) -> None:
    """authorized_keys as it was; where somebody changed it since, only what the agent put there goes. Raises
    DeployError, then too."""
    before, left, now = state_before(entry), state_left(entry) or {}, Users().look(entry.name)
    if now is None or UNSEEN in (before.get("keys"), now.state.get("keys")):
        return
    if all(now.state.get(field) == before.get(field) for field in _KEYS):
        return
    if left and now.state.get("keys") != left.get("keys"):
        host.write_keys(entry.name, (), exclusive=False)
        now = Users().look(entry.name)
        if now is None or (now.image or b"") != (image or b""):
            raise DeployError(f"{entry.name}: authorized_keys was changed since: only the agent's lines are taken out")
    if image is None and before.get("keys") is not None:
        raise DeployError(f"{entry.name}: what was in authorized_keys was not kept; it is left as it is")
    user = LocalUser.named(entry.name)

    def work() -> None:
        try:
            _put_back_keys(user, image, before)
        except OSError as error:
            raise DeployError(f"{user.home}/.ssh/authorized_keys: {error.strerror or error}") from error

    as_user(user, work)


def _put_back_keys(user: LocalUser, image: bytes | None, before: State) -> None:
    """Run as that user. A ~/.ssh that was not there goes again, if nothing else is in it."""
    with folder(None, user.home.strip("/"), root_links=True) as home:
        with folder(home, ".ssh", root_links=False) as ssh:
            if image is None:
                remove(ssh, "authorized_keys", backup=False)
            else:
                mode = cast("int", before["keys_mode"])
                put_file(
                    ssh,
                    "authorized_keys",
                    image,
                    Attributes(mode, user.uid, user.gid),
                    backup=False,
                )
        folder_mode = cast("int | None", before["ssh_mode"])
        if folder_mode is not None:
            set_attributes(home, ".ssh", Attributes(folder_mode, user.uid, user.gid))
        elif look(home, ".ssh").empty:
            remove(home, ".ssh", backup=False)


def _texts(value: JSON) -> list[str]:
    return [text for text in cast("Sequence[JSON]", value or ()) if isinstance(text, str)]
