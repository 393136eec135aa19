"""A host as one can compare it: everything on its disk but times, its accounts, its packages, its units.

    before = image_of(host)
    …
    assert undeclared(before, image_of(host), DECLARED) == []

The image is a mapping of lines: what is there (``file /etc/motd``, ``user ann``, ``package jq``) and how it is.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.lab.host import Host

Image = Mapping[str, str]

BY_CONTENT = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid")
"""Files that hold an account a line: compared by line, for their order says nothing."""

DECLARED = {
    r"file /home/(ann|bob)(/.*)?": "homes of people who came stay",
    r"file /var/log/(apt/(eipp\.log\.xz|history\.log|term\.log)|(dpkg|alternatives)\.log|journal/.*)": "logs",
    r"file /var/cache/apt/(archives/.*|(src)?pkgcache\.bin)": "apt keeps what it downloaded and looked up",
    r"file /var/lib/apt/lists/.*": "package lists are as old as their last update",
    r"file /var/lib/apt/extended_states": "apt leaves it empty; the marks in it are compared one by one",
    r"file /var/lib/dpkg/(status|status-old|diversions-old)": "dpkg's own; packages are compared one by one",
    r"file /var/backups/(dpkg|alternatives)\..*": "Debian backs up what dpkg knows, every midnight",
    r"file /var/cache/debconf/((config|templates)\.dat-old|tmp\.ci)": "backups of debconf, and its empty folder",
    r"file /var/cache/ldconfig/aux-cache": "a cache of ldconfig, without what nobody needs in it",
    r"file /etc/(passwd|group|shadow|gshadow|subuid|subgid)-": "backups that useradd and its like make of each file",
    r"line /etc/(passwd|shadow|group|gshadow) (_ssh|prometheus|systemd-timesync):.*": "Debian's packages leave"
    " their accounts behind when they are purged",
    r"running (network-online|time-set)\.target": "reached once, it counts until the machine is booted again",
}
"""What is left of the agent when it was there and has gone, and why: regular expressions over what is named above."""

_UNITS = "systemctl list-unit-files --plain --no-legend --no-pager | awk '{ print \"unit \" $1, $2 }'"
_ACTIVE = "systemctl list-units --plain --no-legend --no-pager | awk '{ print \"running \" $1, $3 }'"
_PACKAGES = "dpkg-query -W -f 'package ${Package}:${Architecture} ${Status}, ${Version}\\n'"
_MARKS = "apt-mark showauto | sed 's/^/mark /; s/$/ auto/'"


def image_of(host: Host) -> Image:
    """Everything below / on the host's own disk (what is mounted there is not), and what systemd and dpkg say."""
    found = dict(_files(Path(f"/proc/{host.pid}/root")))
    for script in (_UNITS, _ACTIVE, _PACKAGES, _MARKS):
        for line in host.run(script).output.splitlines():
            kind, name, told = line.split(" ", 2)
            found[f"{kind} {name}"] = told
    return found


def difference(before: Image, after: Image) -> list[str]:
    """One line each: what is new (+), what is gone (-), what is not as it was (~)."""
    lines = [f"+ {key}: {after[key]}" for key in after.keys() - before.keys()]
    lines += [f"- {key}: {before[key]}" for key in before.keys() - after.keys()]
    lines += [
        f"~ {key}: {before[key]} → {after[key]}" for key in before.keys() & after.keys() if before[key] != after[key]
    ]
    return sorted(lines, key=lambda line: (line.split(" ", 2)[1:], line))


def undeclared(before: Image, after: Image, declared: Mapping[str, str]) -> list[str]:
    """The difference without what ``declared`` (regular expression over what is there → the reason) explains."""
    patterns = [re.compile(pattern) for pattern in declared]
    return [
        line
        for line in difference(before, after)
        if not any(pattern.fullmatch(line[2:].partition(": ")[0]) for pattern in patterns)
    ]


def _files(root: Path) -> Iterator[tuple[str, str]]:
    device = root.stat().st_dev
    for folder, folders, files in os.walk(root):
        inside = Path(folder)
        for name in [*folders, *files]:
            path = inside / name
            status = path.lstat()
            if status.st_dev != device and name in folders:
                folders.remove(name)
                continue
            place = f"{path.relative_to(root)}"
            if place in BY_CONTENT:
                yield from ((f"line /{place} {line}", "there") for line in path.read_text().splitlines())
                yield f"file /{place}", _owner(status)
            else:
                yield f"file /{place}", _described(path, status)


def _described(path: Path, status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return f"link to {path.readlink()}"
    told = _owner(status)
    if stat.S_ISREG(status.st_mode):
        with path.open("rb") as file:
            told += f" {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in _xattrs(path)}
    return told + "".join(f" {name}={value.hex()}" for name, value in sorted(attributes.items()))


def _owner(status: os.stat_result) -> str:
    return f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"


def _xattrs(path: Path) -> list[str]:
    return [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith("trusted.overlay.")]
