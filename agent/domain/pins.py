"""Pins: exactly which bytes a name in an inventory stands for, as ``hostwright lock`` found them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Asset:
    """One download: where it lies and what it must be (sha256, 64 hex digits; size in bytes)."""

    url: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class ToolPin:
    """One tool at one version: either ``assets`` by platform, or Python ``requirements``, each line with its hashes.

    A platform is ``linux-<machine>`` as uname says it, in lower case: ``linux-x86_64``, ``linux-aarch64``. ``bin``
    maps each command that people type to where it lies: a path in the archive (for a single binary its own name), or
    the name of a script of the Python environment.
    """

    name: str
    version: str
    bin: Mapping[str, str]
    assets: Mapping[str, Asset] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RepositoryPin:
    """Another Git repository at one commit. ``ref`` is what was asked for; ``tree`` is the sha256 digest over all
    files of that commit (``domain.tree.tree_digest``), so that a pin does not rest on sha1."""

    url: str
    ref: str
    commit: str
    tree: str


@dataclass(frozen=True, slots=True)
class Pins:
    """lock.yaml. Repositories by URL without the path inside (``git+ssh://…/repo.git``)."""

    tools: Mapping[str, ToolPin] = field(default_factory=dict)
    repositories: Mapping[str, RepositoryPin] = field(default_factory=dict)
