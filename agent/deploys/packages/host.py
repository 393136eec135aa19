"""packages: arguments turned into corrections, one for each package that is not as it should be.

Modules that only some hosts need are imported when they are needed: a plan of packages takes a quarter less time.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.deploys import questions as about
from agent.deploys.correction import Correction
from agent.deploys.packages import apt, changes, dpkg, lists, policy
from agent.deploys.packages.changes import Holds, PackageChange
from agent.deploys.packages.dpkg import Packages
from agent.deploys.packages.other_managers import DATABASES, MANAGERS, OtherManager
from agent.deploys.packages.transaction import Transaction
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.domain.question import Question, QuestionKind
from agent.errors import Consequence, DeployError

LISTS = "op:package-lists#1"
_NEVER_S = 10 * 365 * 24 * 3600
_WORDS = {"security": "security upgrade", "all": "upgrade"}


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One correction for each package, and each file for apt, that is not as it should be. Raises DeployError where
    there is no known package manager, or only one that cannot do what is asked."""
    wanted = _Wanted(**arguments)  # type: ignore[arg-type]  # as the spec made them
    if shutil.which("apt-get"):
        return [*_files(wanted.items, root), *_by_apt(wanted)]
    for name, manager in MANAGERS.items():
        if shutil.which(name):
            return _by_another(manager, wanted)
    message = f"none of apt-get, {', '.join(MANAGERS)} is on this host"
    raise DeployError(message, consequence=Consequence.STALL)


def questions(arguments: Mapping[str, JSON]) -> Iterator[Question]:
    """The questions that ``corrections`` rests on."""
    wanted = _Wanted(**arguments)  # type: ignore[arg-type]  # as the spec made them
    for name in ("apt-get", *MANAGERS):
        if (program := shutil.which(name)) is not None:
            yield from about.through(program)
    for file in DATABASES:
        yield from about.at(file)
    yield about.path(dpkg.HOLDS)
    if shutil.which("apt-get"):
        for folder in apt.SETTINGS:
            yield from about.below(folder)
    if wanted.items:
        from agent.deploys.items import items_from_json

        yield from about.of_items(items_from_json(wanted.items))
    if wanted.upgrades is not None:
        yield Question(QuestionKind.PAST, f"{int(time.time() - lists.age_s()) + wanted.update_s + 1}")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The deploy's arguments as ``PackagesSpec.concrete`` makes them."""

    present: Mapping[str, str | None]
    held: Sequence[str]
    absent: Sequence[str]
    repositories: Sequence[str]
    items: JSON
    upgrades: str | None
    update_s: int
    recommends: bool | None


def _files(written: JSON, root: Path) -> list[Correction]:
    """The corrections of files that apt reads. Where a repository or its key is new, or its package lists are missing,
    the correction of its sources file fetches the lists as well."""
    if not written:
        return []
    from agent.deploys.items import Item, items_from_json
    from agent.deploys.tree import item_corrections, put_item

    def put_and_fetch(item: Item) -> None:
        put_item(item, (item.text or "").encode())
        try:
            lists.require_sources()
        except DeployError:
            # apt reads all of its sources or none: without this one, the host can at least install from the others.
            put_item(Item(path=item.path, kind="file", absent=True), None)
            raise
        lists.fetch(Path(item.path))

    items = items_from_json(written)
    found = {correction.change.resource: correction for correction in item_corrections(items, root)}
    wanted = [item for item in items if not item.absent and item.path.endswith(".sources")]
    listed = lists.by_sources() if wanted else {}
    for item in wanted:
        if item.key not in found and f"file:{lists.keyring_of(item.path)}" not in found and item.path in listed:
            continue
        file = found.pop(item.key, None)
        words = [file.change.operation] if file is not None else []
        diff = file.change.diff if file is not None else None
        change = WantedChange(item.key, ", ".join([*words, "fetch its package lists"]), diff)
        found[item.key] = Correction(change, put_and_fetch, item)  # last, because its keyring has to be there before
    return list(found.values())


def _by_apt(wanted: _Wanted) -> list[Correction]:
    """One correction for each package that is not as it should be, and one for package lists that are too old to find
    upgrades in. One run of apt carries out all of them that are allowed."""
    packages = apt.query()
    offered = apt.candidates(unclear) if (unclear := changes.unclear(packages, wanted.present)) else {}
    virtual = frozenset(name for name in unclear if not offered.get(name))
    held = {*wanted.held, *(name for name, version in wanted.present.items() if version)}
    due = changes.changes(packages, wanted.present, wanted.absent, virtual, Holds(held, dpkg.our_holds()))
    transaction = Transaction(wanted.recommends, wanted.update_s)
    members: list[Correction] = []
    transaction.members = lambda: [change for change, member in zip(due, members, strict=True) if member.allowed]
    renewal: list[Correction] = []
    if wanted.upgrades is not None:
        due = _with_upgrades(due, wanted.upgrades, wanted.present, packages)
        transaction.upgrades = partial(_with_upgrades, (), wanted.upgrades, wanted.present)
        renewal = _renewal(transaction, wanted.update_s)
    members += [
        Correction(WantedChange(each.key, each.text, refused=each.refused), transaction.settle, each) for each in due
    ]
    transaction.planned = frozenset(change.name for change in due)
    return [*renewal, *members]


def _renewal(transaction: Transaction, update_s: int) -> list[Correction]:
    """The correction that fetches package lists older than ``update_s``; nothing where they are newer."""
    age_s = lists.age_s()
    if age_s <= update_s:
        return []
    age = f"{age_s / 3600:.0f} h old" if age_s < _NEVER_S else "missing"
    words = f"fetch package lists, which are {age}, and what upgrades they bring"
    return [Correction(WantedChange(LISTS, words), transaction.renew)]


def _with_upgrades(
    due: Sequence[PackageChange], kind: str, present: Mapping[str, str | None], packages: Packages
) -> tuple[PackageChange, ...]:
    """``due``, and an upgrade for each package that has a newer version of this ``kind`` in apt's lists."""
    offers = apt.offers(packages.by_name)
    sources = policy.security_sources(offers) if kind == "security" else None
    newer = {name: table.upgrade(sources) for name, table in policy.tables(offers).items()}
    versions = {name: version for name, version in newer.items() if version is not None}
    return changes.with_upgrades(packages, due, versions, _WORDS[kind], present=present)


def _by_another(manager: OtherManager, wanted: _Wanted) -> list[Correction]:
    """One correction for each package that is not as it should be, each a run of ``manager``. Raises DeployError for a
    wish that only apt can fulfil."""
    wishes = {"held packages": wanted.held, "upgrades": wanted.upgrades, "repositories": wanted.repositories}
    asked = [words for words, wish in wishes.items() if wish]
    if asked:
        raise DeployError(
            f"{' and '.join(asked)} can be had with apt only; this host has {manager.name}",
            hint="leave that out for this host",
            consequence=Consequence.STALL,
        )
    there = manager.versions()
    made = []
    for name, version in wanted.present.items():
        if not manager.has(there, name, version):
            package = manager.pinned(name, version)
            made.append(_change(name, f"install {package}", manager.install, package, name not in there))
    return made + [_change(name, f"remove {name}", manager.erase, name) for name in wanted.absent if name in there]


def _change(name: str, words: str, function: Callable[..., object], *args: object) -> Correction:
    return Correction(WantedChange(f"package:{name}", words), function, *args)
