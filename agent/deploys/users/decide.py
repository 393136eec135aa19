"""The difference between found and wanted accounts and groups, as commands that remove it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent.deploys.users.accounts import (
    AccountFiles,
    Person,
    ShadowCommand,
    is_system_id,
    leave_group,
    lock,
    set_password,
)
from agent.deploys.users.wanted import PASSWORD_HASH, WantedAccount, WantedGroup
from agent.errors import Consequence, DeployError

_ADJUSTABLE = "only shell, groups and keys of a system account may be changed"


@dataclass(frozen=True, slots=True)
class UserDifference:
    """A difference in ``words`` for people and ``lines`` of a diff, with the commands that remove it. ``joins``: the
    groups that the commands add an account to. ``refusals``: the reasons why some wishes cannot be met; the commands
    meet the others."""

    words: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    commands: tuple[ShadowCommand, ...] = ()
    joins: tuple[str, ...] = ()
    refusals: tuple[DeployError, ...] = ()


def group_difference(found: AccountFiles, name: str, wanted: WantedGroup) -> UserDifference:
    """The difference of one group; without commands where it is to be deleted. Raises DeployError for a change that
    must not be made: deleting or renumbering a system group, or taking a number that another group has."""
    group = found.groups.get(name)
    if wanted.absent:
        if group is None:
            return UserDifference()
        if is_system_id(group.gid):
            raise _refused(f"{name} is a system group (gid {group.gid}) and is not deleted")
        return UserDifference(("delete",), (f"-gid: {group.gid}",))
    holder = next((other.name for other in found.groups.values() if other.gid == wanted.gid and other.name != name), "")
    if holder:
        raise _refused(f"gid {wanted.gid}, wanted for the group {name}, belongs to {holder}")
    number = () if wanted.gid is None else (f"--gid={wanted.gid}",)
    if group is None:
        system = ("--system",) if wanted.system else ()
        line = "+gid: " + ("the next free one" if wanted.gid is None else str(wanted.gid))
        return UserDifference(("create",), (line,), (ShadowCommand(("groupadd", *number, *system, "--", name)),))
    if wanted.gid in (None, group.gid):
        return UserDifference()
    if is_system_id(group.gid):
        raise _refused(f"{name} is a system group (gid {group.gid}); its number stays")
    lines = (f"-gid: {group.gid}", f"+gid: {wanted.gid}")
    return UserDifference((f"set gid {wanted.gid}",), lines, (ShadowCommand(("groupmod", *number, "--", name)),))


def account_difference(
    found: AccountFiles,
    name: str,
    wanted: WantedAccount,
    *,
    groups: Mapping[str, WantedGroup],
    given: Collection[str],
    exists: Callable[[str], bool],
) -> UserDifference:
    """The difference of one account that is wanted. ``groups``: the groups of the same deploy, which are made before.
    ``given``: the groups that the agent once added the account to. ``exists``: tells if a path is there.

    Raises DeployError for a change that must not be made to a system account, and for a new account with a wish that
    cannot be met.
    """
    there = {*found.groups, *groups} - {group for group, its in groups.items() if its.absent}
    impossible = list(_impossible(found, name, wanted, there, exists))
    refusals = tuple(error for error, _ in impossible)
    person = found.people.get(name)
    if person is None and refusals:
        raise refusals[0]
    if person is None:
        return _created(name, wanted, has_group=name in there)
    for _, without in impossible:
        wanted = replace(wanted, **without)
    return replace(_changed(found, person, wanted, given, exists), refusals=refusals)


def _impossible(
    found: AccountFiles, name: str, wanted: WantedAccount, there: Collection[str], exists: Callable[[str], bool]
) -> Iterator[tuple[DeployError, Mapping[str, Any]]]:
    """The reasons why some wishes cannot be met on this host, each with the fields of ``wanted`` without that wish.
    ``there``: the groups that exist, or will."""
    names = (*wanted.groups, *filter(None, [wanted.group]))
    for group in dict.fromkeys(group for group in names if group not in there):
        yield (
            DeployError(
                f"{name}: there is no group {group} on this host",
                hint="add it to groups, or install the package that brings it in a deploy before this one",
            ),
            {"groups": tuple(other for other in wanted.groups if other in there)}
            | ({"group": None} if group == wanted.group else {}),
        )
    if wanted.shell is not None and not exists(wanted.shell):
        yield (
            DeployError(
                f"{name}: there is no shell {wanted.shell} on this host",
                hint="install its package in a deploy before this one; without it nobody could log in",
            ),
            {"shell": None},
        )
    holder = next((other.name for other in found.people.values() if other.uid == wanted.uid and other.name != name), "")
    if holder:
        yield _refused(f"uid {wanted.uid}, wanted for {name}, belongs to {holder}"), {"uid": None}
    if wanted.password_hash is not None and not PASSWORD_HASH.fullmatch(wanted.password_hash):
        why = f"{name}: the secret in password_hash is not a hash as crypt(5) writes it ($y$…, $6$…)"
        yield _refused(why), {"password_hash": None}


def _created(name: str, wanted: WantedAccount, *, has_group: bool) -> UserDifference:
    """The commands that make an account. ``has_group``: there is a group of its name already, which useradd would
    refuse to make again."""
    primary = wanted.group or (name if has_group else None)
    settings = {
        "uid": None if wanted.uid is None else str(wanted.uid),
        "gid": primary,
        "home-dir": wanted.home,
        "shell": wanted.shell,
        "comment": wanted.comment,
        "groups": ",".join(wanted.groups) or None,
        "expiredate": wanted.expiry or None,
    }
    given = {key: value for key, value in settings.items() if value is not None}
    options = [f"--{key}={value}" for key, value in given.items()]
    options += ["--system", "--no-create-home"] if wanted.system else ["--create-home"]
    commands = [ShadowCommand(("useradd", *options, "--", name))]
    words = ["create"]
    if wanted.password_hash is not None:
        commands.append(set_password(name, _marked(wanted)))
        words.append("set password")
    if wanted.locked:
        commands.append(lock(name))
        words.append("lock")
    lines = tuple(f"+{key}: {value}" for key, value in given.items())
    return UserDifference(tuple(words), lines, tuple(commands), wanted.groups)


def _changed(
    found: AccountFiles, person: Person, wanted: WantedAccount, given: Collection[str], exists: Callable[[str], bool]
) -> UserDifference:
    options: list[str] = []
    words: list[str] = []
    lines: list[str] = []
    pairs = (
        ("uid", str(person.uid), None if wanted.uid is None else str(wanted.uid)),
        ("gid", found.group_name(person.gid), wanted.group),
        ("home", person.home, wanted.home),
        ("comment", person.comment, wanted.comment),
        ("shell", person.shell, wanted.shell),
    )
    for key, now, then in pairs:
        if then is None or now == then:
            continue
        if person.is_system and key != "shell":
            raise _refused(f"{person.name}: {key} is {now}, not {then}: {_ADJUSTABLE}")
        options.append(f"--{key}={then}")
        words.append(f"set {'primary group' if key == 'gid' else key} {then}")
        lines += [f"-{key}: {now}", f"+{key}: {then}"]
        if key == "home" and exists(now) and not exists(then):
            options.append("--move-home")
    if wanted.expires is not None and not wanted.locked and person.expires_day != wanted.expires_day:
        if person.is_system:
            raise _refused(f"{person.name}: expires: {_ADJUSTABLE}")
        options.append(f"--expiredate={wanted.expiry}")
        words.append(f"set expiry {wanted.expires}")
    joins, leaves = _memberships(found, person, wanted, given)
    words += [*(f"add to {group}" for group in joins), *(f"remove from {group}" for group in leaves)]
    lines += [*(f"+group: {group}" for group in joins), *(f"-group: {group}" for group in leaves)]
    options += ["--append", f"--groups={','.join(joins)}"] if joins else []
    # Memberships are taken away first: usermod may fail, such as where the account is in use.
    commands = [leave_group(person.name, group) for group in leaves]
    commands += [ShadowCommand(("usermod", *options, "--", person.name))] if options else []
    password = _protected(person, wanted)
    return UserDifference((*words, *password.words), tuple(lines), (*commands, *password.commands), joins)


def _memberships(
    found: AccountFiles, person: Person, wanted: WantedAccount, given: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The groups to join, and those to leave."""
    now = found.groups_of(person.name)
    primary = wanted.group or found.group_name(person.gid)
    joins = tuple(group for group in wanted.groups if group not in now and group != primary)
    ours = now if wanted.exclusive_groups else now.intersection(given)
    return joins, tuple(sorted(ours.difference(wanted.groups)))


def _protected(person: Person, wanted: WantedAccount) -> UserDifference:
    """The difference in password and lock. Raises DeployError where a system account has one."""
    hidden = person.password.lstrip("!")
    words: list[str] = []
    commands: list[ShadowCommand] = []
    if wanted.password_hash is not None and hidden != wanted.password_hash:
        words.append("set password")
        commands.append(set_password(person.name, _marked(wanted)))
    if wanted.locked and not person.locked:
        words.append("lock")
        commands.append(lock(person.name))
    if wanted.locked is False and (person.locked or (person.password.startswith("!") and hidden.startswith("$"))):
        words.append("unlock")
        reveal = ("--unlock",) if hidden.startswith("$") and person.password.startswith("!") else ()
        commands.append(ShadowCommand(("usermod", f"--expiredate={wanted.expiry}", *reveal, "--", person.name)))
    if words and person.is_system:
        raise _refused(f"{person.name}: {' and '.join(words)}: {_ADJUSTABLE}")
    return UserDifference(tuple(words), (), tuple(commands))


def _marked(wanted: WantedAccount) -> str:
    """The hash of its password as shadow is to have it: with ``!`` in front where the account is locked."""
    return f"{'!' if wanted.locked else ''}{wanted.password_hash}"


def _refused(message: str) -> DeployError:
    return DeployError(message, hint="correct the inventory", consequence=Consequence.STALL)
