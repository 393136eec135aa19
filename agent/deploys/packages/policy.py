"""What apt could install, and from where: the output of ``apt-cache policy`` as tables of versions. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import dropwhile, takewhile

QUERY = ("apt-cache", "policy")
"""Followed by ``--`` and names. It takes 20 ms, or a second where apt's cache has to be made anew. Without names it
tells of the sources."""

_NAME = re.compile(r"(\S+):$")
_FIELD = re.compile(r"  (Installed|Candidate): (\S+)$")
_VERSION = re.compile(r"(?: \*\*\*|    ) (\S+) -?\d+$")
_OFFER = re.compile(r" {7,}-?\d+ (\S.*)$")
_SOURCE = re.compile(r" *-?\d+ (\S.*)$")
_RELEASE = re.compile(r" +release (.*)$")
_NOTHING = "(none)"

_SECURITY_LABEL = "Debian-Security"
_SECURITY_SUFFIX = "-security"
"""Ubuntu's label is the same for all of its suites; their names tell (noble-security)."""


@dataclass(frozen=True, slots=True)
class Version:
    """``sources``: who offers it, each as apt writes it (``http://… bookworm/main amd64 Packages``)."""

    version: str
    sources: frozenset[str]


@dataclass(frozen=True, slots=True)
class Table:
    """One package: the version that is there, the one that apt would choose, and all, the newest first."""

    installed: str | None
    candidate: str | None
    versions: tuple[Version, ...]

    def upgrade(self, sources: frozenset[str] | None) -> str | None:
        """The newest version above the installed one that one of ``sources`` offers (None: anybody), and at most the
        one that apt would choose: an administrator's preferences count. None where there is no such version."""
        if self.installed is None:
            return None
        newer = takewhile(lambda known: known.version != self.installed, self.versions)
        taken = dropwhile(lambda known: known.version != self.candidate, newer)
        return next((known.version for known in taken if sources is None or known.sources & sources), None)


def tables(output: str) -> Mapping[str, Table]:
    """By name, what ``QUERY`` wrote of it; no versions for a virtual package. Unknown names are not in it."""
    fields: dict[str, dict[str, str]] = {}
    versions: dict[str, list[tuple[str, set[str]]]] = {}
    name = ""
    for line in output.splitlines():
        if match := _NAME.match(line):
            name = match[1]
            fields[name], versions[name] = {}, []
        elif not name:
            continue
        elif match := _FIELD.match(line):
            fields[name][match[1]] = match[2]
        elif match := _VERSION.match(line):
            versions[name].append((match[1], set()))
        elif (match := _OFFER.match(line)) and versions[name]:
            versions[name][-1][1].add(match[1])
    return {
        name: Table(
            installed=_known(found.get("Installed")),
            candidate=_known(found.get("Candidate")),
            versions=tuple(Version(version, frozenset(sources)) for version, sources in versions[name]),
        )
        for name, found in fields.items()
    }


def versions(output: str) -> Mapping[str, frozenset[str]]:
    """By name, the versions that could be installed; none for a virtual package. Unknown names are not in it."""
    return {name: frozenset(known.version for known in table.versions) for name, table in tables(output).items()}


def security_sources(output: str) -> frozenset[str]:
    """Of the sources that ``QUERY`` without names tells of, those of a distribution's security updates."""
    found: set[str] = set()
    source = ""
    for line in output.splitlines():
        if match := _RELEASE.match(line):
            release = dict(pair.split("=", 1) for pair in match[1].split(",") if "=" in pair)
            suites = (release.get("a", ""), release.get("n", ""))
            if release.get("l") == _SECURITY_LABEL or any(suite.endswith(_SECURITY_SUFFIX) for suite in suites):
                found.add(source)
        elif match := _SOURCE.match(line):
            source = match[1]
    return frozenset(found)


def _known(version: str | None) -> str | None:
    return None if version == _NOTHING else version
