"""Taking access away from accounts. An account that leaves loses all access at once, and is deleted when its last
process has ended. An account that stays, because it was there before the agent, loses what the agent gave it.

An account that Git wants absent and one that is no longer in Git are treated alike. Each right is taken away by itself:
where one cannot be taken, the others still go.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from agent.deploys.users import accounts, records, sudoers
from agent.deploys.users.accounts import AccountFiles, Person, ShadowCommand, leave_group, lock
from agent.deploys.users.ssh_folder import put_keys_aside, ssh_folder, updated_keys, write_keys
from agent.errors import DeployError
from agent.system.files import in_words, read_bounded
from agent.system.safe_open import UnsafePath

_PROC = Path("/proc")
_SUBUID = Path("/etc/subuid")
_SHOWN = 3
"""The most processes that are named in a reason."""


def has_access(found: AccountFiles, name: str, *, leaves: bool) -> bool:
    """True where the account has access that ``revoke`` would take away. If it ``leaves``, that is any way in, sudo or
    membership; else what the agent gave it. Raises OSError."""
    person = found.people.get(name)
    if person is None or person.uid == 0:
        return False
    groups = found.groups_of(name) if leaves else records.given_groups(name)
    if sudoers.is_there(name) or groups or (leaves and not person.locked):
        return True
    try:
        ssh = ssh_folder(person.home)
    except (UnsafePath, OSError):
        return False  # Its keys cannot be taken away: the lock keeps them out.
    return person.uid in ssh.lets_in if leaves else updated_keys(ssh.text, (), exclusive=False) != ssh.text


def revoke(name: str, *, leaves: bool) -> list[str]:
    """Take the access of ``has_access`` away. Returns what could not be taken, a line each. Raises OSError where nobody
    may look."""
    found = accounts.read()
    person = found.people.get(name)
    steps: list[tuple[str, Callable[[], object]]] = [("its sudo could not be taken", lambda: sudoers.remove(name))]
    groups = found.groups_of(name) if leaves else records.given_groups(name) & found.groups_of(name)
    steps += [(f"it is still in the group {group}", leave_group(name, group).run) for group in sorted(groups)]
    steps.append(("its memberships are still remembered", lambda: records.remember_groups(name, ())))
    if leaves:
        if person is None or not has_access(found, name, leaves=True):
            return []
        locking = [] if person.locked else [("it could not be locked", lock(name).run)]
        remembering = ("what it was is not remembered", lambda: records.remember_account(person))
        steps = [remembering, *locking, *steps, ("its keys could not be taken", lambda: put_keys_aside(name))]
    elif person is not None:
        steps.append(("its keys could not be taken", lambda: write_keys(name, (), exclusive=False)))
    untaken = []
    for what, step in steps:
        try:
            step()
        except (DeployError, OSError) as error:
            untaken.append(f"{what}: {in_words(error) if isinstance(error, OSError) else error}")
    return untaken


def remove(name: str) -> str:
    """Revoke all access of an account and delete it; its home stays. Returns why the account has to stay for now; empty
    where it is gone. Raises OSError where the accounts cannot be read."""
    person = accounts.read().people.get(name)
    if person is None:
        return ""
    if person.uid == 0:
        return "it is the superuser's"
    untaken = revoke(name, leaves=True)
    with suppress(OSError):
        records.remember_account(person)  # revoke did not record an account without access
    if busy := processes(person):
        why = f"waits for {busy}"
    else:
        try:
            ShadowCommand(("userdel", "--", name)).run()
        except DeployError as error:
            why = error.message
        else:
            return ""
    locked = person.locked or accounts.read().people[name].locked
    return "; ".join([f"{'it is locked' if locked else 'it could not be locked'}, and {why}", *untaken])


def remove_group(name: str) -> None:
    """Delete a group; fine where it is gone already: userdel deletes an account's own group with it. Raises DeployError
    where it is root's or the primary group of an account, or groupdel fails; OSError."""
    found = accounts.read()
    if (group := found.groups.get(name)) is None:
        return
    holders = sorted(person.name for person in found.people.values() if person.gid == group.gid)
    if group.gid == 0 or holders:
        raise DeployError(f"it is the primary group of {', '.join(holders) or 'root'}")
    ShadowCommand(("groupdel", "--", name)).run()
    records.remember_group(name, group.gid)


def processes(person: Person) -> str:
    """The processes of an account and of its subordinate uids, which its containers run by: the first few, in words;
    empty for none."""
    found = sorted(_pids(person))
    if not found:
        return ""
    named = [f"{pid} ({_command(pid)})" for pid in found[:_SHOWN]]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"its process{'es' * (len(found) > 1)} {', '.join(named)}{more}"


def _pids(person: Person) -> Iterator[int]:
    ranges = [(person.uid, 1), *_given_to(person)]
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            with suppress(OSError):
                uid = entry.stat().st_uid
                if any(first <= uid < first + count for first, count in ranges):
                    yield int(entry.name)


def _given_to(person: Person) -> Iterator[tuple[int, int]]:
    """The ranges of subordinate uids that the account has (subuid(5)): the first one, and how many."""
    with suppress(OSError):
        for line in read_bounded(_SUBUID).decode(errors="replace").splitlines():
            whose, _, numbers = line.partition(":")
            first, _, count = numbers.partition(":")
            if whose in (person.name, f"{person.uid}") and first.isdigit() and count.isdigit():
                yield int(first), int(count)


def _command(pid: int) -> str:
    with suppress(OSError):
        return ascii(read_bounded(_PROC / f"{pid}/comm").decode(errors="replace").strip())[1:-1]
    return "ended"
