"""The reasons why apt or dpkg failed, found in all that they and maintainer scripts wrote. Pure, except that apt's
preferences are read from their files.

dpkg says that a script failed; the script has written the reason in a line before, to either of the two streams. apt
names a version that it cannot install; it has written the reason in a paragraph before, and never says what to do.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from pathlib import Path

from agent.deploys.telling import plain_lines, telling_line
from agent.system.files import read_bounded

_COMPLAINT = re.compile(
    r"^(?:E: |W: (?=.*(?:Failed to fetch|GPG error|OpenPGP signature))|dpkg: error ).*(?:\n [^\n]*)?", re.MULTILINE
)
"""A complaint of apt or dpkg. dpkg writes what happened on a second, indented line; apt only warns of a faulty key."""

_SUMMARIES = (
    "E: Some index files failed to download",
    "E: Sub-process /usr/bin/dpkg returned an error code",
    "E: Unable to correct problems, you have held broken packages",
)
"""Complaints that only say that there were others."""

_DPKG = re.compile(r"dpkg: error processing (?:package|archive) (\S+) ")
_SCRIPT = re.compile(r"script subprocess (?:returned error|failed)")
_BEGINS = (
    r"^(?:Setting up|Removing|Purging configuration files for|Unpacking|Preparing to unpack|Processing triggers for) "
)
_DPKG_TALK = re.compile(
    r"dpkg: |Errors were encountered|Processing was halted|debconf: |E: |W: |N: "
    r"|Selecting previously|\(Reading database|" + _BEGINS[1:]
)
_UNMET = re.compile(r"^The following packages have unmet dependencies:\n((?: .*\n?)+)", re.MULTILINE)
_VIRTUAL = re.compile(r"^Package (\S+) is a virtual package provided by:\n((?:  .*\n?)+)", re.MULTILINE)
_NO_CANDIDATE = re.compile(r"E: Package '(\S+)' has no installation candidate")
_LABEL = re.compile(r"E: Repository '.*' changed its '\w+' value from ")
_NO_ROOT = "no root password has been set"

_WORDS_LIMIT = 240
"""Characters of a script's own words that are repeated whole."""

_PREFERENCES = Path("/etc/apt")


def complaints(output: str, error: str = "") -> Sequence[str]:
    """The complaints of apt, dpkg and maintainer scripts, each once and in one line. One that only says that there were
    others is left out, unless there are no others. ``output``, ``error``: what was written to stdout and stderr."""
    both = f"{output}\n{error}"
    found = [_said(match, output, error) for match in dict.fromkeys(_COMPLAINT.findall(both))]
    found += [" ".join(line.split()) for match in _UNMET.findall(both) for line in match.splitlines() if line.strip()]
    return [complaint for complaint in found if not complaint.startswith(_SUMMARIES)] or found


def remedy(output: str, error: str, preferences: Path = _PREFERENCES) -> str:
    """The advice for a person on what to do about a failure; empty where none is known."""
    both = f"{output}\n{error}"
    if _LABEL.search(both):
        return "if that is meant, accept it on the host: `apt-get update --allow-releaseinfo-change`"
    if match := _VIRTUAL.search(both):
        names = [line.split()[0] for line in match[2].splitlines() if line.strip()]
        return f"several packages provide {match[1]}: name one of {', '.join(sorted(names))} instead"
    if (match := _NO_CANDIDATE.search(both)) and (place := pinned_away(match[1], preferences)):
        return f"{place} keeps it away with a priority below zero"
    if _NO_ROOT in " ".join(both.split()):
        return "give root a password first; or, on the host, `SUDO_FORCE_REMOVE=yes apt-get remove sudo`"
    return ""


def pinned_away(name: str, folder: Path = _PREFERENCES) -> str:
    """File and line of the preference (apt_preferences(5)) that keeps a package away by a priority below zero; empty
    where none does."""
    for file in (folder / "preferences", *sorted((folder / "preferences.d").glob("*"))):
        try:
            lines = read_bounded(file).decode(errors="replace").splitlines()
        except OSError:
            continue
        packages: list[str] = []
        for number, line in enumerate(lines, 1):
            field, _, value = line.partition(":")
            if not line.strip():
                packages = []
            elif field.strip().lower() == "package":
                packages = value.split()
            below = field.strip().lower() == "pin-priority" and value.strip().startswith("-")
            if below and any(_fits(pattern, name) for pattern in packages):
                return f"{file}:{number}"
    return ""


def _fits(pattern: str, name: str) -> bool:
    if pattern.startswith("/") and pattern.endswith("/") and len(pattern) > 1:
        try:
            return re.search(pattern[1:-1], name) is not None
        except re.error:
            return False
    return fnmatch.fnmatchcase(name, pattern)


def _said(complaint: str, output: str, error: str) -> str:
    """A complaint in one line; of a failed script, behind the script's own words."""
    line = re.sub(r"\s+", " ", complaint)
    match = _DPKG.match(line)
    if match is None or not _SCRIPT.search(line):
        return line
    name = Path(match[1]).name.partition("_")[0]
    words = _before(error, complaint) or _before(output, complaint) or _since_it_began(output, name)
    return f"{words} ({line})" if words else line


def _before(stream: str, complaint: str) -> str:
    """The script's own words in ``stream`` right before ``complaint``; empty where dpkg's or apt's stand there."""
    before, found, _ = stream.partition(complaint)
    lines = before.splitlines()
    own: list[str] = []
    for line in reversed(lines if found else []):
        if _DPKG_TALK.match(line) or (line.startswith(" ") and own == []):
            break
        own.append(line)
    return _words(own[::-1])


def _since_it_began(output: str, name: str) -> str:
    """The script's own words in dpkg's output since dpkg last began to work on the package ``name``."""
    begins = re.compile(rf"{_BEGINS}.*(?<![\w.+-]){re.escape(name)}(?![a-z0-9+-])")
    own: list[str] = []
    its = False
    for line in output.splitlines():
        if begins.match(line):
            own, its = [], True
        elif _DPKG_TALK.match(line):
            its = False
        elif its:
            own.append(line)
    return _words(own)


def _words(lines: Sequence[str]) -> str:
    said = plain_lines("\n".join(lines))
    whole = " ".join(said).replace("; ", ", ")
    if len(whole) <= _WORDS_LIMIT:
        return whole
    first = re.split(r"(?<=[.!]) ", whole)[0][:_WORDS_LIMIT]
    verdict = telling_line("\n".join(said)).replace("; ", ", ")[:_WORDS_LIMIT]
    return first if verdict in first else f"{first} … {verdict}"
