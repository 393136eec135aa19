"""packages: arguments turned into corrections (apt) or into pyinfra's own operations (dnf, apk, pacman, zypper)."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from pyinfra.api.facts import FactBase
from pyinfra.context import host
from pyinfra.facts.apk import ApkPackages
from pyinfra.operations import apk, dnf, pacman, zypper

from agent.deploys.correction import Correction, correct
from agent.deploys.packages import apt, dpkg, policy
from agent.domain.digest import JSON
from agent.domain.plan import WantedChange
from agent.errors import Consequence, DeployError

MANAGERS = ("apt-get", "dnf", "apk", "pacman", "zypper")


def deploy(arguments: Mapping[str, JSON], root: Path) -> None:  # noqa: ARG001 - no files of the commit are needed
    """Every deploy has this door. Raises DeployError where there is no package manager, or a wish beyond it."""
    present = cast("Mapping[str, str | None]", arguments["present"])
    absent = cast("Sequence[str]", arguments["absent"])
    manager = next((name for name in MANAGERS if shutil.which(name)), None)
    if manager is None:
        raise DeployError(f"none of {', '.join(MANAGERS)} is on this host", consequence=Consequence.STALL)
    if manager == "apt-get":
        transaction = apt.Transaction(
            recommends=cast("bool | None", arguments["recommends"]), update_s=cast("int", arguments["update_s"])
        )
        correct("packages", corrections(present, absent, transaction))
        return
    ensure = _OPERATIONS[manager]
    for name, version in present.items():
        wanted = f"{name}={version}" if version else name
        ensure(wanted, True, f"package:{name} | install {wanted}")
    for name in absent:
        ensure(name, False, f"package:{name} | remove {name}")


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


def corrections(
    present: Mapping[str, str | None], absent: Sequence[str], transaction: apt.Transaction
) -> Sequence[Correction]:
    """One for each package that is not as it should be; those that may run are carried out by one apt run."""
    packages = host.get_fact(DpkgPackages)
    unclear = dpkg.unclear(packages, present)
    versions = host.get_fact(AptVersions, names=unclear) if unclear else {}
    virtual = frozenset(name for name in unclear if not versions.get(name))
    jobs = dpkg.jobs(packages, present, absent, virtual)
    found = [Correction(WantedChange(f"package:{job.name}", job.text), transaction.settle, job) for job in jobs]
    transaction.members = lambda: [job for job, correction in zip(jobs, found, strict=True) if correction.allowed]
    return found


def _dnf(package: str, present: bool, name: str) -> None:
    dnf.packages(packages=[package], present=present, name=name)


def _apk(package: str, present: bool, name: str) -> None:
    # Its package lists may be missing altogether (`apk --no-cache` images); it does not fetch them by itself.
    missing = present and package.partition("=")[0] not in host.get_fact(ApkPackages)
    apk.packages(packages=[package], present=present, update=missing, name=name)


def _pacman(package: str, present: bool, name: str) -> None:
    if "=" in package:
        raise DeployError(f"{package}: pacman has one version of each package", hint="leave the version out")
    pacman.packages(packages=[package], present=present, name=name)


def _zypper(package: str, present: bool, name: str) -> None:
    zypper.packages(packages=[package], present=present, name=name)


_OPERATIONS: Mapping[str, Callable[[str, bool, str], None]] = {
    "dnf": _dnf,
    "apk": _apk,
    "pacman": _pacman,
    "zypper": _zypper,
}
