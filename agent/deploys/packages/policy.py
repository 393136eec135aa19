"""What apt could install, and from where: the output of ``apt-cache policy`` as tables of versions. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import dropwhile, takewhile

QUERY = ("apt-cache", "policy")
"""Followed by ``--`` and names. It takes 20 ms, or a second where apt's cache has to be made anew. Without names it
tells of the sources."""

_NAME = re.compile(r"^(\S+):$", re.MULTILINE)
_FIELD = re.compile(r"^  (Installed|Candidate): (\S+)$", re.MULTILINE)
_LINE = re.compile(r"^(?:(?: \*\*\*|    ) (\S+) -?\d+| {7,}-?\d+ (\S.*))$", re.MULTILINE)
"""A version, or one of those who offer the version above."""
_SOURCE = re.compile(r" *-?\d+ (\S.*)$")
_RELEASE = re.compile(r" +release (.*)$")

_SECURITY_LABEL = "Debian-Security"
_SECURITY_SUFFIX = "-security"
"""Ubuntu's label is the same for all of its suites; their names tell (noble-security)."""


@dataclass(frozen=True, slots=True)
class Table:
    """One package: the version that is there (empty: none), the one that apt would choose, and all, the newest first.
    Each version stands with those who offer it, as apt writes them (``http://… bookworm/main amd64 Packages``)."""

    installed: str
    candidate: str
    versions: Mapping[str, Set[str]]

    def upgrade(self, sources: frozenset[str] | None) -> str | None:
        """The newest version above the installed one that one of ``sources`` offers (None: anybody), and at most the
        one that apt would choose: an administrator's preferences count. None where there is no such version."""
        if not self.installed:
            return None
        newer = takewhile(lambda version: version != self.installed, self.versions)
        taken = dropwhile(lambda version: version != self.candidate, newer)
        return next((version for version in taken if sources is None or self.versions[version] & sources), None)


def tables(output: str) -> Mapping[str, Table]:
    """By name, what ``QUERY`` wrote of it; no versions for a virtual package. Unknown names are not in it."""
    _, *parts = _NAME.split(output)
    return {name: _table(told) for name, told in zip(parts[::2], parts[1::2], strict=True)}


def _table(told: str) -> Table:
    fields = dict(_FIELD.findall(told.replace("(none)", "")))
    versions: dict[str, set[str]] = {}
    offers: set[str] = set()
    for version, source in _LINE.findall(told):
        if version:
            offers = versions.setdefault(version, set())
        else:
            offers.add(source)
    return Table(fields.get("Installed", ""), fields.get("Candidate", ""), versions)


def versions(output: str) -> Mapping[str, frozenset[str]]:
    """By name, the versions that could be installed; none for a virtual package. Unknown names are not in it."""
    return {name: frozenset(table.versions) for name, table in tables(output).items()}


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
