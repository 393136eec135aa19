"""users: arguments turned into corrections, one for each group and account that is not as it should be."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from agent.deploys.correction import Correction, refusal
from agent.deploys.users import accounts, departed, host, keys, memberships, numbers, revoking
from agent.deploys.users.accounts import Accounts, Person, is_system_id
from agent.deploys.users.decide import Command, Difference, account_difference, group_difference
from agent.deploys.users.departed import Departed
from agent.deploys.users.numbers import Kept
from agent.deploys.users.spec import SUDO_RULE, Account, Group, UsersSpec
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.errors import Consequence, DeployError
from agent.system.safe_open import UnsafePath

Action = Callable[[], object]
"""A text that it returns is what it has to tell."""


def corrections(arguments: Mapping[str, JSON], _root: Path) -> Sequence[Correction]:
    """One for each resource that is not as it should be.

    What must not, or cannot yet, be done to one account or group is refused alone.
    """
    wanted = UsersSpec.model_validate(arguments)
    return account_corrections(accounts.read(), wanted)


def account_corrections(found: Accounts, wanted: UsersSpec) -> Sequence[Correction]:
    """Groups come before the accounts in them, and go after them. What only a person can put right comes last."""
    numbering = _Numbering(found, wanted)
    groups = [
        (f"group:{name}", partial(_group, found, name, group, numbering)) for name, group in wanted.groups.items()
    ]
    people = [
        (f"user:{name}", partial(_account, found, name, account, wanted.groups, numbering))
        for name, account in wanted.accounts.items()
    ]
    going = {f"group:{name}" for name, group in wanted.groups.items() if group.absent}
    ordered = [
        *(each for each in groups if each[0] not in going),
        *people,
        *(each for each in groups if each[0] in going),
    ]
    due: list[tuple[bool, Correction]] = []
    for key, look in ordered:
        try:
            found_due = look()
        except (DeployError, OSError) as error:
            due.append((True, refusal(key, _as_refusal(error))))
        else:
            due += [found_due] if found_due is not None else []
    return [correction for _, correction in sorted(due, key=lambda pair: pair[0])]


class _Numbering:
    """Numbers for the accounts and groups that this deploy makes: none that is taken, wanted, or owns what an earlier
    one left behind."""

    def __init__(self, found: Accounts, wanted: UsersSpec) -> None:
        self._found = found
        self._kept: Kept | None = None
        self._uids = {person.uid for person in found.people.values()}
        self._uids |= {account.uid for account in wanted.accounts.values() if account.uid is not None}
        self._taken = self._uids | {group.gid for group in found.groups.values()}
        self._taken |= {group.gid for group in wanted.groups.values() if group.gid is not None}

    def group(self, wanted: Group) -> Group:
        if wanted.gid is not None:
            return wanted
        return wanted.model_copy(update={"gid": self._next("GID", system=wanted.system)})

    def account(self, name: str, wanted: Account) -> Account:
        """Who comes back gets the number that the account had. Raises DeployError where the wanted one owns somebody
        else's home."""
        before = departed.account(name)
        uid = wanted.uid
        # Only another account stands against it: a group may have had the same number all along.
        if uid is None and before is not None and before.uid not in self._uids:
            uid = before.uid if is_system_id(before.uid) or not wanted.system else None
        home = self._homes.homes.get(uid) if uid is not None else None
        if home is not None and home not in (wanted.home or f"{numbers.HOMES}/{name}", before and before.home):
            raise DeployError(
                f"{name}: uid {uid} owns {home}, which somebody left behind",
                hint="give it another uid, or take that folder away on the host",
                consequence=Consequence.STALL,
            )
        uid = self._next("UID", system=wanted.system) if uid is None else uid
        self._taken |= {uid} if uid is not None else set()
        self._uids |= {uid} if uid is not None else set()
        return wanted.model_copy(update={"uid": uid})

    @property
    def _homes(self) -> Kept:
        if self._kept is None:
            self._kept = numbers.kept(self._found, tuple(departed.accounts()), departed.group_numbers())
        return self._kept

    def _next(self, kind: str, *, system: bool) -> int | None:
        number = self._homes.number(self._taken, system=system, kind=kind)
        self._taken |= {number} if number is not None else set()
        return number


def _group(found: Accounts, name: str, wanted: Group, numbering: _Numbering) -> tuple[bool, Correction] | None:
    there = found.groups.get(name)
    if there is None and not wanted.absent:
        wanted = numbering.group(wanted)
    difference = group_difference(found, name, wanted)
    if not difference.commands:
        return None
    actions: list[Action] = [partial(host.carry_out, command) for command in difference.commands]
    if wanted.absent and there is not None:
        actions.append(partial(departed.remember_group, name, there.gid))
    return False, _correction(f"group:{name}", difference, actions)


def _account(
    found: Accounts, name: str, wanted: Account, groups: Mapping[str, Group], numbering: _Numbering
) -> tuple[bool, Correction] | None:
    _require_local(found, name)
    person = found.people.get(name)
    if wanted.absent:
        return _leaving(found, person) if person is not None else None
    if person is None:
        wanted = numbering.account(name, wanted)
    _require_own_home(found, name, wanted)
    given = memberships.given(name)
    difference = account_difference(found, name, wanted, groups=groups, given=given, exists=os.path.exists)
    extras = [extra for extra in (_return(person, wanted), _keys(found, name, wanted), _sudo(name, wanted)) if extra]
    extras += [
        _Extra(f"cannot be done: {error.message}", partial(_fail, error), stuck=True) for error in difference.refusals
    ]
    if not difference.commands and not extras:
        return None
    known = given & found.groups_of(name) | set(difference.joins)
    kept = known.intersection(wanted.groups)
    actions: list[Action] = [
        *(extra.action for extra in extras if extra.first),
        *[partial(memberships.remember, name, known)] * (known != given),
        *(partial(host.carry_out, command) for command in difference.commands),
        *[partial(memberships.remember, name, kept)] * (kept != known),
        *(extra.action for extra in extras if not extra.first and not extra.stuck),
        *(extra.action for extra in extras if extra.stuck),
    ]
    described = Difference((*difference.words, *(extra.words for extra in extras)), difference.lines)
    stuck = any(extra.stuck for extra in extras)
    private = wanted.password_hash is not None
    correction = _correction(f"user:{name}", described, actions, private=private, each=person is not None)
    correction.change = replace(correction.change, refused=stuck)
    return stuck, correction


def _leaving(found: Accounts, person: Person) -> tuple[bool, Correction] | None:
    """None also for one that only waits until its last process has ended: the ledger owes its removal."""
    if person.is_system:
        raise DeployError(
            f"{person.name} is a system account (uid {person.uid}) and is not deleted",
            hint="correct the inventory",
            consequence=Consequence.STALL,
        )
    access = revoking.has_access(found, person)
    if not access and revoking.processes(person):
        return None
    words = ("take its access away",) * access + ("delete, keep its home",)
    change = _correction(f"user:{person.name}", Difference(words, (f"-uid: {person.uid}",)), ()).change
    return False, Correction(change, _remove, person.name)


def _remove(name: str) -> str:
    """Returns what there is to tell. Raises DeployError for what a person has to look at."""
    why = revoking.remove(name)
    person = accounts.read().people.get(name)
    if person is not None and (revoking.has_access(accounts.read(), person) or not revoking.processes(person)):
        raise DeployError(f"{name}: {why}")
    return why


def _require_own_home(found: Accounts, name: str, wanted: Account) -> None:
    person = found.people.get(name)
    uid = wanted.uid if person is None else person.uid
    home = (wanted.home or f"{numbers.HOMES}/{name}") if person is None else person.home
    if uid is None or wanted.system or not (why := numbers.home_of_another(found, name, uid, home)):
        return
    raise DeployError(
        why,
        hint=f"if it is theirs, `chown --recursive --from=UID {name}: {home}` on the host; else give it another home",
        consequence=Consequence.STALL,
    )


@dataclass(frozen=True, slots=True)
class _Extra:
    """Something to do beside the account's own line: keys, sudo. ``stuck``: it will fail until a person helps.
    ``first``: it depends on nothing, and nothing else that fails is to keep it from being done."""

    words: str
    action: Action
    stuck: bool = False
    first: bool = False


def _return(person: Person | None, wanted: Account) -> _Extra | None:
    """Of one that was locked because it had left, and is back."""
    before = departed.account(person.name) if person is not None else None
    if person is None or before is None or wanted.locked:
        return None
    if not person.locked or before.uid != person.uid:
        return None
    return _Extra("let it in again", partial(_let_in, before, wanted))


def _let_in(before: Departed, wanted: Account) -> None:
    expires = wanted.expiry if wanted.expires is not None else before.expires_day
    options = [f"--expiredate={'' if expires is None else expires}"]
    person = accounts.read().people[before.name]
    if not before.locked and person.password.startswith("!$"):
        options.append("--unlock")
    host.carry_out(Command(("usermod", *options, "--", before.name)))
    departed.forget(before.name)


def _keys(found: Accounts, name: str, wanted: Account) -> _Extra | None:
    person = found.people.get(name)
    required = bool(wanted.keys) or wanted.exclusive_keys
    write = partial(host.write_keys, name, wanted.keys, wanted.exclusive_keys)
    try:
        now = host.ssh_folder(person.home) if person is not None else host.NOTHING
    except (UnsafePath, OSError) as error:
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
    if wanted.sudo is False:
        return None if text is None else _Extra("take sudo away", partial(host.remove_sudoers, name), first=True)
    rule = SUDO_RULE if wanted.sudo is True else wanted.sudo
    granted = f"# Written by hostwright: the inventory says this of {name}.\n{name} {rule}\n"
    if text == granted and proper:
        return None
    words = f"allow sudo {rule}"
    if not host.SUDOERS_FOLDER.is_dir():
        return _Extra(f"{words}, which is not on this host", partial(host.write_sudoers, name, granted), stuck=True)
    return _Extra(words, partial(host.write_sudoers, name, granted))


def _require_local(found: Accounts, name: str) -> None:
    """Accounts of a directory service are its to change."""
    if name in found.people:
        return
    try:
        pwd.getpwnam(name)
    except KeyError:
        return
    raise DeployError(f"{name} comes from a directory service (nsswitch.conf), not from /etc/passwd")


def _correction(
    key: str, difference: Difference, actions: Sequence[Action], *, private: bool = False, each: bool = False
) -> Correction:
    """``each``: one action that fails keeps no other from being carried out."""
    diff = "\n".join((f"--- {key}", f"+++ {key}", *difference.lines)) if difference.lines else None
    return Correction(WantedChange(key, ", ".join(difference.words), diff, private), _each if each else _all, actions)


def _all(actions: Sequence[Action]) -> str:
    return "\n".join(told for action in actions if isinstance(told := action(), str) and told)


def _each(actions: Sequence[Action]) -> str:
    failures: list[DeployError] = []
    told: list[str] = []
    for action in actions:
        try:
            told.append(_all([action]))
        except (DeployError, OSError) as error:
            failures.append(_as_refusal(error))
    if failures:
        raise DeployError("; ".join(error.message for error in failures), hint=failures[0].hint)
    return "\n".join(filter(None, told))


def _fail(error: Exception) -> None:
    raise error


def _as_refusal(error: DeployError | OSError) -> DeployError:
    return error if isinstance(error, DeployError) else DeployError(f"{error}")
