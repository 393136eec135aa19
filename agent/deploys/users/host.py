"""users: arguments turned into corrections, one for each group and account that is not as it should be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys.correction import Correction, as_deploy_error, each_alone
from agent.deploys.users import access, accounts, records, sudoers
from agent.deploys.users.accounts import AccountFiles, Person, ShadowCommand
from agent.deploys.users.decide import account_difference, group_difference
from agent.deploys.users.numbers import Numbering, require_own_home
from agent.deploys.users.records import Departed
from agent.deploys.users.ssh_folder import NOTHING, count_keys, ssh_folder, updated_keys, write_keys
from agent.deploys.users.wanted import SUDO_RULE, WantedAccount, WantedGroup, WantedUsers
from agent.domain import codec
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.domain.question import Question, QuestionKind, UnsteadyError
from agent.errors import Consequence, DeployError
from agent.system.safe_open import UnsafePath


def corrections(arguments: Mapping[str, JSON], _root: Path) -> Sequence[Correction]:
    """One correction for each account and group that is not as it should be. Raises OSError.

    Groups are made before the accounts, and removed after them. A change that must not be made, or cannot be made yet,
    is refused by itself and comes last.
    """
    wanted = codec.from_plain(arguments, WantedUsers)
    found = accounts.read()
    numbering = Numbering(found, wanted)
    groups = {name: partial(_group, found, name, group, numbering) for name, group in wanted.groups.items()}
    people = {
        f"user:{name}": partial(_account, found, name, account, wanted.groups, numbering)
        for name, account in wanted.accounts.items()
    }
    made = {f"group:{name}": look for name, look in groups.items() if not wanted.groups[name].absent}
    going = {f"group:{name}": look for name, look in groups.items() if wanted.groups[name].absent}
    return each_alone(made | people | going)


def questions(arguments: Mapping[str, JSON]) -> Iterator[Question]:
    """The questions that ``corrections`` rests on. Raises UnsteadyError while an account that is to go is still there:
    it goes when its last process ends, which no question asks for."""
    wanted, found = codec.from_plain(arguments, WantedUsers), accounts.read()
    for file in ("passwd", "group", "shadow", "nsswitch.conf", "subuid"):
        yield from about.at(f"/etc/{file}")
    yield from about.below(records.DEPARTED)
    for name, account in wanted.accounts.items():
        yield about.path(records.MEMBERSHIPS / name)
        yield from about.at(sudoers.drop_in(name))
        person = found.people.get(name)
        if account.absent and person is not None:
            raise UnsteadyError(f"{name} is to go, and waits for its processes")
        if account.shell is not None:
            yield from about.through(account.shell)
        if person is not None:
            yield from map(Question, [QuestionKind.FOLDER] * 2, (person.home, f"{person.home}/.ssh"))
            yield from about.through(f"{person.home}/.ssh/authorized_keys")
            yield about.path(f"{person.home}/.ssh/authorized_keys2")


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of an account's change besides its line in passwd: keys, sudo, letting it in again. ``stuck``: it fails
    until a person helps, and is done last. ``first``: it is done before all else, so that no failure prevents it."""

    words: str
    action: Callable[[], object]
    stuck: bool = False
    first: bool = False


def _group(found: AccountFiles, name: str, wanted: WantedGroup, numbering: Numbering) -> Correction | None:
    if name not in found.groups and not wanted.absent:
        wanted = numbering.group(wanted)
    difference = group_difference(found, name, wanted)
    if not difference.words:
        return None
    remove = partial(access.remove_group, name)
    actions = [remove] if wanted.absent else [command.run for command in difference.commands]
    return Correction(_change(f"group:{name}", difference.words, difference.lines), _carry_out, actions)


def _account(
    found: AccountFiles,
    name: str,
    wanted: WantedAccount,
    groups: Mapping[str, WantedGroup],
    numbering: Numbering,
) -> Correction | None:
    person = found.people.get(name)
    if person is None and accounts.known_elsewhere(name):
        raise DeployError(f"{name} comes from a directory service (nsswitch.conf), not from /etc/passwd")
    if wanted.absent:
        return _leaving(found, person) if person is not None else None
    if person is None:
        wanted = numbering.account(name, wanted)
    require_own_home(found, name, wanted)
    given = records.given_groups(name)
    difference = account_difference(found, name, wanted, groups=groups, given=given, exists=os.path.exists)
    parts = [*_return(person, wanted), *_keys(person, name, wanted), *_sudo(name, wanted)]
    parts += [_stuck(f"cannot be done: {error.message}", error) for error in difference.refusals]
    if not difference.commands and not parts:
        return None
    known = given & found.groups_of(name) | set(difference.joins)
    kept = known.intersection(wanted.groups)
    actions: list[Callable[[], object]] = [
        *(part.action for part in parts if part.first),
        *[partial(records.remember_groups, name, known)] * (known != given),
        *(command.run for command in difference.commands),
        *[partial(records.remember_groups, name, kept)] * (kept != known),
        *(part.action for part in sorted(parts, key=lambda part: part.stuck) if not part.first),
    ]
    change = replace(
        _change(f"user:{name}", [*difference.words, *(part.words for part in parts)], difference.lines),
        private=wanted.password_hash is not None,
        refused=any(part.stuck for part in parts),
    )
    return Correction(change, _carry_out, actions, person is not None)


def _leaving(found: AccountFiles, person: Person) -> Correction | None:
    """The correction that removes an account. None where it has lost its access and only waits for its processes to
    end: the ledger owes its removal."""
    if person.is_system:
        raise DeployError(
            f"{person.name} is a system account (uid {person.uid}) and is not deleted",
            hint="correct the inventory",
            consequence=Consequence.STALL,
        )
    open_yet = access.has_access(found, person.name, leaves=True)
    if not open_yet and access.processes(person):
        return None
    words = ("take its access away",) * open_yet + ("delete, keep its home",)
    return Correction(_change(f"user:{person.name}", words, (f"-uid: {person.uid}",)), _remove, person.name)


def _remove(name: str) -> str:
    """Remove an account. Returns why it stays where that is only for its processes; empty where it has gone. Raises
    DeployError where it stays for another reason, or has access left: a person has to look at that."""
    why, found = access.remove(name), accounts.read()
    if name in found.people and (
        access.has_access(found, name, leaves=True) or not access.processes(found.people[name])
    ):
        raise DeployError(f"{name}: {why}")
    return why


def _return(person: Person | None, wanted: WantedAccount) -> Iterator[_Part]:
    """The part that lets an account in again, if the agent locked it because it had left; else nothing."""
    before = records.departed_account(person.name) if person is not None else None
    if person is None or before is None or wanted.locked or not person.locked or before.uid != person.uid:
        return
    yield _Part("let it in again", partial(_let_in, before, wanted))


def _let_in(before: Departed, wanted: WantedAccount) -> None:
    expires = wanted.expiry if wanted.expires is not None else before.expires_day
    options = [f"--expiredate={'' if expires is None else expires}"]
    person = accounts.read().people[before.name]
    if not before.locked and person.password.startswith("!$"):
        options.append("--unlock")
    ShadowCommand(("usermod", *options, "--", before.name)).run()
    records.forget_account(before.name)


def _keys(person: Person | None, name: str, wanted: WantedAccount) -> Iterator[_Part]:
    required = bool(wanted.keys) or wanted.exclusive_keys
    write = partial(write_keys, name, wanted.keys, wanted.exclusive_keys)
    try:
        now = ssh_folder(person.home) if person is not None else NOTHING
    except (UnsafePath, OSError) as error:
        if required:  # Without keys in Git, a home that cannot be looked into (a link, one on a network) is left alone.
            yield _stuck("set authorized keys", error)
        return
    if not required and not (person is not None and now.is_of(person.uid)):
        return
    text = updated_keys(now.text, wanted.keys, exclusive=wanted.exclusive_keys)
    if text != now.text:
        added, removed = count_keys(now.text, text)
        counts = [f"add {added}"] * bool(added) + [f"remove {removed}"] * bool(removed)
        yield _Part(f"authorized keys: {' and '.join(counts) or 'put in order'}", write)
    elif required and person is not None and not now.proper(person.uid):
        yield _Part("set owner and mode of authorized keys", write)


def _sudo(name: str, wanted: WantedAccount) -> Iterator[_Part]:
    text, proper = sudoers.look(name)
    if wanted.sudo is False:
        if text is not None:
            yield _Part("take sudo away", partial(sudoers.remove, name), first=True)
        return
    rule = SUDO_RULE if wanted.sudo is True else wanted.sudo
    granted = f"# Written by hostwright: the inventory says this of {name}.\n{name} {rule}\n"
    if text != granted or not proper:
        missing = not sudoers.FOLDER.is_dir()
        words = f"allow sudo {rule}{', which is not on this host' * missing}"
        yield _Part(words, partial(sudoers.write, name, granted), stuck=missing)


def _stuck(words: str, error: Exception) -> _Part:
    def fail() -> None:
        raise error

    return _Part(words, fail, stuck=True)


def _change(key: str, words: Sequence[str], lines: Sequence[str]) -> WantedChange:
    diff = "\n".join((f"--- {key}", f"+++ {key}", *lines)) if lines else None
    return WantedChange(key, ", ".join(words), diff)


def _carry_out(actions: Sequence[Callable[[], object]], by_itself: bool = False) -> str:
    """Carry out the actions in order. Returns the texts that they returned, a line each. ``by_itself``: the others are
    carried out also after one that failed. Raises DeployError for all that failed."""
    failures: list[DeployError] = []
    told: list[str] = []
    for action in actions:
        try:
            told += [text] if isinstance(text := action(), str) and text else []
        except (DeployError, OSError) as error:
            failures.append(as_deploy_error(error))
            if not by_itself:
                break
    if failures:
        raise DeployError("; ".join(error.message for error in failures), hint=failures[0].hint)
    return "\n".join(told)
