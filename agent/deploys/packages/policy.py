"""The versions that apt could install, and their sources, read from the output of ``apt-cache policy``. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import dropwhile, takewhile

QUERY = ("apt-cache", "policy")
"""The command, to be followed by ``--`` and names; without names it prints the sources. It takes 20 ms, or a second
where apt has to make its cache anew."""

_NAME = re.compile(r"^(\S+):$", re.MULTILINE)
_FIELD = re.compile(r"^  (Installed|Candidate): (\S+)$", re.MULTILINE)
_LINE = re.compile(r"^(?:(?: \*\*\*|    ) (\S+) -?\d+| {7,}-?\d+ (\S.*))$", re.MULTILINE)
"""A line with a version, or with a source of the version above."""
_SOURCE = re.compile(r" *-?\d+ (\S.*)$")
_RELEASE = re.compile(r" +release (.*)$")

_SECURITY_LABEL = "Debian-Security"
_SECURITY_SUFFIX = "-security"
"""The end of a suite's name (noble-security): Ubuntu has the same label for all of its suites."""


@dataclass(frozen=True, slots=True)
class Table:
    """One package: the ``installed`` version (empty: none), the ``candidate`` that apt would choose, and all
    ``versions``, the newest first, each with the sources that offer it, as apt writes them (``http://… bookworm/main
    amd64 Packages``)."""

    installed: str
    candidate: str
    versions: Mapping[str, Set[str]]

    def upgrade(self, sources: frozenset[str] | None) -> str | None:
        """The newest version that is newer than the installed one, not newer than apt's candidate (an administrator's
        preferences count), and offered by one of ``sources`` (None: by any). None where there is no such version."""
        if not self.installed:
            return None
        newer = takewhile(lambda version: version != self.installed, self.versions)
        taken = dropwhile(lambda version: version != self.candidate, newer)
        return next((version for version in taken if sources is None or self.versions[version] & sources), None)


def tables(output: str) -> Mapping[str, Table]:
    """The packages in the output of ``QUERY``, by name; unknown names are left out. A virtual one has no versions."""
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
    """The versions that could be installed, by name: empty for a virtual package. Unknown names are left out."""
    return {name: frozenset(table.versions) for name, table in tables(output).items()}


def security_sources(output: str) -> frozenset[str]:
    """The sources of a distribution's security updates, read from the output of ``QUERY`` without names."""
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
