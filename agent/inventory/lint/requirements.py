"""The requirements of a repository (requirements.txt, pyproject.toml), compared with pyinfra and its dependencies here.

Nobody installs anything for a deploy, so a requirement is met by what pyinfra brings, or not at all. An exact version
stands for its major version: `pip freeze` writes what somebody had, not what the deploy needs.
"""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from agent.domain.tree import Tree

_FILE, _PROJECT = "requirements.txt", "pyproject.toml"
_ANOTHER = re.compile(r"(?:-r|--requirement|-c|--constraint)[ =]\s*(?P<path>.+)")
_DEEPEST = 10


def unmet_requirements(tree: Tree) -> Iterator[str]:
    """One line for each requirement at the top of a repository that is not met here."""
    for path, line in (*_lines(tree, _FILE, 0), *_of_project(tree)):
        if (why := _unmet(line)) is not None:
            yield f"{path} asks for {line}{why}"


@cache
def there() -> dict[str, str]:
    """pyinfra and its dependencies as installed here: normal name to version."""
    found: dict[str, str] = {}
    pending = ["pyinfra"]
    while pending:
        name = canonicalize_name(pending.pop())
        if name in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra, or for another platform
        found[name] = distribution.version
        needed = (Requirement(line) for line in distribution.requires or ())
        pending += [each.name for each in needed if _applies(each.marker)]
    return found


@cache
def modules() -> frozenset[str]:
    """The top-level modules of pyinfra and its dependencies."""
    held = there()
    owners = importlib.metadata.packages_distributions()
    return frozenset(module for module, names in owners.items() if held.keys() & map(canonicalize_name, names))


def _unmet(line: str) -> str | None:
    """Words to go behind an unmet requirement: the version installed here, or empty. None where it is met."""
    try:
        asked = Requirement(re.split(r"\s--hash[= ]", line)[0].strip())
    except InvalidRequirement:
        return ""
    if not _applies(asked.marker):
        return None
    version = there().get(canonicalize_name(asked.name))
    if version is None or asked.url is not None:
        return ""
    exact = [each.version for each in asked.specifier if each.operator == "==" and "*" not in each.version]
    if exact and all(Version(each).major == Version(version).major for each in exact):
        return None
    return None if asked.specifier.contains(version, prereleases=True) else f" and {version} is here"


def _applies(marker: Marker | None) -> bool:
    return marker is None or marker.evaluate({"extra": ""})


def _lines(tree: Tree, path: str, depth: int) -> Iterator[tuple[str, str]]:
    """Requirements, each with its file; files named by ``-r`` and ``-c`` are included. Options about where pip installs
    from are skipped, because nothing is installed."""
    text = _text(tree, path)
    if text is None or depth > _DEEPEST:
        return
    for raw in re.sub(r"\\\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        if another := _ANOTHER.fullmatch(line):
            inner = f"{PurePosixPath(path).parent / another['path'].strip()}"
            if _text(tree, inner) is None:
                yield path, line
            yield from _lines(tree, inner, depth + 1)
        elif line and (not line.startswith("-") or line.startswith(("-e", "--editable"))):
            yield path, line


def _of_project(tree: Tree) -> Iterator[tuple[str, str]]:
    try:
        project = tomllib.loads(_text(tree, _PROJECT) or "").get("project", {})
    except (ValueError, RecursionError):
        return
    dependencies = project.get("dependencies", []) if isinstance(project, dict) else []
    yield from ((_PROJECT, f"{line}") for line in (dependencies if isinstance(dependencies, list) else []))


def _text(tree: Tree, path: str) -> str | None:
    try:
        return tree.read(path).decode("utf-8-sig", errors="replace")
    except KeyError:
        return None
