"""What apt could install: the output of ``apt-cache policy`` as versions by name."""

from __future__ import annotations

import re
from collections.abc import Mapping

QUERY = ("apt-cache", "policy")
"""Followed by ``--`` and names. It takes 20 ms, or a second where apt's cache has to be made anew."""

_NAME = re.compile(r"(\S+):$")
_VERSION = re.compile(r"(?: \*\*\*|    ) (\S+) -?\d+$")


def versions(output: str) -> Mapping[str, frozenset[str]]:
    """By name, the versions that could be installed; none for a virtual package. Unknown names are not in it."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in output.splitlines():
        if match := _NAME.match(line):
            name = match[1]
            found[name] = set()
        elif (match := _VERSION.match(line)) and name:
            found[name].add(match[1])
    return {name: frozenset(known) for name, known in found.items()}
