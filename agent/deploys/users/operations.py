"""users: arguments turned into corrections, one for each group and account that is not as it should be."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.deploys.correction import Correction, correct
from agent.deploys.users import accounts, host, keys, memberships
from agent.deploys.users.accounts import Accounts
from agent.deploys.users.decide import Difference, account_difference, group_difference
from agent.deploys.users.spec import SUDO_RULE, Account, Group, UsersSpec
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.errors import DeployError
from agent.system.descent import Refused

Action = Callable[[], None]


def deploy(arguments: Mapping[str, JSON], root: Path) -> None:  # noqa: ARG001 - no files of the commit are needed
    """Every deploy has this door. Raises DeployError for what must not, or cannot yet, be done to an account."""
    wanted = UsersSpec.model_validate(arguments)
    correct("users", corrections(accounts.read(), wanted))


def corrections(found: Accounts, wanted: UsersSpec) -> Sequence[Correction]:
    """Groups come before the accounts in them, and go after them. What only a person can put right comes last."""
    made = [_group(found, name, group) for name, group in wanted.groups.items() if not group.absent]
    made += [_account(found, name, account, wanted.groups) for name, account in wanted.accounts.items()]
    made += [_group(found, name, group) for name, group in wanted.groups.items() if group.absent]
    due = [correction for correction in made if correction is not None]
    return [correction for _, correction in sorted(due, key=lambda pair: pair[0])]


def _group(found: Accounts, name: str, wanted: Group) -> tuple[bool, Correction] | None:
    difference = group_difference(found, name, wanted)
    if not difference.commands:
        return None
    actions = [partial(host.carry_out, command) for command in difference.commands]
    return False, _correction(f"group:{name}", difference, actions)


def _account(
    found: Accounts, name: str, wanted: Account, groups: Mapping[str, Group]
) -> tuple[bool, Correction] | None:
    _require_local(found, name)
    given = memberships.given(name)
    difference = account_difference(found, name, wanted, groups=groups, given=given, exists=os.path.exists)
    extras = [extra for extra in (_keys(found, name, wanted), _sudo(name, wanted)) if extra is not None]
    if not difference.commands and not extras:
        return None
    known = given & found.groups_of(name) | set(difference.joins)
    kept = set() if wanted.absent else known.intersection(wanted.groups)
    actions: list[Action] = [
        *(extra.action for extra in extras if extra.first),
        *[partial(memberships.remember, name, known)] * (known != given),
        *(partial(host.carry_out, command) for command in difference.commands),
        *[partial(memberships.remember, name, kept)] * (kept != known),
        *(extra.action for extra in extras if not extra.first),
    ]
    described = Difference((*difference.words, *(extra.words for extra in extras)), difference.lines)
    stuck = any(extra.stuck for extra in extras)
    return stuck, _correction(f"user:{name}", described, actions, private=wanted.password_hash is not None)


@dataclass(frozen=True, slots=True)
class _Extra:
    """Something to do beside the account's own line: keys, sudo. ``stuck``: it will fail until a person helps.
    ``first``: it depends on nothing, and nothing else that fails is to keep it from being done."""

    words: str
    action: Action
    stuck: bool = False
    first: bool = False


def _keys(found: Accounts, name: str, wanted: Account) -> _Extra | None:
    if wanted.absent:
        return None
    person = found.people.get(name)
    required = bool(wanted.keys) or wanted.exclusive_keys
    write = partial(host.write_keys, name, wanted.keys, wanted.exclusive_keys)
    try:
        now = host.ssh_folder(person.home) if person is not None else host.NOTHING
    except (Refused, OSError) as error:
        # Without keys in Git a home that cannot be looked into (a link, one on a network) need not be.
        return _Extra("set authorized keys", partial(_fail, error), stuck=True) if required else None
    if not required and not (person is not None and now.is_of(person.uid)):
        return None
    text = keys.updated(now.text, wanted.keys, exclusive=wanted.exclusive_keys)
    if text == now.text:
        proper = person is None or not required or now.proper(person.uid)
        return None if proper else _Extra("set owner and mode of authorized keys", write)
    added, removed = keys.difference(now.text, text)
    counts = [f"add {added}"] * bool(added) + [f"remove {removed}"] * bool(removed)
    return _Extra(f"authorized keys: {' and '.join(counts) or 'put in order'}", write)


def _sudo(name: str, wanted: Account) -> _Extra | None:
    text, proper = host.sudoers(name)
    if wanted.absent or wanted.sudo is False:
        return None if text is None else _Extra("take sudo away", partial(host.remove_sudoers, name), first=True)
    rule = SUDO_RULE if wanted.sudo is True else wanted.sudo
    granted = f"# Written by hostwright: the inventory says this of {name}.\n{name} {rule}\n"
    if text == granted and proper:
        return None
    if not host.SUDOERS_FOLDER.is_dir():
        raise DeployError(f"{name}: sudo is not on this host", hint="install it in a deploy before this one")
    return _Extra(f"allow sudo {rule}", partial(host.write_sudoers, name, granted))


def _require_local(found: Accounts, name: str) -> None:
    """Accounts of a directory service are its to change."""
    if name in found.people:
        return
    try:
        pwd.getpwnam(name)
    except KeyError:
        return
    raise DeployError(f"{name} comes from a directory service (nsswitch.conf), not from /etc/passwd")


def _correction(key: str, difference: Difference, actions: Sequence[Action], *, private: bool = False) -> Correction:
    diff = "\n".join((f"--- {key}", f"+++ {key}", *difference.lines)) if difference.lines else None
    return Correction(WantedChange(key, ", ".join(difference.words), diff, private), _all, tuple(actions))


def _all(actions: Sequence[Action]) -> None:
    for action in actions:
        action()


def _fail(error: Exception) -> None:
    raise error
