"""users: arguments turned into corrections, one for each group and account that is not as it should be."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.deploys.correction import Correction, correct
from agent.deploys.users import accounts, host, keys
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
    difference = account_difference(found, name, wanted, groups=groups, exists=os.path.exists)
    words = list(difference.words)
    actions: list[Action] = [partial(host.carry_out, command) for command in difference.commands]
    stuck = False
    for extra in (_keys(found, name, wanted), _sudo(name, wanted)):
        if extra is not None:
            words.append(extra.words)
            actions.append(extra.action)
            stuck = stuck or extra.stuck
    if not actions:
        return None
    described = Difference(tuple(words), difference.lines)
    return stuck, _correction(f"user:{name}", described, actions, private=wanted.password_hash is not None)


@dataclass(frozen=True, slots=True)
class _Extra:
    """Something to do beside the account's own line: keys, sudo. ``stuck``: it will fail until a person helps."""

    words: str
    action: Action
    stuck: bool = False


def _keys(found: Accounts, name: str, wanted: Account) -> _Extra | None:
    if wanted.absent or not (wanted.keys or wanted.exclusive_keys):
        return None
    person = found.people.get(name)
    write = partial(host.write_keys, name, wanted.keys, wanted.exclusive_keys)
    try:
        now = host.ssh_folder(person.home) if person is not None else host.NOTHING
    except Refused as error:
        return _Extra("set authorized keys", partial(_fail, error), stuck=True)
    text = keys.updated(now.text, wanted.keys, exclusive=wanted.exclusive_keys)
    if text == now.text:
        proper = person is None or now.proper(person.uid)
        return None if proper else _Extra("set owner and mode of authorized keys", write)
    added, removed = keys.difference(now.text, text)
    counts = [f"add {added}"] * bool(added) + [f"remove {removed}"] * bool(removed)
    return _Extra(f"authorized keys: {' and '.join(counts) or 'put in order'}", write)


def _sudo(name: str, wanted: Account) -> _Extra | None:
    text, proper = host.sudoers(name)
    if wanted.absent or wanted.sudo is False:
        return None if text is None else _Extra("take sudo away", partial(host.remove_sudoers, name))
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


def _fail(error: DeployError) -> None:
    raise error
