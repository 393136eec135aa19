"""dnf, apk, pacman, zypper without pyinfra: how each is asked for a package, and told to take some away.

None of them takes along what is not named: rpm and pacman refuse where something needs a package, apk leaves it.
(``dnf remove`` and ``zypper remove`` would take along what needs it, so rpm is told itself.)
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.deploys.telling import reason
from agent.system.process import run

_QUERY_TIMEOUT_S = 60.0
_RUN_TIMEOUT_S = 1500.0
_OUTPUT_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Manager:
    """Commands, each followed by names. ``keep`` leaves configuration that was changed, ``purge`` does not where it
    can tell."""

    query: tuple[str, ...]
    keep: tuple[str, ...]
    purge: tuple[str, ...]
    listing: tuple[str, ...]

    def version(self, name: str) -> str | None:
        """None where it is not installed."""
        done = run([*self.query, name], timeout_s=_QUERY_TIMEOUT_S)
        told = done.output.decode(errors="replace").strip().splitlines()
        return told[-1].removeprefix(name).lstrip(" -") if done.ok and told else None

    def installed(self) -> frozenset[str]:
        done = run(self.listing, timeout_s=_QUERY_TIMEOUT_S, output_limit=_OUTPUT_LIMIT)
        return frozenset(done.output.decode(errors="replace").split())

    def take_away(self, names: Sequence[str], *, purge: bool) -> Mapping[str, str]:
        """By name, why some had to stay. One that something needs keeps the others from going at first."""
        there = [name for name in names if self.version(name) is not None]
        if not there:
            return {}
        run([*self.command(purge=purge), *there], timeout_s=_RUN_TIMEOUT_S)
        stayed = {}
        for name in there:
            if self.version(name) is not None:
                done = run([*self.command(purge=purge), name], timeout_s=_RUN_TIMEOUT_S)
                if self.version(name) is not None:
                    stayed[name] = "another package needs it" if done.ok else reason(done)
        return stayed

    def command(self, *, purge: bool) -> tuple[str, ...]:
        return self.purge if purge else self.keep


_RPM = Manager(
    query=("rpm", "--query", "--queryformat=%{VERSION}-%{RELEASE}\\n"),
    keep=("rpm", "--erase"),
    purge=("rpm", "--erase"),
    listing=("rpm", "--query", "--all", "--queryformat=%{NAME}\\n"),
)

MANAGERS: Mapping[str, Manager] = {
    "dnf": _RPM,
    "apk": Manager(
        query=("apk", "info", "--installed", "--verbose"),
        keep=("apk", "del"),
        purge=("apk", "del", "--purge"),
        listing=("apk", "info", "--quiet"),
    ),
    "pacman": Manager(
        query=("pacman", "--query"),
        keep=("pacman", "--remove", "--noconfirm"),
        purge=("pacman", "--remove", "--noconfirm", "--nosave"),
        listing=("pacman", "--query", "--quiet"),
    ),
    "zypper": _RPM,
}


def manager_of_host() -> Manager | None:
    """None where it is apt's, or nobody's."""
    if shutil.which("apt-get") is not None:
        return None
    return next((manager for name, manager in MANAGERS.items() if shutil.which(name)), None)
