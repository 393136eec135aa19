"""packages: arguments turned into corrections, one for each package that is not as it should be.

What only some hosts need is imported when it is needed: a plan of packages takes a quarter less time.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from agent.deploys.correction import Correction
from agent.deploys.packages import apt, dpkg, holds, policy
from agent.deploys.packages.besides_apt import MANAGERS, Manager, manager_of_host
from agent.deploys.packages.transaction import Transaction
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.errors import Consequence, DeployError

LISTS = "op:package-lists#1"
_NEVER_S = 10 * 365 * 24 * 3600
_WORDS = {"security": "security upgrade", "all": "upgrade"}


def corrections(arguments: Mapping[str, JSON], root: Path) -> Sequence[Correction]:
    """One for each package that is not as it should be. Raises DeployError where there is no package manager, or a wish
    beyond it."""
    if shutil.which("apt-get"):
        return [*_files(arguments["items"], root), *_packages(arguments)]
    manager = manager_of_host()
    if manager is None:
        message = f"none of apt-get, {', '.join(MANAGERS)} is on this host"
        raise DeployError(message, consequence=Consequence.STALL)
    return _by_another(manager, arguments)


def _files(written: JSON, root: Path) -> list[Correction]:
    """Files for apt to read; the lists of a repository are fetched as soon as it or its key is new."""
    if not written:
        return []
    from agent.deploys import system_items
    from agent.deploys.items import Item, ItemType, items_from_json

    def put_and_fetch(item: Item) -> None:
        system_items.put(item, (item.text or "").encode())
        try:
            apt.require_sources()
        except DeployError:
            # apt reads all of its sources or none: a host where it does nothing any more is worse than one source less.
            system_items.put(Item(key=item.key, path=item.path, kind=ItemType.ABSENT), None)
            raise
        apt.fetch(Path(item.path))

    items = items_from_json(written)
    found = {correction.change.resource: correction for correction in system_items.corrections(items, root)}
    wanted = [item for item in items if item.kind is ItemType.FILE and item.path.endswith(".sources")]
    listed = apt.listed() if wanted else {}
    for item in wanted:
        if item.key not in found and f"file:{apt.keyring_of(item.path)}" not in found and item.path in listed:
            continue
        file = found.pop(item.key, None)
        words = [file.change.operation] if file is not None else []
        diff = file.change.diff if file is not None else None
        change = WantedChange(item.key, ", ".join([*words, "fetch its package lists"]), diff)
        found[item.key] = Correction(change, put_and_fetch, item)  # behind its keyring
    return list(found.values())


def _packages(arguments: Mapping[str, JSON]) -> list[Correction]:
    """One for each package that is not as it should be; those that may run are carried out by one apt run."""
    present = cast("Mapping[str, str | None]", arguments["present"])
    absent = cast("Sequence[str]", arguments["absent"])
    held = {*cast("Sequence[str]", arguments["held"]), *(name for name, version in present.items() if version)}
    upgrades = cast("str | None", arguments["upgrades"])
    update_s = cast("int", arguments["update_s"])
    packages = apt.query()
    unclear = dpkg.unclear(packages, present)
    versions = apt.candidates(unclear) if unclear else {}
    virtual = frozenset(name for name in unclear if not versions.get(name))
    jobs = dpkg.jobs(packages, present, absent, virtual, dpkg.Holds(held, holds.ours()))
    transaction = Transaction(cast("bool | None", arguments["recommends"]), update_s)
    found: list[Correction] = []
    if upgrades is not None:
        found += _renewal(transaction)
        jobs = _with_upgrades(jobs, packages, apt.offers(packages.by_name), upgrades, present)
        transaction.upgrades = lambda now: _with_upgrades((), now, apt.offers(now.by_name), upgrades, present)
    members = [Correction(WantedChange(job.key, job.text, refused=job.held), transaction.settle, job) for job in jobs]
    transaction.members = lambda: [job for job, correction in zip(jobs, members, strict=True) if correction.allowed]
    transaction.planned = frozenset(job.name for job in jobs)
    return [*found, *members]


def _renewal(transaction: Transaction) -> list[Correction]:
    """What has apt look for upgrades where it has not done so for too long."""
    age_s = apt.lists_age_s()
    if age_s <= transaction.update_s:
        return []
    age = f"{age_s / 3600:.0f} h old" if age_s < _NEVER_S else "missing"
    words = f"fetch package lists, which are {age}, and what upgrades they bring"
    return [Correction(WantedChange(LISTS, words), transaction.renew)]


def _with_upgrades(
    jobs: Sequence[dpkg.Job], packages: dpkg.Packages, offers: str, kind: str, present: Mapping[str, str | None]
) -> tuple[dpkg.Job, ...]:
    """``jobs`` with an upgrade for each package of which ``offers`` (the output of apt-cache policy) has a newer
    version of this kind."""
    sources = policy.security_sources(offers) if kind == "security" else None
    newer = {name: table.upgrade(sources) for name, table in policy.tables(offers).items()}
    versions = {name: version for name, version in newer.items() if version is not None}
    return dpkg.with_upgrades(packages, jobs, versions, _WORDS[kind], present=present)


def _by_another(manager: Manager, arguments: Mapping[str, JSON]) -> list[Correction]:
    """One for each package that is not as it should be; each is a run of the package manager of its own."""
    wishes = {"held packages": "held", "upgrades": "upgrades", "repositories": "repositories"}
    asked = [words for words, name in wishes.items() if arguments[name]]
    if asked:
        raise DeployError(
            f"{' and '.join(asked)} can be had with apt only; this host has {manager.name}",
            hint="leave that out for this host",
            consequence=Consequence.STALL,
        )
    present = cast("Mapping[str, str | None]", arguments["present"])
    absent = cast("Sequence[str]", arguments["absent"])
    there = manager.versions()
    made = []
    for name, version in present.items():
        if not manager.has(there, name, version):
            wanted = manager.pinned(name, version)
            made.append(_change(name, f"install {wanted}", manager.install, wanted, name not in there))
    return made + [_change(name, f"remove {name}", manager.erase, name) for name in absent if name in there]


def _change(name: str, words: str, function: Callable[..., object], *args: object) -> Correction:
    return Correction(WantedChange(f"package:{name}", words), function, *args)
