"""packages: arguments turned into corrections (apt) or into pyinfra's own operations (dnf, apk, pacman, zypper).

What only some hosts need is imported when it is needed: a plan of packages takes a quarter less time.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import cast

from pyinfra.api.facts import FactBase
from pyinfra.api.operation import operation
from pyinfra.context import host

from agent.deploys.correction import Correction, correct
from agent.deploys.packages import apt, dpkg, holds, policy
from agent.deploys.packages.transaction import Transaction
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.errors import Consequence, DeployError

LISTS = "op:package-lists#1"
_NEVER_S = 10 * 365 * 24 * 3600
_WORDS = {"security": "security upgrade", "all": "upgrade"}


def deploy(arguments: Mapping[str, JSON], root: Path) -> None:
    """Every deploy has this door. Raises DeployError where there is no package manager, or a wish beyond it."""
    if shutil.which("apt-get"):
        correct("packages", [*_files(arguments["items"], root), *_packages(arguments)])
        return
    manager = next((name for name in _OPERATIONS if shutil.which(name)), None)
    if manager is None:
        message = f"none of apt-get, {', '.join(_OPERATIONS)} is on this host"
        raise DeployError(message, consequence=Consequence.STALL)
    _by_pyinfra(manager, arguments)


class DpkgPackages(FactBase[dpkg.Packages]):
    """All packages of the host, by one question."""

    def command(self) -> str:
        return shlex.join(dpkg.QUERY)

    def process(self, output: list[str]) -> dpkg.Packages:
        return dpkg.parsed("\n".join(output))


class AptVersions(FactBase[Mapping[str, frozenset[str]]]):
    """What apt could install of some names."""

    def command(self, names: tuple[str, ...]) -> str:
        return shlex.join((*policy.QUERY, "--", *names))

    def process(self, output: list[str]) -> Mapping[str, frozenset[str]]:
        return policy.versions("\n".join(output))


class AptOffers(FactBase[str]):
    """Where packages come from, and the versions of all that are installed; 40 ms."""

    def command(self) -> str:
        installed = shlex.join(("dpkg-query", "--show", "--showformat=${Package}:${Architecture}\\n"))
        return f"{shlex.join(policy.QUERY)}; {installed} | xargs {shlex.join(policy.QUERY)} --"

    def process(self, output: list[str]) -> str:
        return "\n".join(output)


class AptLists(FactBase[Mapping[str, Sequence[str]]]):
    """By sources file, the package lists that were fetched for it."""

    def command(self) -> str:
        return shlex.join(apt.LISTED)

    def process(self, output: list[str]) -> Mapping[str, Sequence[str]]:
        return apt.listed_in("\n".join(output))


def _files(written: JSON, root: Path) -> list[Correction]:
    """Files for apt to read; the lists of a repository are fetched as soon as it or its key is new."""
    if not written:
        return []
    from agent.deploys import system_items
    from agent.deploys.items import Item, Kind, items_from_json

    def put_and_fetch(item: Item) -> None:
        system_items.put(item, (item.text or "").encode())
        try:
            apt.require_sources()
        except DeployError:
            # apt reads all of its sources or none: a host where it does nothing any more is worse than one source less.
            system_items.put(Item(key=item.key, path=item.path, kind=Kind.ABSENT), None)
            raise
        apt.fetch(Path(item.path))

    items = items_from_json(written)
    found = {correction.change.resource: correction for correction in system_items.corrections(items, root)}
    wanted = [item for item in items if item.kind is Kind.FILE and item.path.endswith(".sources")]
    listed = host.get_fact(AptLists) if wanted else {}
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
    packages = host.get_fact(DpkgPackages)
    unclear = dpkg.unclear(packages, present)
    versions = host.get_fact(AptVersions, names=unclear) if unclear else {}
    virtual = frozenset(name for name in unclear if not versions.get(name))
    jobs = dpkg.jobs(packages, present, absent, virtual, dpkg.Holds(held, holds.ours()))
    transaction = Transaction(cast("bool | None", arguments["recommends"]), update_s)
    found: list[Correction] = []
    if upgrades is not None:
        found += _renewal(transaction)
        jobs = _with_upgrades(jobs, packages, host.get_fact(AptOffers), upgrades, present)
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


def _by_pyinfra(manager: str, arguments: Mapping[str, JSON]) -> None:
    wishes = {"held packages": "held", "upgrades": "upgrades", "repositories": "repositories"}
    asked = [words for words, name in wishes.items() if arguments[name]]
    if asked:
        raise DeployError(
            f"{' and '.join(asked)} can be had with apt only; this host has {manager}",
            hint="leave that out for this host",
            consequence=Consequence.STALL,
        )
    ensure = _OPERATIONS[manager]
    for name, version in cast("Mapping[str, str | None]", arguments["present"]).items():
        wanted = f"{name}={version}" if version else name
        ensure(name, version, True, f"package:{name} | install {wanted}")
    for name in cast("Sequence[str]", arguments["absent"]):
        ensure(name, None, False, f"package:{name} | remove {name}")


def _dnf(package: str, version: str | None, present: bool, name: str) -> None:
    # It takes name-version, not name=version, and pyinfra knows no such package: so which is there is asked here.
    from pyinfra.operations import dnf

    if not present:
        _erased(package=package, name=name)
    elif version is None:
        dnf.packages(packages=[package], name=name)
    elif not _has(package, version):
        dnf.packages(packages=[f"{package}-{version}"], name=name)


def _apk(package: str, version: str | None, present: bool, name: str) -> None:
    from pyinfra.facts.apk import ApkPackages
    from pyinfra.operations import apk

    # Its package lists may be missing altogether (`apk --no-cache` images); it does not fetch them by itself.
    missing = present and package not in host.get_fact(ApkPackages)
    apk.packages(packages=[_pinned(package, version)], present=present, update=missing, name=name)


def _pacman(package: str, version: str | None, present: bool, name: str) -> None:
    from pyinfra.operations import pacman

    if version is not None:
        raise DeployError(f"{package}={version}: pacman has one version of each package", hint="leave the version out")
    pacman.packages(packages=[package], present=present, name=name)


def _zypper(package: str, version: str | None, present: bool, name: str) -> None:
    if not present:
        _erased(package=package, name=name)
    elif version is None or not _has(package, version):
        _zypper_packages(package=_pinned(package, version), name=name)


@operation()
def _zypper_packages(package: str) -> Generator[str, None, None]:
    """pyinfra's own would take any key that a repository offers for trusted."""
    from pyinfra.facts.rpm import RpmPackages
    from pyinfra.operations.util.packaging import ensure_packages

    yield from ensure_packages(
        host,
        [package],
        host.get_fact(RpmPackages),
        True,
        install_command="zypper --non-interactive install --oldpackage",
        uninstall_command="rpm --erase",
        version_join="=",
    )


@operation()
def _erased(package: str) -> Generator[str, None, None]:
    """dnf and zypper would take along whatever needs it; rpm itself refuses."""
    from pyinfra.facts.rpm import RpmPackages

    if package in host.get_fact(RpmPackages):
        yield shlex.join(("rpm", "--erase", package))


def _has(package: str, version: str) -> bool:
    """Whether this version is there, with the distribution's release number behind it or without."""
    from pyinfra.facts.rpm import RpmPackages

    installed = host.get_fact(RpmPackages).get(package, ())
    return any(found == version or found.startswith(f"{version}-") for found in installed)


def _pinned(package: str, version: str | None) -> str:
    return f"{package}={version}" if version else package


_OPERATIONS: Mapping[str, Callable[[str, str | None, bool, str], None]] = {
    "dnf": _dnf,
    "apk": _apk,
    "pacman": _pacman,
    "zypper": _zypper,
}
