"""Complaints in the forms that forges show beside the lines of a merge request.

- GitHub's workflow commands: docs.github.com, "Workflow commands for GitHub Actions"; escaped as actions/toolkit does.
- GitLab's Code Quality report: docs.gitlab.com, "Code Quality", "Code Quality report format".
- SARIF 2.1.0: docs.oasis-open.org/sarif/sarif/v2.1.0.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from agent import __version__
from agent.cli.output import json_text
from agent.domain.text import escaped
from agent.inventory.complaint import Complaint
from agent.system.mask import masked, masked_parts


@dataclass(frozen=True, slots=True)
class Level:
    """The names that services have for a kind of complaint. ``rule``: in Code Quality and SARIF. ``command``: GitHub's
    workflow command, and SARIF's level. ``severity``: GitLab's. ``says``: SARIF's description."""

    rule: str
    command: str
    severity: str
    says: str


MISTAKE = Level("mistake", "error", "critical", "No host would apply a commit with this, or not all of it.")
HINT = Level("hint", "warning", "minor", "Probably not what was meant. Hosts apply it.")


@dataclass(frozen=True, slots=True)
class Findings:
    """The complaints of `check`. Hints keep no host from applying a commit."""

    mistakes: tuple[Complaint, ...]
    hints: tuple[Complaint, ...]

    def __iter__(self) -> Iterator[tuple[Level, Complaint]]:
        yield from ((MISTAKE, complaint) for complaint in self.mistakes)
        yield from ((HINT, complaint) for complaint in self.hints)


def github(findings: Findings) -> str:
    """A workflow command for each complaint."""
    return "".join(map(_workflow_command, findings))


def gitlab(findings: Findings) -> str:
    """A Code Quality report."""
    return _json(
        [
            {
                "description": complaint.text,
                "check_name": level.rule,
                "fingerprint": fingerprint,
                "severity": level.severity,
                "location": {
                    "path": _unicode(complaint.position.file),
                    "lines": {"begin": complaint.position.line or 1},
                },
            }
            for level, complaint, fingerprint in _fingerprinted(findings)
        ]
    )


def sarif(findings: Findings) -> str:
    """A SARIF log of one run."""
    levels = (MISTAKE, HINT)
    driver = {
        "name": "hostwright",
        "version": __version__,
        "rules": [{"id": level.rule, "shortDescription": {"text": level.says}} for level in levels],
    }
    results = [
        {
            "ruleId": level.rule,
            "ruleIndex": levels.index(level),
            "level": level.command,
            "message": {"text": complaint.text},
            "locations": [{"physicalLocation": _physical_location(complaint)}],
            "partialFingerprints": {"hostwright/v1": fingerprint},
        }
        for level, complaint, fingerprint in _fingerprinted(findings)
    ]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return _json({"$schema": schema, "version": "2.1.0", "runs": [run]})


FORMATS: Mapping[str, Callable[[Findings], str]] = {"github": github, "gitlab": gitlab, "sarif": sarif}
"""The functions that make text for stdout of complaints, by option of `check`."""


def _workflow_command(found: tuple[Level, Complaint]) -> str:
    level, complaint = found
    place = complaint.position
    properties = {"file": place.file, "line": place.line, "col": place.column, "title": "hostwright check"}
    said = ",".join(f"{name}={_property(f'{value}')}" for name, value in properties.items() if value)
    return f"::{level.command} {said}::{_data(complaint.text)}\n"


def _data(text: str) -> str:
    lines = masked(text).split("\n")
    return "%0A".join(escaped(line).replace("%", "%25") for line in lines)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _physical_location(complaint: Complaint) -> dict[str, Any]:
    place = complaint.position
    region = {"startLine": place.line or 1} | ({"startColumn": place.column} if place.column else {})
    uri = quote(place.file, errors="surrogateescape")
    return {"artifactLocation": {"uri": uri, "uriBaseId": "%SRCROOT%"}, "region": region}


def _fingerprinted(findings: Findings) -> Iterator[tuple[Level, Complaint, str]]:
    """Each complaint with a fingerprint that stays the same when lines move, and that no other complaint has."""
    seen = Counter[tuple[str, ...]]()
    for level, complaint in findings:
        what = (level.rule, complaint.position.file, complaint.path, complaint.problem)
        seen[what] += 1
        yield level, complaint, hashlib.sha256(_unicode("\n".join((*what, f"{seen[what]}"))).encode()).hexdigest()


def _unicode(text: str) -> str:
    """``text`` with bytes that are not UTF-8 escaped, because JSON cannot hold them: names of files may have some."""
    return text.encode(errors="backslashreplace").decode()


def _json(document: Any) -> str:
    return f"{json_text(masked_parts(document), indent=1)}\n"
