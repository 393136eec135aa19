"""Accounts whose people have left: their access goes at once, the account when its last process has ended.

The same for one that Git wants absent and for one that is simply no longer in Git. Each right is taken away by itself:
one that stays keeps no other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from agent.deploys.users import accounts, departed, host, memberships
from agent.deploys.users.accounts import Accounts, Person
from agent.deploys.users.decide import Command, lock
from agent.errors import DeployError
from agent.system.files import read_bounded
from agent.system.safe_open import UnsafePath

_PROC = Path("/proc")
_SUBUID = Path("/etc/subuid")
_SHOWN = 3
"""Processes that are named."""


def has_access(found: Accounts, person: Person) -> bool:
    """Whether it still has a way in, or more rights than its own."""
    if not person.locked or host.sudoers(person.name)[0] is not None or found.groups_of(person.name):
        return True
    try:
        ssh = host.ssh_folder(person.home)
    except (UnsafePath, OSError):
        return False  # Nothing that could be taken away: the lock has to do.
    return ssh.is_of(person.uid) and bool(ssh.text.strip())


def revoke(name: str) -> list[str]:
    """Takes sudo, groups, keys and every way in from an account; nothing where there is none. Returns what could not
    be taken, a line each."""
    found = accounts.read()
    person = found.people.get(name)
    if person is None or person.uid == 0 or not has_access(found, person):
        return []
    groups = sorted(found.groups_of(name))
    steps: list[tuple[str, Callable[[], object]]] = [
        ("what it was is not remembered", lambda: departed.remember(person)),
        ("it could not be locked", lambda: None if person.locked else host.carry_out(lock(name))),
        ("its sudo could not be taken", lambda: host.remove_sudoers(name)),
        *((f"it is still in the group {group}", _leaving(name, group)) for group in groups),
        ("its memberships are still remembered", lambda: memberships.remember(name, ())),
        ("its keys could not be taken", lambda: host.put_keys_aside(name)),
    ]
    untaken = []
    for what, step in steps:
        try:
            step()
        except (DeployError, OSError) as error:
            untaken.append(f"{what}: {error}")
    return untaken


def remove(name: str) -> str:
    """Revokes and deletes an account; its home stays. Returns why the account has to stay for now, empty where it is
    gone."""
    person = accounts.read().people.get(name)
    if person is None:
        return ""
    if person.uid == 0:
        return "it is the superuser's"
    untaken = revoke(name)
    with suppress(OSError):
        departed.remember(person)  # one without any access, too, has had its number
    busy = processes(person)
    why = f"waits for {busy}" if busy else refusal(Command(("userdel", "--", name)))
    if not why:
        return ""
    locked = person.locked or accounts.read().people[name].locked
    return "; ".join([f"{'it is locked' if locked else 'it could not be locked'}, and {why}", *untaken])


def processes(person: Person) -> str:
    """The processes of an account, and of what it may give to containers of its own: the first few; empty for none."""
    found = sorted(_pids(person))
    if not found:
        return ""
    named = [f"{pid} ({_command(pid)})" for pid in found[:_SHOWN]]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"its process{'es' * (len(found) > 1)} {', '.join(named)}{more}"


def refusal(command: Command) -> str:
    """Why a command did not end well, in its own words; empty where it did."""
    try:
        host.carry_out(command)
    except DeployError as error:
        return error.message.rpartition(f"{command.argv[0]}: ")[2]
    return ""


def _leaving(name: str, group: str) -> Callable[[], None]:
    return lambda: host.carry_out(Command(("gpasswd", f"--delete={name}", "--", group)))


def _pids(person: Person) -> Iterator[int]:
    ranges = [(person.uid, 1), *_given_to(person)]
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            with suppress(OSError):
                uid = entry.stat().st_uid
                if any(first <= uid < first + count for first, count in ranges):
                    yield int(entry.name)


def _given_to(person: Person) -> Iterator[tuple[int, int]]:
    """subuid(5)."""
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
